"""Does a run fit those that are on its leaderboard?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import RECORDS, entry_of
from cvgl_bench.record import Record, read_record
from cvgl_bench.runs import Run, read_run
from cvgl_bench.scoring import RECORD
from cvgl_bench.suite import load_suite, suite_names
from cvgl_bench.summary import refuse_other_ground

NEARLY_ALL: Final = 0.9
_RECALLS_APART: Final = 0.05


def entries(folder: Path | None, record: Record) -> dict[str, Path]:
    """The folders of the runs that are there already for a record's suite, by entry."""
    if folder is None:
        return {}
    found = sorted((folder / RECORDS / record.suite.label).glob("*/"))
    return {path.name: path for path in found if path.is_dir()}


def refuse_unknown_suite(record: Record, there: Mapping[str, Path]) -> None:
    """Refuse a suite that anybody could have made up.

    Args:
        record: the run's.
        there: `entries` of its suite.

    Raises:
        RecordError: the package has no suite of that name, and there is no run of it yet; or it is
            another one than theirs.
    """
    if record.suite.name in suite_names():
        present = load_suite(record.suite.name)
        if record.suite != present:
            raise RecordError(
                f"{record.suite.label} is not the {present.label} of this version, or is defined "
                "in another way."
            )
        return
    if not there:
        raise RecordError(
            f"{record.suite.name} is no suite of this version, and no run of it is there; add the "
            "suite first, as CONTRIBUTING.md says."
        )
    first = read_record(next(iter(there.values())) / RECORD)
    if first.suite != record.suite:
        raise RecordError(
            f"{record.suite.label} is defined in another way by the run of {first.model.name}, "
            "which is there."
        )


def refuse_other_pictures(run: Run, there: Mapping[str, Path]) -> None:
    """Refuse a run on other queries or tiles than those that are there.

    Raises:
        RecordError: counts, gallery, or the queries and their order differ.
    """
    if not there:
        return
    first = read_run(next(iter(there.values())))
    refuse_other_ground(run.record, first.record)
    if run.answers.ids != first.answers.ids:
        raise RecordError(f"its queries are others than those that {first.name} was asked.")


def refuse_copies(run: Run, there: Mapping[str, Path]) -> None:
    """Refuse the ranks of another entry under a new name.

    Raises:
        RecordError: they are the same, query by query and cell by cell.
    """
    own = entry_of(run.record)
    for entry, path in there.items():
        same = read_record(path / RECORD).ranks_sha256 == run.record.ranks_sha256
        if same and entry != own:
            raise RecordError(f"its ranks are those of {entry}, which is there, in every cell.")


def alike(run: Run, there: Mapping[str, Path]) -> Iterator[str]:
    """Say which other entries answer nearly as the run does, and what it would replace."""
    own = entry_of(run.record)
    if own in there:
        yield f"it replaces the run of {own} that is there"
    for entry, path in there.items():
        if entry == own or not _recalls_are_near(run.record, read_record(path / RECORD)):
            continue
        share = _same_misses(run, read_run(path))
        if share >= NEARLY_ALL:
            yield f"{100 * share:.1f} % of what it or {entry} misses has the same rank in both"


def _recalls_are_near(one: Record, other: Record) -> bool:
    """Whether it is worth to read the other's ranks: equal ranks give equal recalls."""
    theirs = {score.cell: score.r1 for score in other.cells}
    apart = [abs(score.r1 - theirs.get(score.cell, 2)) for score in one.cells]
    return float(np.mean(apart)) <= _RECALLS_APART


def _same_misses(one: Run, other: Run) -> float:
    same = missed = 0
    for cell, answers in one.answers.cells.items():
        theirs = other.answers.cells.get(cell)
        if theirs is None or len(theirs.ranks) != len(answers.ranks):
            return 0.0
        hard = (answers.ranks > 1) | (theirs.ranks > 1)
        same += int((answers.ranks == theirs.ranks)[hard].sum())
        missed += int(hard.sum())
    return same / missed if missed else 0.0
