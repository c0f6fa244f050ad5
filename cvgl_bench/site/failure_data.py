"""What the failure explorer is told: who was right where, and each model's answers, as scripts.

A page opened from a disk may not fetch files, but it may load scripts. So each file is one call of
a function that `static/failures.js` gives to the page, with one argument of plain JSON.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.answers import Answers
from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import Board
from cvgl_bench.runs import Run
from cvgl_bench.site.boards import names_of
from cvgl_bench.site.pages import FARTHEST
from cvgl_bench.suite import CLEAN, MIXED, Cell, Suite

# A page loads the answers of one model or two at a time: 40,000 are about a megabyte each.
MOST_ANSWERS: Final = 40_000
FEW_SEVERITIES: Final = (1, 3, 5)

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Extent:
    """What of a leaderboard the explorer shows.

    Attributes:
        cells: which cells.
        rows: (S,), which queries, as places in the runs' order, rising.
        ids: of these queries, then of all other references that any model found for them.
        hits: (M, C, S), whether a model found the true reference.
        queries: how many the suite has.
    """

    cells: tuple[Cell, ...]
    rows: Rows
    ids: tuple[str, ...]
    hits: NDArray[np.bool_]
    queries: int

    @property
    def right(self) -> Counts:
        """How many models found the true reference, (C, S)."""
        counts: Counts = self.hits.sum(axis=0)
        return counts

    @property
    def lost(self) -> Counts:
        """How many found it when the picture was clean, and not in the cell, (C, S)."""
        places = {cell: place for place, cell in enumerate(self.cells)}
        clean = [places[Cell(view=cell.view, corruption=CLEAN, severity=0)] for cell in self.cells]
        counts: Counts = (self.hits[:, clean] & ~self.hits).sum(axis=0)
        return counts


def extent_of(board: Board, most_answers: int = MOST_ANSWERS) -> Extent:
    """Choose cells and queries so that no model has more than so many answers to show.

    All, if they are no more. Else severities 1, 3 and 5, or what the suite has if it has none of
    these; and of the queries those that most models get wrong in most of these cells. Among equals
    the earlier id comes first.

    Args:
        board: the leaderboard.
        most_answers: queries times cells, at most; one query is always shown.

    Raises:
        RecordError: two runs have other queries, or the same ones in another order.
    """
    runs = list(board.runs.values())
    ids = runs[0].answers.ids
    for run in runs:
        if run.answers.ids != ids:
            raise RecordError(
                f"{run.name} and {runs[0].name} on {board.suite.label} were asked other queries, "
                "or in another order; no page can show both."
            )
    cells = board.suite.cells
    if len(cells) * len(ids) > most_answers:
        few = of_suite(board.suite, FEW_SEVERITIES)
        cells = tuple(cell for cell in cells if cell.severity in (0, *few))
    hits = np.array([[run.answers.cells[cell].ranks == 1 for cell in cells] for run in runs])
    worst = np.lexsort((np.array(ids), hits.sum(axis=(0, 1))))
    rows = np.sort(worst[: max(1, most_answers // len(cells))])
    chosen = [ids[row] for row in rows]
    found = {
        str(one)
        for run in runs
        for cell in cells
        for one in _top(run.answers.cells[cell], rows).flat
    }
    return Extent(
        cells=cells,
        rows=rows,
        ids=(*chosen, *sorted(found.difference(chosen))),
        hits=hits[:, :, rows],
        queries=len(ids),
    )


def of_suite(suite: Suite, severities: Sequence[int]) -> tuple[int, ...]:
    """Those of the severities that a suite has; all that it has, if it has none of them."""
    return tuple(one for one in severities if one in suite.severities) or suite.severities


def _top(answers: Answers, rows: Rows) -> NDArray[np.object_]:
    """The ids of the references that came first, best first, (S, 0 to 5)."""
    if answers.found is None:
        return np.empty((len(rows), 0), object)
    columns = [answers.found[rows, None]]
    if answers.runners_up is not None:
        columns.append(answers.runners_up[rows])
    return np.concatenate(columns, axis=1)


def worth_a_picture(
    extent: Extent, severities: Sequence[int], most: int
) -> dict[int, tuple[int, ...]]:
    """Choose the corrupted queries that are shown as pictures.

    As many in each cell: those that most models lose there though they find the clean picture, then
    those that fewest get right, then the earlier ones.

    Args:
        extent: what is shown.
        severities: the cells with pictures; a mixed cell always has some.
        most: pictures in all, at most.

    Returns:
        By the number of the cell, the numbers of the queries, rising.
    """
    pictured = [
        number
        for number, cell in enumerate(extent.cells)
        if cell.severity in severities or cell.corruption == MIXED
    ]
    each = most // max(1, len(pictured))
    right, lost = extent.right, extent.lost
    chosen = {}
    for number in pictured:
        order = np.lexsort((right[number], -lost[number]))
        chosen[number] = tuple(sorted(order[:each].tolist()))
    return chosen


def board_script(board: Board, extent: Extent, pictures: dict[str, object] | None) -> bytes:
    """What all models share: ids, cells, models, and which of them were right.

    `hits` holds a text a cell. A query has as many pairs of hexadecimal digits in it as there are
    eights of models, the first model's bit being the lowest of the first pair.

    Args:
        board: the leaderboard.
        extent: what is shown.
        pictures: which pictures there are, see `failures`; None if there are none.
    """
    bits = np.packbits(extent.hits, axis=0, bitorder="little")
    return _call(
        "board",
        {
            "ids": extent.ids,
            "shown": len(extent.rows),
            "queries": extent.queries,
            "cells": [[cell.view, cell.corruption, cell.severity] for cell in extent.cells],
            "models": list(board.runs),
            "names": list(names_of(board).values()),
            "hits": [bits[:, number].T.tobytes().hex() for number in range(len(extent.cells))],
            "pictures": pictures,
        },
    )


def model_script(entry: str, run: Run, extent: Extent) -> bytes:
    """A model's answers.

    `ranks` holds a list a cell, with a number a query. `top` holds one a cell, with the places in
    `ids` of the references that came first, as many for every query; `metres` one a cell, in whole
    metres; each is null where the run does not say. A distance that is none on Earth is null too.
    `right` holds a number a cell: at how many of all queries, shown or not, the rank is 1.
    """
    places = {identity: place for place, identity in enumerate(extent.ids)}
    ranks, right, tops, metres = [], [], [], []
    for cell in extent.cells:
        answers = run.answers.cells[cell]
        top = _top(answers, extent.rows)
        ranks.append(answers.ranks[extent.rows].tolist())
        right.append(int((answers.ranks == 1).sum()))
        tops.append([places[str(one)] for one in top.flat] if top.size else None)
        far = answers.metres
        metres.append(None if far is None else [_whole(value) for value in far[extent.rows]])
    return _call(
        "answers",
        {"model": entry, "ranks": ranks, "right": right, "top": tops, "metres": metres},
    )


def _whole(metres: float) -> int | None:
    return round(metres) if metres <= FARTHEST else None


def _call(function: str, value: dict[str, object]) -> bytes:
    # ensure_ascii leaves no character that could end a script or a line of it.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return f"cvglFailures.{function}({text});\n".encode("ascii")
