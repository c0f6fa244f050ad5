"""Could a model have done this? Findings that refuse a run, and such that ask to look at it.

Refused: R@1_cor above R@1 clean, or mean R@1 at the highest severity above that at the lowest,
beyond the interval of 95 % over the same draws of queries; the same ranks in all cells. A note: the
same of a single corruption, of two severities in a row, of codec_only, or of a narrower view; and
rank 1 everywhere. A model can be honest and odd: whoever is refused here asks for a re-run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from scipy import stats

from cvgl_bench.answers import Answers
from cvgl_bench.runs import Run
from cvgl_bench.statistics import CONFIDENCE, Array, Interval, with_intervals
from cvgl_bench.suite import CLEAN, CODEC_ONLY, MIXED, Cell, Suite
from cvgl_bench.views import parse_view

_Cells = dict[Cell, Answers]
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Finding:
    """Something about a run that no usual model does.

    Attributes:
        refused: whether it refuses the run, or asks to look at it.
        text: what was found.
    """

    refused: bool
    text: str


def findings(run: Run) -> Iterator[Finding]:
    """Look at a run whose cells are exactly its suite's."""
    cells = dict(run.answers.cells)
    yield from _all_alike(cells)
    suite = run.record.suite
    for view in suite.views if suite.corruptions else ():
        rows = _Rows(suite, view, cells)
        yield from _better_when_corrupted(rows)
        if suite.form == "grid":
            yield from _rising(rows)
    yield from _better_when_narrower(suite, cells)


def _all_alike(cells: _Cells) -> Iterator[Finding]:
    ranks = [each.ranks for each in cells.values()]
    if any(not np.array_equal(each, ranks[0]) for each in ranks[1:]):
        return
    perfect = bool((ranks[0] == 1).all())
    yield Finding(
        refused=not perfect,
        text=(
            f"every query has rank 1 in all {len(ranks)} cells"
            if perfect
            else f"every query has the same rank in all {len(ranks)} cells, as if all showed the "
            "same pictures"
        ),
    )


class _Rows:
    """Queries' scores in one view, (Q,) each: a mean over cells is a row as well as a cell is."""

    def __init__(self, suite: Suite, view: str, cells: _Cells) -> None:
        self.suite, self.view, self.cells = suite, view, cells

    def at(self, corruption: str, severity: int = 0) -> Array:
        return self.cells[Cell(view=self.view, corruption=corruption, severity=severity)].hits

    def under(self, corruption: str) -> Array:
        return _mean([self.at(corruption, severity) for severity in self.suite.severities])

    def of_severity(self, severity: int) -> Array:
        return _mean([self.at(name, severity) for name in self.suite.corruptions])

    @property
    def clean(self) -> Array:
        return self.at(CLEAN)

    @property
    def corrupted(self) -> Array:
        if self.suite.form == "mixed":
            return self.at(MIXED)
        return _mean([self.under(name) for name in self.suite.corruptions])


def _better_when_corrupted(rows: _Rows) -> Iterator[Finding]:
    clean = rows.clean
    corrupted = {"": rows.corrupted}
    if rows.suite.form == "grid":
        corrupted |= {name: rows.under(name) for name in rows.suite.corruptions}
        if any((cell.view, cell.corruption) == (rows.view, CODEC_ONLY) for cell in rows.cells):
            corrupted[CODEC_ONLY] = rows.at(CODEC_ONLY)
    gained = _differences({name: (each, clean) for name, each in corrupted.items()})
    better = {
        name: by
        for name, by in gained.items()
        if by.low > 0 and corrupted[name].mean() > _highest(clean)
    }
    if "" in better:
        whole = _percent(better.pop(""))
        yield Finding(True, f"view {rows.view}: R@1_cor is above R@1 clean, by {whole}")
    for name, by in better.items():
        yield Finding(
            False, f"view {rows.view}: R@1 under {name} is above R@1 clean, by {_percent(by)}"
        )


def _rising(rows: _Rows) -> Iterator[Finding]:
    severities = sorted(rows.suite.severities)
    if len(severities) < 2:
        return
    means = {severity: rows.of_severity(severity) for severity in severities}
    whole = (severities[0], severities[-1])
    steps = dict.fromkeys([whole, *pairwise(severities)])
    gained = _differences({(low, high): (means[high], means[low]) for low, high in steps})
    for (low, high), by in gained.items():
        if by.low > 0:
            text = f"view {rows.view}: mean R@1 rises from severity {low} to {high}"
            yield Finding((low, high) == whole, f"{text}, by {_percent(by)}")


def _better_when_narrower(suite: Suite, cells: _Cells) -> Iterator[Finding]:
    by_width = sorted(suite.views, key=lambda view: -parse_view(view).fov_degrees)
    clean = {view: _Rows(suite, view, cells).clean for view in by_width}
    pairs = [
        (wide, narrow)
        for wide, narrow in pairwise(by_width)
        if parse_view(wide).fov_degrees > parse_view(narrow).fov_degrees
    ]
    if not pairs:
        return
    gained = _differences({pair: (clean[pair[1]], clean[pair[0]]) for pair in pairs})
    for (wide, narrow), by in gained.items():
        if by.low > 0 and clean[narrow].mean() > _highest(clean[wide]):
            text = f"R@1 clean is higher in the view {narrow} than in {wide}, by {_percent(by)}"
            yield Finding(refused=False, text=text)


def _mean(rows: list[Array]) -> Array:
    mean: Array = np.mean(rows, axis=0)
    return mean


def _differences(pairs: Mapping[_Key, tuple[Array, Array]]) -> dict[_Key, Interval]:
    """By key the mean of one less the mean of the other, all over the same draws of queries."""
    rows = np.stack([one - other for one, other in pairs.values()])
    return with_intervals(rows, lambda means: dict(zip(pairs, means, strict=True)))


def _highest(hits: Array) -> float:
    """The upper end of the exact interval of a recall.

    Where nothing at all was found, every draw of queries says 0 as well: their interval is too
    narrow then, and a floor would be refused for what is chance.
    """
    test = stats.binomtest(int(hits.sum()), len(hits))
    return float(test.proportion_ci(CONFIDENCE).high)


def _percent(interval: Interval) -> str:
    return (
        f"{100 * interval.value:.2f} points (95 %: {100 * interval.low:.2f} to "
        f"{100 * interval.high:.2f})"
    )
