"""A unit of a set's work: all outputs of a few queries, and their rows of the manifest."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.files import write_atomically
from cvgl_bench.manifest import as_table, manifest_bytes, manifest_row, read_table
from cvgl_bench.rendering import clean_view, plan_output, read_source, render
from cvgl_bench.severity import CleanPicture
from cvgl_bench.suite import Cell, Suite

WORK = ".cvgl-bench"


@dataclass(frozen=True)
class Unit:
    """A unit of work, as it travels to a worker: its own queries and no others."""

    suite: Suite
    dataset: str
    pairs: tuple[Pair, ...]
    cells: tuple[Cell, ...]
    measured_ids: frozenset[str]
    out: Path
    number: int


def render_unit(unit: Unit) -> int:
    """Render one unit of work and mark it as done; returns its number."""
    rows: list[dict[str, object]] = []
    scratch = unit.out / WORK / "scratch"
    for pair in unit.pairs:
        rows += _render_query(unit, pair, scratch)
    write_atomically(
        rows_file(unit.out, unit.number), manifest_bytes(as_table(rows)), scratch=scratch
    )
    return unit.number


def _render_query(unit: Unit, pair: Pair, scratch: Path) -> list[dict[str, object]]:
    """Write all outputs of a query; returns their rows."""
    codec = CODECS[unit.suite.codec]
    source = read_source(pair, codec)
    clean: dict[str, CleanPicture] = {}
    rows = []
    for cell in unit.cells:
        output = plan_output(unit.suite, unit.dataset, pair, cell)
        rendered = render(unit.suite, source, output)
        write_atomically(unit.out / output.path, rendered.data, scratch=scratch, durable=False)
        measures = None
        if pair.id in unit.measured_ids:
            if cell.view not in clean:
                clean[cell.view] = CleanPicture(clean_view(source, output))
            measures = clean[cell.view].measure(decode(rendered.data, output.path, codec))
        rows.append(manifest_row(unit.suite, output, source, rendered, measures))
    return rows


def rows_file(out: Path, number: int) -> Path:
    """Where a unit's manifest rows lie; the file is the sign that the unit was done."""
    return out / WORK / "units" / f"{number:06d}.parquet"


def is_done(out: Path, number: int) -> bool:
    """Whether a unit was done and its pictures are still there, see `lost_picture`.

    Raises:
        DataError: the unit's rows cannot be read.
    """
    part = rows_file(out, number)
    return part.is_file() and lost_picture(out, read_table(part)) is None


def lost_picture(out: Path, rows: pa.Table) -> Path | None:
    """The first of a unit's pictures that is not there, or has another size than its row says."""
    for name, size in zip(rows["path"].to_pylist(), rows["bytes"].to_pylist(), strict=True):
        path: Path = out / name
        if not path.is_file() or path.stat().st_size != size:
            return path
    return None
