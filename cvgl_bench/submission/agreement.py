"""Are a run's cells those of its suite, and do its answers contradict each other?"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.answers import Answers
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import Record
from cvgl_bench.submission.distances import METRES_APART
from cvgl_bench.submission.verdict import shown
from cvgl_bench.suite import Cell

_WIDEST_MARGIN: Final = 2.001
_Ids = NDArray[np.object_]


def refuse_other_cells(cells: Mapping[Cell, object] | set[Cell], record: Record) -> None:
    """Refuse cells that are not exactly the suite's.

    Raises:
        RecordError: one is missing, or one more is there.
    """
    wanted, found = set(record.suite.cells), set(cells)
    if missing := sorted(map(str, wanted - found)):
        raise RecordError(f"{len(missing)} of the suite's cells are missing (first: {missing[0]}).")
    if extra := sorted(map(str, found - wanted)):
        raise RecordError(f"the cell {shown(extra[0], 80)} is none of {record.suite.label}.")


def refuse_contradictions(record: Record, answers: RunAnswers) -> None:
    """Refuse answers that contradict each other.

    A query of rank 1 found its own tile, by some margin; any other found another tile, and its own
    stands no earlier among those that came next than its rank allows. Its own is the one with its
    id, or the one that the ranks name; of a gallery that is not the queries' own, only the size is
    known. True references that are tied leave no margin.

    Raises:
        RecordError: some do; the sentence names the first query.
    """
    ids = np.array(answers.ids, dtype=object)
    gallery = set(answers.ids)
    for cell, each in answers.cells.items():
        if each.found is not None:
            _refuse_found(cell, each, ids, gallery if each.true is None else None)
            _refuse_crowd(cell, each, record.data.references)
        if each.margins is not None and record.data.references > 1:
            _refuse_margins(cell, each, each.margins, ids)


def _refuse_crowd(cell: Cell, answers: Answers, references: int) -> None:
    columns = (answers.found, answers.runners_up, answers.true)
    named = {str(name) for each in columns if each is not None for name in each.flat}
    if len(named) > references:
        raise RecordError(
            f"{cell}: {len(named):,} different references are named; there are {references:,}."
        )


def _refuse_found(cell: Cell, answers: Answers, ids: _Ids, gallery: set[str] | None) -> None:
    found = answers.found
    if found is None:
        return
    true = ids if answers.true is None else answers.true
    own = found == true
    _refuse_first(
        cell, ids, own & (answers.ranks > 1), "found its own tile, with a rank that is not 1"
    )
    _refuse_first(cell, ids, ~own & (answers.ranks == 1), "has rank 1, and found another tile")
    listed = found[:, None]
    if answers.runners_up is not None:
        listed = np.concatenate([listed, answers.runners_up], axis=1)
    if gallery and (strangers := {str(name) for name in listed.flat} - gallery):
        raise RecordError(f"{cell}: the tile '{shown(min(strangers), 80)}' is not in the gallery.")
    doubled = np.array([len(set(row)) < len(row) for row in listed])
    _refuse_first(cell, ids, doubled, "has the same tile twice among those that came first")
    there = listed == true[:, None]
    place = np.where(there.any(axis=1), there.argmax(axis=1) + 1, listed.shape[1] + 1)
    _refuse_first(cell, ids, answers.ranks < place, "has its own tile later than its rank")


def _refuse_margins(cell: Cell, answers: Answers, margins: NDArray[np.float32], ids: _Ids) -> None:
    with np.errstate(invalid="ignore"):
        none = ~(margins <= _WIDEST_MARGIN)
    _refuse_first(cell, ids, none, "has a margin that no two similarities have")
    flat = (margins == 0) & (answers.ranks == 1) & (answers.precision is None)
    _refuse_first(cell, ids, flat, "has rank 1 with a margin of 0, which is a tie")


def _refuse_first(cell: Cell, ids: _Ids, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        more = f", like {wrong.sum() - 1:,} more" if wrong.sum() > 1 else ""
        raise RecordError(f"{cell}: the query {shown(ids[wrong.argmax()], 80)} {what}{more}.")


def refuse_moving_tiles(answers: RunAnswers) -> None:
    """Refuse distances that change with the cell, of the same query to the same tile.

    Raises:
        RecordError: they are not; the sentence names the query and the tile.
    """
    known: dict[tuple[str, str], float] = {}
    for cell, each in answers.cells.items():
        if each.metres is None or each.found is None:
            continue
        for query, tile, metres in zip(
            answers.ids, each.found.tolist(), each.metres.tolist(), strict=True
        ):
            before = known.setdefault((query, tile), metres)
            if abs(before - metres) > METRES_APART:
                raise RecordError(
                    f"{cell}: from the query {shown(query, 80)} to the tile {shown(tile, 80)} it "
                    f"is {metres:.6g} m, and {before:.6g} m in another cell."
                )
