"""Two runs on the same queries, cell by cell and on the whole; and which of many are tied."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from scipy import stats

from cvgl_bench.errors import RecordError
from cvgl_bench.statistics import (
    Array,
    Interval,
    Sample,
    refuse_other_queries,
    with_intervals,
)
from cvgl_bench.suite import Cell
from cvgl_bench.summary import averages

SIGNIFICANCE: Final = 0.05
_OVERALL = ("r1_clean", "r1_codec", "r1_cor", "rce", "auc")


@dataclass(frozen=True)
class CellDifference:
    """One cell of two runs.

    Attributes:
        difference: R@1 of the first less that of the second, with its interval.
        only_first: queries that only the first run found.
        only_second: queries that only the second run found.
        p: of McNemar's exact test.
        adjusted: p after Benjamini and Hochberg's correction over all cells that are compared.
    """

    difference: Interval
    only_first: int
    only_second: int
    p: float
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    """Two runs of one suite and view.

    Attributes:
        cells: those that both have.
        overall: differences of the averages, first less second, with intervals.
        p: that the queries' mean scores over the corrupted cells differ, by a paired t-test; NaN
            without corrupted cells.
    """

    cells: dict[Cell, CellDifference]
    overall: dict[str, Interval]
    p: float


def compare(first: Sample, second: Sample) -> Comparison:
    """Compare two runs on the same queries in the same order.

    Raises:
        RecordError: they have no cell in common, or other queries.
    """
    refuse_other_queries([first, second])
    common = [cell for cell in first.own if cell in second.cells]
    one, other = (_part(sample, common) for sample in (first, second))
    hits = np.concatenate([one.hits, other.hits])
    split = len(common)

    def by_cell(recalls: Array) -> dict[Cell, Array]:
        return dict(zip(common, recalls[:split] - recalls[split:], strict=True))

    differences = with_intervals(hits, by_cell)
    won = ((hits[:split] == 1) & (hits[split:] == 0)).sum(axis=1)
    lost = ((hits[:split] == 0) & (hits[split:] == 1)).sum(axis=1)
    p = np.array([_mcnemar(*counts) for counts in zip(won.tolist(), lost.tolist(), strict=True)])
    adjusted = stats.false_discovery_control(p, method="bh")
    cells = {
        cell: CellDifference(
            differences[cell], int(won[i]), int(lost[i]), float(p[i]), float(adjusted[i])
        )
        for i, cell in enumerate(common)
    }
    return Comparison(cells, _overall(one, other, hits), _paired(one, other))


def _part(sample: Sample, cells: list[Cell]) -> Sample:
    if not cells:
        raise RecordError("the two runs have no cell in common.")
    return Sample(sample.suite, sample.view, {cell: sample.cells[cell] for cell in cells})


def _mcnemar(won: int, lost: int) -> float:
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _overall(one: Sample, other: Sample, hits: Array) -> dict[str, Interval]:
    split = len(one.own)

    def numbers(recalls: Array) -> dict[str, Array]:
        ours, theirs = averages(one.grid(recalls[:split])), averages(other.grid(recalls[split:]))
        return {
            name: np.asarray(ours[name]) - np.asarray(theirs[name])
            for name in _OVERALL
            if name in ours and name in theirs
        }

    return with_intervals(hits, numbers)


def query_scores(sample: Sample) -> Array | None:
    """Each query's mean score over the corrupted cells, (Q,): their mean is R@1_cor.

    None where there is no corrupted cell, or a cell of the suite's grid is missing.
    """
    grid = sample.grid(sample.hits.mean(axis=1))
    if not grid.is_whole:
        return None
    scores: Array = np.mean(
        [sample.cells[cell].hits for cell in sample.own if cell.severity], axis=0
    )
    return scores


def _paired(one: Sample, other: Sample) -> float:
    scores = query_scores(one), query_scores(other)
    if scores[0] is None or scores[1] is None:
        return float("nan")
    return _t_test(scores[0], scores[1])


def _t_test(one: Array, other: Array) -> float:
    if len(one) < 2 or np.ptp(one - other) == 0:
        # Without any spread there is no test: equal everywhere, or one query.
        return 1.0 if np.array_equal(one, other) or len(one) < 2 else 0.0
    return float(stats.ttest_rel(one, other).pvalue)


@dataclass(frozen=True)
class Standing:
    """Where a model stands among others.

    Attributes:
        value: its mean score.
        best: the best place that the tests leave it: one more than there are models that are
            significantly better.
        worst: the worst one: as many as there are that are not significantly worse.
    """

    value: float
    best: int
    worst: int


def standings(scores: Mapping[str, Array]) -> dict[str, Standing]:
    """Places of models by their queries' mean scores; models whose places overlap are tied.

    Every two models are compared by a paired t-test, at 5 % after Benjamini and Hochberg's
    correction over all pairs.

    Args:
        scores: by model, (Q,) each, of the same queries in the same order; see `query_scores`.
    """
    pairs = list(combinations(scores, 2))
    p = [_t_test(scores[one], scores[other]) for one, other in pairs]
    adjusted: Array = stats.false_discovery_control(p, method="bh") if p else np.empty(0)
    better: dict[str, set[str]] = {name: set() for name in scores}
    for (one, other), value in zip(pairs, adjusted, strict=True):
        if value < SIGNIFICANCE:
            ahead, behind = (
                (one, other) if scores[one].mean() > scores[other].mean() else (other, one)
            )
            better[behind].add(ahead)
    worse = {name: sum(name in ahead for ahead in better.values()) for name in scores}
    return {
        name: Standing(float(values.mean()), 1 + len(better[name]), len(scores) - worse[name])
        for name, values in scores.items()
    }
