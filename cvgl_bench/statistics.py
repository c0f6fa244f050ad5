"""How sure the numbers are: intervals by resampling queries, paired tests between two runs.

Queries are what another day would bring other ones of, and all cells show the same queries. So one
draw of queries is made for all cells and models at once: a number that is computed from many cells
gets the interval that their common queries leave it, and the difference of two models the narrower
one of a paired comparison. Seeds of a training are not resampled: intervals say nothing of them.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cvgl_bench.answers import CellAnswers
from cvgl_bench.errors import RecordError
from cvgl_bench.scores import Number
from cvgl_bench.suite import Cell, Suite
from cvgl_bench.summary import Grid, averages

RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95
_SEED: Final = 20_260_101
_BATCH = 100

Array = NDArray[np.float64]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Interval:
    """Where a number lies with a confidence of 95 %; NaN where some resample leaves it undefined.

    Attributes:
        value: from all queries.
        low: its lower end.
        high: its upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """One run's answers to be resampled.

    Attributes:
        suite: the benchmark.
        view: one of its views.
        cells: the answers; those of other views' cells are left alone.
    """

    suite: Suite
    view: str
    cells: CellAnswers

    @property
    def own(self) -> list[Cell]:
        """The view's cells, in order."""
        return [cell for cell in self.cells if cell.view == self.view]

    @property
    def hits(self) -> Array:
        """Whether each query's true reference came first, (cells, Q)."""
        return np.stack([self.cells[cell].hits for cell in self.own])

    def grid(self, recalls: Array) -> Grid:
        """The view's cells with these recalls, (cells, ...)."""
        by_cell: dict[Cell, Number] = dict(zip(self.own, recalls, strict=True))
        return Grid(self.suite, self.view, len(self.cells[self.own[0]].ranks), by_cell)


def intervals(sample: Sample, reference: Sample | None = None) -> dict[str, Interval]:
    """Every average of `summary.averages` with its interval.

    Args:
        sample: a run.
        reference: the run whose errors count as 1 in mCE, of the same queries.

    Raises:
        RecordError: the reference has other queries.
    """
    both = [sample] if reference is None else [sample, reference]
    refuse_other_queries(both)
    hits = np.concatenate([each.hits for each in both])
    split = len(sample.own)

    def numbers(recalls: Array) -> dict[str, Number]:
        own = sample.grid(recalls[:split])
        return averages(own, None if reference is None else reference.grid(recalls[split:]))

    return with_intervals(hits, numbers)


def recall_intervals(sample: Sample) -> dict[Cell, Interval]:
    """R@1 of every cell with its interval, from the same resamples for all."""
    cells = sample.own
    return with_intervals(sample.hits, lambda recalls: dict(zip(cells, recalls, strict=True)))


def with_intervals(
    hits: Array, numbers: Callable[[Array], Mapping[Key, Number]]
) -> dict[Key, Interval]:
    """Numbers that follow from recalls, each with its interval, all from the same draws.

    Args:
        hits: (cells, Q), a query's score in each cell.
        numbers: takes recalls, (cells,) or (cells, B), gives numbers by the same keys, (B,) each.
    """
    whole = numbers(hits.mean(axis=1))
    if not whole:
        return {}

    def statistic(recalls: Array) -> Array:
        found = numbers(recalls)
        return np.stack([np.asarray(found[key], np.float64) for key in whole])

    low, high = resampled(hits, statistic)
    return {
        key: Interval(float(value), float(low[place]), float(high[place]))
        for place, (key, value) in enumerate(whole.items())
    }


def resampled(
    hits: Array, statistic: "Statistic", *, resamples: int = RESAMPLES
) -> tuple[Array, Array]:
    """The ends of the percentile intervals of numbers that follow from recalls.

    The draws are scipy's, with a seed of their own that only the number of queries tells apart, so
    that two runs on the same queries are resampled alike.

    Args:
        hits: (cells, Q), a query's score in each cell.
        statistic: takes recalls, (cells, B), gives numbers, (n, B).
        resamples: how many draws of as many queries as there are, with replacement.

    Returns:
        The lower and the upper ends, (n,) each.
    """
    count = hits.shape[1]
    if count < 2:
        # One query cannot be drawn in another way.
        unknown = np.full(len(statistic(hits)), np.nan)
        return unknown, unknown

    def of_draws(drawn: NDArray[np.int64], axis: int) -> Array:
        rows = np.moveaxis(drawn, axis, -1).reshape(-1, count)
        # How often each query was drawn: a product with these is the recall of all draws at once.
        offsets = count * np.arange(len(rows))[:, None]
        times = np.bincount((rows + offsets).ravel(), minlength=count * len(rows))
        return statistic(hits @ times.reshape(-1, count).T / count)

    with warnings.catch_warnings():
        # A number that some draw leaves undefined has the interval NaN, and the reader is told so.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(count),),
            of_draws,
            n_resamples=resamples,
            batch=_BATCH,
            vectorized=True,
            method="percentile",
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
    return np.atleast_1d(found.low), np.atleast_1d(found.high)


Statistic = Callable[[Array], Array]


def refuse_other_queries(samples: Sequence[Sample]) -> None:
    """Refuse runs that were not made on the same number of queries.

    Raises:
        RecordError: they have different numbers.
    """
    counts = {len(answers.ranks) for sample in samples for answers in sample.cells.values()}
    if len(counts) > 1:
        raise RecordError(f"runs of {sorted(counts)} queries cannot be resampled together.")
