"""Sets as Parquet: the pictures' bytes in a few large files instead of millions of small ones.

A folder a cell, a part a unit of queries: `parquet/full-fog-3/part-00000.parquet`. A row is a
picture, in the set's order of queries; the bytes are those of the tree's file. Hugging Face's
`datasets` finds in the schema that the column `image` holds pictures; other readers see a struct.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cvgl_bench.errors import DataError
from cvgl_bench.files import write_atomically
from cvgl_bench.suite import Cell

FOLDER = "parquet"
QUERIES_PER_PART = 64
# Pictures that a worker holds before it writes them out, in bytes of all cells together. It bounds
# memory and decides where row groups end, so it changes the files' bytes, not the pictures'.
PENDING_BYTES = 32 << 20

Row = Mapping[str, object]
Put = Callable[[dict[str, object], bytes], None]
"""Is given a row of the manifest and the picture's bytes."""

_TEXTS = ("image_id", "view", "cell", "corruption", "seed", "file_sha256")
COLUMNS = (
    *("image_id", "view", "cell", "corruption", "severity", "heading_degrees", "fov_degrees"),
    *("seed", "file_sha256"),
)
_TYPES: dict[str, pa.DataType] = {
    "severity": pa.int8(),
    "heading_degrees": pa.float64(),
    "fov_degrees": pa.float64(),
    **dict.fromkeys(_TEXTS, pa.string()),
}


def _features() -> str:
    """The schema in the words of Hugging Face's `datasets`."""
    columns = {
        name: {"dtype": str(_TYPES[name]).replace("double", "float64"), "_type": "Value"}
        for name in COLUMNS
    }
    return json.dumps({"info": {"features": {"image": {"_type": "Image"}, **columns}}})


SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *((name, _TYPES[name]) for name in COLUMNS),
    ],
    metadata={"huggingface": _features()},
)


def part_path(cell: Cell, number: int) -> str:
    """Where a cell's pictures of a unit of queries lie, relative to the set."""
    return f"{FOLDER}/{cell.view}-{cell.corruption}-{cell.severity}/part-{number:05d}.parquet"


def part_row(row: Row, data: bytes) -> dict[str, object]:
    """A row of a part, from the manifest's row and the picture's bytes."""
    return {"image": {"bytes": data, "path": row["path"]}, **{name: row[name] for name in COLUMNS}}


@contextmanager
def open_parts(out: Path, cells: Sequence[Cell], number: int, scratch: Path) -> Iterator[Put]:
    """Write a unit's parts, a file a cell; they get their names together, when all are whole.

    Args:
        out: the set's folder.
        cells: the cells, in the order in which each query's pictures come.
        number: the unit's number.
        scratch: folder for the files until then, on the same disk.

    Yields:
        A function that takes the pictures, query by query.

    Raises:
        DataError: the disk is full or the place cannot be written.
    """
    folder = None
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=scratch))
        with ExitStack() as files:
            parts = [_Part.open(folder / f"{n}.parquet", files) for n in range(len(cells))]
            taker = _Taker(parts)
            yield taker.put
            taker.flush()
        for cell, part in zip(cells, parts, strict=True):
            target = out / part_path(cell, number)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.path.replace(target)
    except OSError as error:
        raise DataError(
            f"cannot write {out / FOLDER}, unit {number}: {error.strerror or error}."
        ) from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _writer(sink: IO[bytes] | pa.BufferOutputStream) -> pq.ParquetWriter:
    """A writer for which pictures are bytes: they do not shrink, and an index would hold them."""
    plain = ["image.path", *COLUMNS]
    return pq.ParquetWriter(
        sink, SCHEMA, compression="none", use_dictionary=plain, write_statistics=plain
    )


@dataclass
class _Part:
    """A part on its way to the disk."""

    path: Path
    writer: Any
    pending: list[dict[str, object]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, files: ExitStack) -> "_Part":
        file: IO[bytes] = files.enter_context(path.open("wb"))
        return cls(path, files.enter_context(_writer(file)))

    def flush(self) -> None:
        if self.pending:
            self.writer.write_table(pa.Table.from_pylist(self.pending, schema=SCHEMA))
            self.pending.clear()


@dataclass
class _Taker:
    """Takes the pictures of each query in the order of the cells."""

    parts: list[_Part]
    taken: int = 0
    pending_bytes: int = 0

    def put(self, row: dict[str, object], data: bytes) -> None:
        self.parts[self.taken % len(self.parts)].pending.append(part_row(row, data))
        self.taken += 1
        self.pending_bytes += len(data)
        if self.pending_bytes >= PENDING_BYTES and self.taken % len(self.parts) == 0:
            self.flush()

    def flush(self) -> None:
        for part in self.parts:
            part.flush()
        self.pending_bytes = 0


def write_part(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write one part anew, from rows of `part_row`, so that it exists whole or not at all.

    Raises:
        DataError: the disk is full or the place cannot be written.
    """
    sink = pa.BufferOutputStream()
    with _writer(sink) as writer:
        writer.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA))
    write_atomically(path, sink.getvalue().to_pybytes())


def is_whole(path: Path, rows: int) -> bool:
    """Whether a part is there and its own page says that it has so many rows.

    The page is a Parquet file's last piece, and names the place of every other.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            return bool(file.metadata.num_rows == rows and file.schema_arrow.equals(SCHEMA))
    except (OSError, pa.ArrowException):
        return False


def read_part(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a part's rows, holding one row group of them in memory.

    Raises:
        DataError: it is missing, or no part.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise DataError(f"{path} has other columns than a part of a set.")
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, use_threads=False).to_pylist()
    except FileNotFoundError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is no readable Parquet file: {error}.") from error
