"""A suite and a data set become a folder of pictures with a manifest.

The work is cut into units: a few queries, all their cells. A worker renders a unit file by file,
each written atomically, and leaves the unit's manifest rows as the sign that it is done. The sign
may outlive a picture in a power cut, so a run that finds it counts the pictures and their bytes,
and so does the one that finishes the last unit, before it joins the rows into the set's manifest.
So workers, shards, machines, kills and resumes change nothing of the bytes.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from cvgl_bench.codec import usable_codec
from cvgl_bench.datasets import Dataset, Pair
from cvgl_bench.errors import DataError, SuiteError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import read, settle, sha256, write_atomically
from cvgl_bench.manifest import (
    HEADINGS,
    MANIFEST,
    SET_PAGE,
    SetPage,
    headings_csv,
    manifest_bytes,
    measures_of,
    read_set,
    read_table,
    versions,
    write_set_page,
)
from cvgl_bench.severity import sample
from cvgl_bench.suite import CLEAN, Cell, Suite, check_size
from cvgl_bench.units import WORK, Unit, is_done, lost_picture, render_unit, rows_file

UNIT_IMAGES = 320


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a set.

    Attributes:
        suite: the benchmark.
        dataset: the queries to make, in order.
        cells: what to make of each.
        partial: the queries are not the ones that the suite asks for.
        measured: of how many queries, spread evenly, the outputs are compared with the clean
            picture.
    """

    suite: Suite
    dataset: Dataset
    cells: tuple[Cell, ...]
    partial: bool
    measured: int

    @property
    def measured_ids(self) -> frozenset[str]:
        """The queries whose outputs are compared with the clean picture."""
        pairs = self.dataset.pairs
        return frozenset(pairs[number].id for number in sample(len(pairs), self.measured))

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
                "measured": self.measured,
                "versions": versions(self.suite.codec),
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
    measured: int | None = None,
) -> Plan:
    """Plan a set.

    Args:
        suite: the benchmark.
        dataset: its data.
        cells: cells of `Suite.select`. A mixed set keeps only the drawn pictures, like the
            published ones: its clean pictures are the data set's own.
        limit: only the first queries; the plan is partial then.
        partial: the user has said that fewer or other pictures are meant.
        measured: how many queries to measure, see `Plan`; more than there are is all of them. None
            is one in a thousand, at least one and at most eight, which slows no set noticeably.

    Raises:
        SuiteError: the data has other counts than the suite, and nobody said that this is meant.
        DataError: the suite's codec is not installed.
    """
    usable_codec(suite.codec)
    size = len(dataset.pairs)
    queries = dataset.pairs[:limit]
    reasons = check_size(suite, len(queries), size, partial=partial or limit is not None)
    if suite.form == "mixed":
        cells = tuple(cell for cell in cells if cell.corruption != CLEAN)
    if not cells:
        raise SuiteError(f"nothing is left to make of {suite.name}: a mixed set has no clean part.")
    if measured is None:
        measured = max(1, min(8, len(queries) // 1000))
    return Plan(
        suite,
        Dataset(dataset.name, queries),
        cells,
        partial=bool(reasons),
        measured=min(measured, len(queries)),
    )


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
    units, measured = plan.units, plan.measured_ids
    for number, pairs in list(enumerate(units))[index - 1 :: count]:
        if is_done(out, number):
            progress(images * len(pairs))
        else:
            ids = measured & {pair.id for pair in pairs}
            waiting.append(Unit(plan.suite, plan.dataset.name, pairs, plan.cells, ids, out, number))
    for number in run_local(render_unit, waiting, workers=workers):
        progress(images * len(units[number]))
    return _finish(plan, out)


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
                f"{out} holds an unfinished run with another suite, profile, selection, --measure, "
                f"data or library versions (see {marker}). Finish that one, or choose another "
                "--out."
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
    asked = (plan.suite.fingerprint, plan.dataset.ids_sha256, plan.cells, plan.measured)
    if (page.fingerprint, page.ids_sha256, page.cells, page.measured_queries) != asked:
        raise DataError(
            f"{out} already holds another set ({page.suite} version {page.version}, fingerprint "
            f"{page.fingerprint[:12]}, {page.queries} queries, {page.measured_queries} of them "
            f"measured, {len(page.cells)} cells) than was asked for ({plan.suite.name} version "
            f"{plan.suite.version}, {plan.suite.fingerprint[:12]}, {len(plan.dataset.pairs)}, "
            f"{plan.measured}, {len(plan.cells)}). Choose another --out."
        )
    return page


def _finish(plan: Plan, out: Path) -> SetPage | None:
    """Join the units' rows and write the set's page, if every unit is done."""
    parts = [rows_file(out, number) for number in range(len(plan.units))]
    if not (out / SET_PAGE).is_file():
        with _lock(out, "finishing"):
            if not (out / SET_PAGE).is_file():
                if not all(part.is_file() for part in parts):
                    settle()
                    return None
                _write_summary(plan, out, parts)
    # Another shard that is just finishing may be removing it too.
    shutil.rmtree(out / WORK, ignore_errors=True)
    return _finished_set(plan, out)


def _write_summary(plan: Plan, out: Path, parts: list[Path]) -> None:
    """Write headings, manifest and, last, the page that says that the set is whole.

    The disk is waited for once, before that page: an fsync a picture would take longer than making
    it.
    """
    tables = [read_table(part) for part in parts]
    settle()
    lost = [lost_picture(out, rows) for rows in tables]
    if any(lost):
        for part, path in zip(parts, lost, strict=True):
            if path:
                part.unlink()
        raise DataError(
            f"{next(filter(None, lost))}, made by an earlier run, is gone or has changed since. "
            "Run the same command again, without --shard, to make it anew."
        )
    rows = pa.concat_tables(tables)
    manifest = manifest_bytes(rows)
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
        images=rows.num_rows,
        measured_queries=plan.measured,
        measures=measures_of(rows, plan.cells),
        manifest_sha256=sha256(manifest),
        headings_sha256=sha256(headings),
    )
    write_set_page(out, page, scratch=scratch)
