"""A suite and a data set become a folder of pictures with a manifest.

The work is cut into units: a few queries, all their cells. A worker renders a unit file by file,
each written atomically, and leaves the unit's manifest rows as the sign that it is done. Whoever
finishes the last unit joins the rows into the set's manifest. So workers, shards, machines, kills
and resumes change nothing of the bytes.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from cvgl_bench.datasets import Dataset, Pair
from cvgl_bench.errors import DataError, SuiteError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import read, sha256, write_atomically
from cvgl_bench.manifest import (
    HEADINGS,
    MANIFEST,
    SET_PAGE,
    SetPage,
    as_table,
    headings_csv,
    manifest_bytes,
    manifest_row,
    read_set,
    read_table,
    versions,
    write_set_page,
)
from cvgl_bench.rendering import plan_output, read_source, render
from cvgl_bench.suite import CLEAN, Cell, Suite, check_size

WORK = ".cvgl-bench"
UNIT_IMAGES = 160


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a set.

    Attributes:
        suite: the benchmark.
        dataset: the queries to make, in order.
        cells: what to make of each.
        partial: the queries are not the ones that the suite asks for.
    """

    suite: Suite
    dataset: Dataset
    cells: tuple[Cell, ...]
    partial: bool

    @property
    def units(self) -> list[tuple[Pair, ...]]:
        """The queries, cut into units of work."""
        pairs = self.dataset.pairs
        size = max(1, UNIT_IMAGES // len(self.cells))
        return [pairs[first : first + size] for first in range(0, len(pairs), size)]

    @property
    def identity(self) -> str:
        """The plan in words that two runs into one folder must share."""
        return json.dumps(
            {
                "suite": self.suite.label,
                "fingerprint": self.suite.fingerprint,
                "dataset": self.dataset.name,
                "ids_sha256": self.dataset.ids_sha256,
                "queries": len(self.dataset.pairs),
                "cells": [str(cell) for cell in self.cells],
                "versions": versions(),
            },
            indent=1,
            sort_keys=True,
        )


def make_plan(
    suite: Suite,
    dataset: Dataset,
    cells: tuple[Cell, ...],
    *,
    limit: int | None = None,
    partial: bool = False,
) -> Plan:
    """Plan a set.

    Args:
        suite: the benchmark.
        dataset: its data.
        cells: cells of `Suite.select`. A mixed set keeps only the drawn pictures, like the
            published ones: its clean pictures are the data set's own.
        limit: only the first queries; the plan is partial then.
        partial: the user has said that fewer or other pictures are meant.

    Raises:
        SuiteError: the data has other counts than the suite, and nobody said that this is meant.
    """
    size = len(dataset.pairs)
    queries = dataset.pairs[:limit]
    reasons = check_size(suite, len(queries), size, partial=partial or limit is not None)
    if suite.form == "mixed":
        cells = tuple(cell for cell in cells if cell.corruption != CLEAN)
    if not cells:
        raise SuiteError(f"nothing is left to make of {suite.name}: a mixed set has no clean part.")
    return Plan(suite, Dataset(dataset.name, queries), cells, bool(reasons))


@dataclass(frozen=True)
class Unit:
    """A unit of work, as it travels to a worker: its own queries and no others."""

    suite: Suite
    dataset: str
    pairs: tuple[Pair, ...]
    cells: tuple[Cell, ...]
    out: Path
    number: int


def generate(
    plan: Plan,
    out: Path,
    *,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = no_progress,
) -> SetPage | None:
    """Render a set, or one shard of it, going on where an earlier run stopped.

    Args:
        plan: what to make.
        out: the set's folder.
        workers: processes.
        shard: (I, N): do every N-th unit, starting with the I-th; 1 <= I <= N.
        progress: told the number of images of each unit when it is done or found done.

    Returns:
        The set's page if the set is now complete; None if other shards have yet to run.

    Raises:
        DataError: a picture is unusable, the folder holds something else, or cannot be written.
    """
    try:
        return _generate(plan, out, workers, shard, progress)
    except (DataError, OSError):
        # Another run may have finished the set and tidied up under this one, at any step. If so,
        # the set is there, whole; if not, the error stands.
        if not (out / SET_PAGE).is_file():
            raise
        page = _finished_set(plan, out)
        shutil.rmtree(out / WORK, ignore_errors=True)
        return page


def _generate(
    plan: Plan, out: Path, workers: int, shard: tuple[int, int], progress: Progress
) -> SetPage | None:
    _open_folder(plan, out)
    images = len(plan.cells)
    if (out / SET_PAGE).is_file():
        progress(images * len(plan.dataset.pairs))
        return _finish(plan, out)
    index, count = shard
    waiting = []
    units = plan.units
    for number, pairs in list(enumerate(units))[index - 1 :: count]:
        if _rows_file(out, number).is_file():
            progress(images * len(pairs))
        else:
            waiting.append(Unit(plan.suite, plan.dataset.name, pairs, plan.cells, out, number))
    for number in run_local(render_unit, waiting, workers=workers):
        progress(images * len(units[number]))
    return _finish(plan, out)


def render_unit(unit: Unit) -> int:
    """Render one unit of work and mark it as done; returns its number."""
    rows = []
    scratch = unit.out / WORK / "scratch"
    for pair in unit.pairs:
        source = read_source(pair)
        for cell in unit.cells:
            output = plan_output(unit.suite, unit.dataset, pair, cell)
            rendered = render(unit.suite, source, output)
            write_atomically(unit.out / output.path, rendered.data, scratch=scratch)
            rows.append(manifest_row(output, source, rendered))
    write_atomically(
        _rows_file(unit.out, unit.number), manifest_bytes(as_table(rows)), scratch=scratch
    )
    return unit.number


def _rows_file(out: Path, number: int) -> Path:
    return out / WORK / "units" / f"{number:06d}.parquet"


def _open_folder(plan: Plan, out: Path) -> None:
    """Make the folder this plan's own, or refuse."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, not a folder.")
    if (out / SET_PAGE).is_file():
        _finished_set(plan, out)
        return
    marker = out / WORK / "plan.json"
    foreign = out.is_dir() and any(entry.name != WORK for entry in out.iterdir())
    if foreign and not marker.is_file():
        raise DataError(f"{out} is not empty and holds no run of cvgl-bench. Choose another --out.")
    with _lock(out, "opening"):
        if not marker.is_file():
            write_atomically(marker, plan.identity.encode())
        elif read(marker).decode() != plan.identity:
            raise DataError(
                f"{out} holds an unfinished run with another suite, selection, data or library "
                f"versions (see {marker}). Finish that one, or choose another --out."
            )


def _lock(out: Path, what: str) -> FileLock:
    """Let one process at a time open or finish a folder."""
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {out}: {error.strerror}.") from error
    return FileLock(out / WORK / f"{what}.lock")


def _finished_set(plan: Plan, out: Path) -> SetPage:
    """Read the set in the folder, which must be the plan's."""
    page, _ = read_set(out)
    asked = (plan.suite.fingerprint, plan.dataset.ids_sha256, plan.cells)
    if (page.fingerprint, page.ids_sha256, page.cells) != asked:
        raise DataError(
            f"{out} already holds another set ({page.suite} version {page.version}, "
            f"{page.queries} queries, {len(page.cells)} cells). Choose another --out."
        )
    return page


def _finish(plan: Plan, out: Path) -> SetPage | None:
    """Join the units' rows and write the set's page, if every unit is done."""
    parts = [_rows_file(out, number) for number in range(len(plan.units))]
    if not (out / SET_PAGE).is_file():
        with _lock(out, "finishing"):
            if not (out / SET_PAGE).is_file():
                if not all(part.is_file() for part in parts):
                    return None
                _write_summary(plan, out, parts)
    # Another shard that is just finishing may be removing it too.
    shutil.rmtree(out / WORK, ignore_errors=True)
    return _finished_set(plan, out)


def _write_summary(plan: Plan, out: Path, parts: list[Path]) -> None:
    """Write headings, manifest and, last, the page that says that the set is whole."""
    tables = []
    for part in parts:
        tables.append(read_table(part))
        _still_there(out, part, tables[-1])
    manifest = manifest_bytes(pa.concat_tables(tables))
    scratch = out / WORK / "scratch"
    headings = headings_csv(plan.suite, plan.dataset)
    write_atomically(out / HEADINGS, headings, scratch=scratch)
    write_atomically(out / MANIFEST, manifest, scratch=scratch)
    page = SetPage.of(
        plan.suite,
        ids_sha256=plan.dataset.ids_sha256,
        queries=len(plan.dataset.pairs),
        partial=plan.partial,
        cells=plan.cells,
        images=len(plan.cells) * len(plan.dataset.pairs),
        manifest_sha256=sha256(manifest),
        headings_sha256=sha256(headings),
    )
    write_set_page(out, page, scratch=scratch)


def _still_there(out: Path, part: Path, rows: pa.Table) -> None:
    """Check that a unit's pictures have stayed; forget that it was done if not."""
    for name, size in zip(rows["path"].to_pylist(), rows["bytes"].to_pylist(), strict=True):
        path = out / name
        if not path.is_file() or path.stat().st_size != size:
            part.unlink()
            raise DataError(
                f"{path}, made by an earlier run, is gone or has changed since. "
                "Run the same command again to make it anew."
            )
