"""Does a run fit those that are on its leaderboard?"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from cvgl_bench.board_folder import entry_folders, entry_of, refuse_other_model
from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import refuse_two_references
from cvgl_bench.record import Record, read_record
from cvgl_bench.runs import Run, read_run
from cvgl_bench.scoring import RECORD
from cvgl_bench.submission.distances import distances_of, refuse_other_distances
from cvgl_bench.suite import load_suite, suite_names
from cvgl_bench.summary import refuse_other_ground

NEARLY_ALL: Final = 0.9
_RECALLS_APART: Final = 0.05


class Neighbour:
    """A run that another one is compared with: on the leaderboard, or given along with it.

    Attributes:
        entry: its name on the leaderboard.
    """

    def __init__(self, entry: str, source: Path | Run) -> None:
        self.entry, self._source = entry, source

    @cached_property
    def record(self) -> Record:
        """Its record.

        Raises:
            RecordError: it is broken.
        """
        if isinstance(self._source, Run):
            return self._source.record
        with self._named():
            return read_record(self._source / RECORD)

    def run(self) -> Run:
        """The whole run, read anew, as all of a leaderboard's may be more than memory holds.

        Raises:
            RecordError: it is broken.
        """
        if isinstance(self._source, Run):
            return self._source
        with self._named():
            return read_run(self._source)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except RecordError as error:
            raise RecordError(
                f"the leaderboard is broken at {self.entry}, and has to be mended before a run can "
                f"be compared with it: {error}"
            ) from error


def neighbours(
    folder: Path | None, record: Record, beside: Iterable[Run] = ()
) -> dict[str, Neighbour]:
    """The runs of a record's suite, by entry.

    A broken one is left out if it is the one that would be replaced: so it is mended.

    Args:
        folder: the leaderboards; None for none.
        record: of the run that is to be compared.
        beside: runs that were given before it in the same call.
    """
    label = record.suite.label
    found = [] if folder is None else entry_folders(folder)
    there = {path.name: Neighbour(path.name, path) for path in found if path.parent.name == label}
    own = entry_of(record)
    if own in there and not _is_whole(there[own]):
        del there[own]
    for run in beside:
        if run.record.suite.label == label:
            there[entry_of(run.record)] = Neighbour(entry_of(run.record), run)
    return there


def _is_whole(neighbour: Neighbour) -> bool:
    try:
        neighbour.run()
    except RecordError:
        return False
    return True


def refuse_unknown_suite(record: Record, there: Mapping[str, Neighbour]) -> None:
    """Refuse a suite that anybody could have made up.

    Args:
        record: the run's.
        there: `neighbours` of its suite.

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
    first = next(_readable(there), None)
    if first is None:
        raise RecordError(
            f"{record.suite.name} is no suite of this version, and no whole run of it is there; "
            "add the suite first, as CONTRIBUTING.md says."
        )
    if first.suite != record.suite:
        raise RecordError(
            f"{record.suite.label} is defined in another way by the run of {first.model.name}, "
            "which is there."
        )


def _readable(there: Mapping[str, Neighbour]) -> Iterator[Record]:
    """The records that can be read; the check of the board names those that cannot."""
    for neighbour in there.values():
        with suppress(RecordError):
            yield neighbour.record


def refuse_other_pictures(run: Run, there: Mapping[str, Neighbour]) -> None:
    """Refuse a run on other queries or tiles than those that are there.

    Raises:
        RecordError: counts, gallery, or the queries and their order differ.
    """
    first = next(iter(there.values())).run()
    refuse_other_ground(run.record, first.record)
    if run.answers.ids != first.answers.ids:
        raise RecordError(f"its queries are others than those that {first.name} was asked.")


def refuse_taken_names(run: Run, there: Mapping[str, Neighbour]) -> None:
    """Refuse an entry's name that another model has, and a second model that mCE refers to.

    Raises:
        RecordError: it is taken.
    """
    own = entry_of(run.record)
    if own in there:
        refuse_other_model(run, there[own].record)
    names = {entry: neighbour.record.model.name for entry, neighbour in there.items()}
    refuse_two_references(run.record.suite, names | {own: run.name})


def refuse_copies(run: Run, there: Mapping[str, Neighbour]) -> None:
    """Refuse the ranks of another entry under a new name.

    Raises:
        RecordError: they are the same, query by query and cell by cell.
    """
    own = entry_of(run.record)
    for entry, neighbour in there.items():
        if entry != own and neighbour.record.ranks_sha256 == run.record.ranks_sha256:
            raise RecordError(f"its ranks are those of {entry}, which is there, in every cell.")


def compare(run: Run, there: Mapping[str, Neighbour], *, distances: bool) -> list[str]:
    """Compare answer by answer; says which runs are nearly the same, and what would be replaced.

    Args:
        run: the one that comes.
        there: the others.
        distances: whether to compare those, too; not of answers that contradict themselves.

    Raises:
        RecordError: from a query to a tile it is further, or nearer, than in another run.
    """
    own = entry_of(run.record)
    found = [f"it replaces the run of {own} that is there"] if own in there else []
    if run.name == run.record.suite.mce_reference:
        found.append("it is the model that mCE refers to, so every mCE of the table follows it")
    known = distances_of(run.answers) if distances else None
    for entry, neighbour in there.items():
        near = _recalls_are_near(run.record, neighbour.record)
        if entry == own or not (near or known):
            continue
        other = neighbour.run()
        if known:
            refuse_other_distances(known, distances_of(other.answers), entry)
        share = _same_misses(run, other) if near else 0
        if share >= NEARLY_ALL:
            text = f"{100 * share:.1f} % of what it or {entry} misses has the same rank in both"
            found.append(text)
    return found


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
