"""ranks.parquet in a submission: one schema, no compression, and nothing decoded unchecked.

A Parquet file of some bytes can stand for any number of rows, or of bytes a row. So its columns are
not compressed, its footer must name exactly the rows that the suite has, and columns of text are
first read as dictionaries, whose size is that of the file.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvgl_bench import parquet
from cvgl_bench.datasets.base import ID
from cvgl_bench.errors import RecordError
from cvgl_bench.files import read
from cvgl_bench.record import Record
from cvgl_bench.submission.verdict import shown

HEADER: Final = b"cvgl_bench"
_ARROW_SCHEMA: Final = b"ARROW:schema"
MAX_HEADER_BYTES: Final = 64 << 10
MAX_FOOTER_BYTES: Final = 256 << 10
MAX_ROW_GROUPS: Final = 16

_REQUIRED: Final = {
    "image_id": pa.string(),
    "view": pa.string(),
    "corruption": pa.string(),
    "severity": pa.int64(),
    "rank": pa.int64(),
}
_OPTIONAL: Final = {
    "found": pa.string(),
    "margin": pa.float32(),
    "metres": pa.float64(),
    "found_2": pa.string(),
    "found_3": pa.string(),
    "found_4": pa.string(),
    "found_5": pa.string(),
    "true": pa.string(),
    "shows_place": pa.bool_(),
    "precision": pa.float64(),
}
_TYPES: Final = _REQUIRED | _OPTIONAL
_ENCODINGS: Final = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"}
_MAX_ID: Final = 128
_AGAIN: Final = "pack the run with cvgl-bench submit"


@dataclass(frozen=True)
class Bounds:
    """What a record allows its ranks to be.

    Attributes:
        rows: one a query and cell.
        ids: how many different queries, or references, there are.
        views: the names that the column may hold.
        corruptions: likewise.
    """

    rows: int
    ids: int
    views: frozenset[str]
    corruptions: frozenset[str]


def bounds_of(record: Record) -> Bounds:
    """What the ranks of a record have to keep to."""
    cells = record.suite.cells
    return Bounds(
        record.data.queries * len(cells),
        max(record.data.queries, record.data.references),
        frozenset(cell.view for cell in cells),
        frozenset(cell.corruption for cell in cells),
    )


def submitted_ranks(path: Path) -> bytes:
    """A run's ranks.parquet, written as submissions have it; the same ranks, the same bytes.

    Raises:
        RecordError: it lacks columns, or they are of other types.
    """
    try:
        table = parquet.from_bytes(read(path))
        names = [name for name in _TYPES if name in table.column_names]
        plain = table.select(names).cast(pa.schema([(name, _TYPES[name]) for name in names]))
        return encode(plain, table.schema.metadata[HEADER])
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise RecordError(f"{path} holds no ranks that can be submitted ({error}).") from error


def encode(table: pa.Table, header: bytes) -> bytes:
    """Write a table without compression, with the header and no other metadata."""
    sink = io.BytesIO()
    bare = table.replace_schema_metadata({HEADER: header}).combine_chunks()
    pq.write_table(bare, sink, compression="none")
    return sink.getvalue()


def refuse_layout(data: bytes, bounds: Bounds) -> bytes:
    """Refuse a file by its footer alone; returns the header with the provenance.

    Raises:
        RecordError: it is no Parquet, or its columns, types, rows, encodings or metadata are not
            those of a submission.
    """
    if len(data) < 12 or not data.startswith(b"PAR1") or not data.endswith(b"PAR1"):
        raise RecordError("ranks.parquet is no Parquet file, or is cut off.")
    footer = int.from_bytes(data[-8:-4], "little")
    if footer > MAX_FOOTER_BYTES:
        raise RecordError(
            f"the footer of ranks.parquet has {footer:,} bytes; {MAX_FOOTER_BYTES:,} are the most."
        )
    try:
        with _opened(data) as file:
            _refuse_columns(file.schema_arrow)
            _refuse_rows(file.metadata, bounds.rows)
            return _header(file.metadata)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordError(
            f"ranks.parquet has no footer that can be read ({shown(str(error), 100)})."
        ) from error


def _opened(data: bytes, texts: Collection[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(data),
        read_dictionary=list(texts),
        pre_buffer=False,
        thrift_string_size_limit=MAX_HEADER_BYTES,
        thrift_container_size_limit=10_000,
    )


def _refuse_columns(schema: pa.Schema) -> None:
    names = list(schema.names)
    for name in names:
        if names.count(name) > 1:
            raise RecordError(f"ranks.parquet has the column {shown(name, 80)} twice.")
        if name not in _TYPES:
            raise RecordError(
                f"ranks.parquet has the column '{shown(name, 80)}', which no run has; {_AGAIN}."
            )
        if schema.field(name).type != _TYPES[name]:
            raise RecordError(
                f"the column {name} of ranks.parquet is {shown(str(schema.field(name).type), 80)}, "
                f"and not {_TYPES[name]}; {_AGAIN}."
            )
    if missing := [name for name in _REQUIRED if name not in names]:
        raise RecordError(f"ranks.parquet has no column {missing[0]}.")


def _refuse_rows(metadata: pq.FileMetaData, rows: int) -> None:
    groups = metadata.num_row_groups
    if groups > MAX_ROW_GROUPS:
        raise RecordError(f"ranks.parquet has {groups:,} row groups; {MAX_ROW_GROUPS} do.")
    counts = {metadata.num_rows, sum(metadata.row_group(at).num_rows for at in range(groups))}
    if counts != {rows}:
        found = " and ".join(f"{count:,}" for count in sorted(counts))
        raise RecordError(
            f"ranks.parquet says that it has {found} rows; its suite has {rows:,}, one a query and "
            "cell."
        )
    for group in map(metadata.row_group, range(groups)):
        for column in map(group.column, range(group.num_columns)):
            _refuse_chunk(column, group.num_rows)


def _refuse_chunk(column: pq.ColumnChunkMetaData, rows: int) -> None:
    name = column.path_in_schema
    if column.compression != "UNCOMPRESSED":
        raise RecordError(
            f"the column {name} of ranks.parquet is compressed ({column.compression}); {_AGAIN}."
        )
    if other := sorted(set(column.encodings) - _ENCODINGS):
        raise RecordError(f"the column {name} of ranks.parquet is encoded as {other[0]}; {_AGAIN}.")
    if column.num_values != rows or column.file_path:
        raise RecordError(f"the column {name} of ranks.parquet is not that of its {rows:,} rows.")


def _header(metadata: pq.FileMetaData) -> bytes:
    found = metadata.metadata or {}
    if extra := sorted(found.keys() - {HEADER, _ARROW_SCHEMA}):
        raise RecordError(
            f"ranks.parquet carries the metadata '{shown(extra[0].decode('latin-1'), 80)}', which "
            f"is no part of a run; {_AGAIN}."
        )
    if HEADER not in found:
        raise RecordError("ranks.parquet carries no provenance; score the run again.")
    header: bytes = found[HEADER]
    return header


def refuse_values(data: bytes, bounds: Bounds) -> None:
    """Refuse texts that are no ids and no cells, and empty places, before rows are made of them.

    Raises:
        RecordError: there are any, or the data cannot be decoded.
    """
    try:
        with _opened(data) as file:
            names = list(file.schema_arrow.names)
        with _opened(data, [name for name in names if _TYPES[name] == pa.string()]) as file:
            for name in names:
                column = file.read([name], use_threads=False)[name]
                if len(column) != bounds.rows or column.null_count:
                    raise RecordError(f"the column {name} of ranks.parquet has empty places.")
                if _TYPES[name] == pa.string():
                    _refuse_texts(name, column, bounds)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise
        raise RecordError(
            f"ranks.parquet holds data that cannot be read ({shown(str(error), 100)})."
        ) from error


def _refuse_texts(name: str, column: pa.ChunkedArray, bounds: Bounds) -> None:
    known = {"view": bounds.views, "corruption": bounds.corruptions}.get(name)
    most = bounds.ids if known is None else len(known)
    for chunk in column.chunks:
        texts = chunk.dictionary
        if len(texts) > most:
            raise RecordError(
                f"the column {name} of ranks.parquet holds {len(texts):,} different texts; "
                f"{most:,} are the most."
            )
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        if longest > _MAX_ID:
            raise RecordError(
                f"the column {name} of ranks.parquet holds a text of {longest:,} bytes; {_MAX_ID} "
                "are the most."
            )
        for text in texts.to_pylist():
            fits = ID.fullmatch(text or "") if known is None else text in known
            if not fits:
                what = "an id" if known is None else f"a {name} of the suite"
                raise RecordError(
                    f"the column {name} of ranks.parquet holds '{shown(text or '', 80)}', which is "
                    f"not {what}."
                )
