"""A unit of a set's work: all outputs of a few queries, and their rows of the manifest."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.errors import DataError
from cvgl_bench.files import write_atomically
from cvgl_bench.manifest import (
    TREE,
    Format,
    as_table,
    manifest_bytes,
    manifest_row,
    read_table,
    versions,
)
from cvgl_bench.parquet_set import Put, is_whole, open_parts, part_path
from cvgl_bench.rendering import clean_view, plan_output, read_source, render
from cvgl_bench.severity import CleanPicture
from cvgl_bench.suite import Cell, Suite

WORK = ".cvgl-bench"


@dataclass(frozen=True)
class Unit:
    """A unit of work, as it travels to a worker: its own queries and no others.

    Attributes:
        suite: the benchmark.
        dataset: the data set's name.
        pairs: the queries.
        cells: what to make of each.
        measured_ids: which of them are compared with the clean picture.
        out: the set's folder.
        number: which unit of the set it is, from 0.
        form: how the pictures are kept.
        versions: the driver's libraries; a worker with others would render other bytes.
    """

    suite: Suite
    dataset: str
    pairs: tuple[Pair, ...]
    cells: tuple[Cell, ...]
    measured_ids: frozenset[str]
    out: Path
    number: int
    form: Format
    versions: str

    @property
    def title(self) -> str:
        """The unit in words, for messages."""
        first, last = self.pairs[0].id, self.pairs[-1].id
        queries = f"query {first}" if first == last else f"queries {first} to {last}"
        return f"unit {self.number} ({queries})"


def render_unit(unit: Unit) -> int:
    """Render one unit of work and mark it as done; returns its number.

    Raises:
        DataError: a picture is unusable, the folder cannot be written, or this machine's libraries
            are not the driver's.
    """
    here = versions(unit.suite.codec)
    if here != unit.versions:
        raise DataError(
            f"a worker has {here}; the run was started with {unit.versions}. Install the same "
            "versions on every machine, or the bytes will not be the same."
        )
    rows: list[dict[str, object]] = []
    scratch = unit.out / WORK / "scratch"
    with _pictures_of(unit, scratch) as put:
        for pair in unit.pairs:
            rows += _render_query(unit, pair, put)
    write_atomically(
        rows_file(unit.out, unit.number), manifest_bytes(as_table(rows)), scratch=scratch
    )
    return unit.number


def _pictures_of(unit: Unit, scratch: Path) -> AbstractContextManager[Put]:
    if unit.form == TREE:
        return _files(unit.out, scratch)
    return open_parts(unit.out, unit.cells, unit.number, scratch)


@contextmanager
def _files(out: Path, scratch: Path) -> Iterator[Put]:
    """Put each picture into a file of its own."""

    def put(row: dict[str, object], data: bytes) -> None:
        write_atomically(out / str(row["path"]), data, scratch=scratch, durable=False)

    yield put


def _render_query(unit: Unit, pair: Pair, put: Put) -> list[dict[str, object]]:
    """Write all outputs of a query, all from one reading of it; returns their rows."""
    codec = CODECS[unit.suite.codec]
    source = read_source(pair, codec)
    clean: dict[str, CleanPicture] = {}
    rows = []
    for cell in unit.cells:
        output = plan_output(unit.suite, unit.dataset, pair, cell)
        rendered = render(unit.suite, source, output)
        measures = None
        if pair.id in unit.measured_ids:
            if cell.view not in clean:
                clean[cell.view] = CleanPicture(clean_view(source, output))
            measures = clean[cell.view].measure(decode(rendered.data, output.path, codec))
        row = manifest_row(unit.suite, output, source, rendered, measures)
        put(row, rendered.data)
        rows.append(row)
    return rows


def rows_file(out: Path, number: int) -> Path:
    """Where a unit's manifest rows lie; the file is the sign that the unit was done."""
    return out / WORK / "units" / f"{number:06d}.parquet"


def is_done(out: Path, number: int, form: Format, cells: tuple[Cell, ...]) -> bool:
    """Whether a unit was done and its pictures are still there, see `lost_file`.

    Raises:
        DataError: the unit's rows cannot be read.
    """
    part = rows_file(out, number)
    return part.is_file() and lost_file(out, number, read_table(part), form, cells) is None


def lost_file(
    out: Path, number: int, rows: pa.Table, form: Format, cells: tuple[Cell, ...]
) -> Path | None:
    """The first of a unit's files that is not there whole: by its size, or a part's own lengths.

    Times of files are not looked at: clocks are wrong, and copying changes them.
    """
    if form == TREE:
        for name, size in zip(rows["path"].to_pylist(), rows["bytes"].to_pylist(), strict=True):
            path: Path = out / name
            if not path.is_file() or path.stat().st_size != size:
                return path
        return None
    parts = (out / part_path(cell, number) for cell in cells)
    queries = rows.num_rows // len(cells)
    return next((part for part in parts if not is_whole(part, queries)), None)
