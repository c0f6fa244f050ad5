"""A suite and a data set become a folder of pictures with a manifest.

The work is cut into units: a few queries, all their cells. A worker renders a unit file by file,
each written atomically, and leaves the unit's manifest rows as the sign that it is done. The sign
may outlive a picture in a power cut, so a run that finds it counts the pictures and their bytes,
and so does the one that finishes the last unit, before it joins the rows into the set's manifest.
So workers, shards, machines, kills and resumes change nothing of the bytes. No time of a file
decides anything.
"""

import functools
import shutil
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from cvgl_bench.errors import DataError
from cvgl_bench.executors import Executor, Progress, no_progress, run_local
from cvgl_bench.files import read, settle, sha256, write_atomically
from cvgl_bench.headings import HEADINGS, headings_csv
from cvgl_bench.manifest import (
    MANIFEST,
    SET_PAGE,
    TREE,
    SetPage,
    manifest_bytes,
    measures_of,
    read_set,
    read_table,
    versions,
    write_set_page,
)
from cvgl_bench.planning import Plan, make_plan
from cvgl_bench.units import WORK, Unit, is_done, lost_file, render_unit, rows_file

__all__ = ["Plan", "generate", "make_plan"]


def generate(
    plan: Plan,
    out: Path,
    *,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> SetPage | None:
    """Render a set, or one shard of it, going on where an earlier run stopped.

    Args:
        plan: what to make.
        out: the set's folder.
        workers: processes of this machine.
        shard: (I, N): do every N-th unit, starting with the I-th; 1 <= I <= N.
        executor: what runs the units, such as `ray_executor.run_ray`; None is these processes.
        progress: told the number of images of each unit when it is done or found done.

    Returns:
        The set's page if the set is now complete; None if other shards have yet to run.

    Raises:
        DataError: a picture is unusable, the folder holds something else, or cannot be written.
        CvglBenchError: a unit killed its workers again and again; it names the unit.
    """
    run = executor or functools.partial(run_local, workers=workers)
    try:
        return _generate(plan, out, run, shard, progress)
    except (DataError, OSError):
        # Another run may have finished the set and tidied up under this one, at any step. If so,
        # the set is there, whole; if not, the error stands.
        if not (out / SET_PAGE).is_file():
            raise
        page = _finished_set(plan, out)
        shutil.rmtree(out / WORK, ignore_errors=True)
        return page


def _generate(
    plan: Plan, out: Path, run: Executor, shard: tuple[int, int], progress: Progress
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
        if is_done(out, number, plan.form, plan.cells):
            progress(images * len(pairs))
        else:
            waiting.append(number)
    for number in run(render_unit, _as_tasks(plan, out, waiting), describe=lambda u: u.title):
        progress(images * len(units[number]))
    _must_be_here(out, waiting)
    return _finish(plan, out)


def _must_be_here(out: Path, numbers: list[int]) -> None:
    """Check that the units' rows can be seen from here, wherever their workers ran."""
    # The folder is listed, because network folders remember for a while that a file was not there.
    there = {path.name for path in (out / WORK / "units").glob("*.parquet")}
    for number in numbers:
        if rows_file(out, number).name not in there:
            raise DataError(
                f"unit {number} was made, but {out} does not have it here. Is it the same folder "
                "on every machine of the cluster?"
            )


def _as_tasks(plan: Plan, out: Path, numbers: list[int]) -> list[Unit]:
    """The units of these numbers as they travel to workers."""
    units, measured = plan.units, plan.measured_ids
    return [
        Unit(
            suite=plan.suite,
            dataset=plan.dataset.name,
            pairs=units[number],
            cells=plan.cells,
            measured_ids=measured & {pair.id for pair in units[number]},
            out=out,
            number=number,
            form=plan.form,
            versions=versions(plan.suite.codec),
        )
        for number in numbers
    ]


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
                f"--format, data or library versions (see {marker}). Finish that one, or choose "
                "another --out."
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
    if page.format != plan.form:
        raise DataError(
            f"{out} already holds a set with --format {page.format}; {plan.form} was asked for. "
            "Choose another --out."
        )
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
    lost = [
        lost_file(out, number, rows, plan.form, plan.cells) for number, rows in enumerate(tables)
    ]
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
        format=plan.form,
        queries_per_part=None if plan.form == TREE else plan.queries_per_unit,
        manifest_sha256=sha256(manifest),
        headings_sha256=sha256(headings),
    )
    write_set_page(out, page, scratch=scratch)
