"""Two entries of a board side by side: paired differences of every pair, computed beforehand.

DATA/<suite>/<entry>.js holds an entry's own numbers, and its differences from every later entry of
the board, so that each pair is stored once and a page loads two files.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from corruptions import FAMILIES
from cvgl_bench.leaderboard import Board
from cvgl_bench.pairing import SIGNIFICANCE, query_scores
from cvgl_bench.report import Report
from cvgl_bench.site.boards import names_of
from cvgl_bench.site.pages import Pages, Site, render, spoken
from cvgl_bench.statistics import CONFIDENCE, Sample, resampled
from cvgl_bench.suite import Suite
from cvgl_bench.summary import averages

Array = NDArray[np.float64]
Hits = NDArray[np.bool_]

DATA: Final = "data"
_TITLES: Final = {
    "r1_clean": "R@1 clean",
    "r1_codec": "R@1 codec",
    "r1_cor": "R@1_cor",
    "rce": "RCE",
    "auc": "AUC",
}


@dataclass(frozen=True)
class Drawn:
    """What one entry comes to in one view, from all queries and from every draw of them.

    Attributes:
        hits: whether each query's true reference came first, bool, (cells, Q).
        whole: the averages, (n,), as fractions; NaN where not defined.
        draws: the same of every draw, (n, B), the draws being those of `statistics`.
        scores: (Q,), each query's mean over the corrupted cells; None without such cells.
    """

    hits: Hits
    whole: Array
    draws: Array
    scores: Array | None


def metrics_of(suite: Suite) -> dict[str, tuple[str, str]]:
    """By the names of `summary.averages`: what is compared, as title and "higher" or "lower"."""
    found = {key: (title, "lower" if key == "rce" else "higher") for key, title in _TITLES.items()}
    if suite.form == "mixed":
        return {key: found[key] for key in ("r1_clean", "r1_cor", "rce")}
    if not suite.corruptions:
        return {"r1_clean": found["r1_clean"]}
    for family, names in FAMILIES.items():
        if names and set(names) <= set(suite.corruptions):
            found[f"rce_{family}"] = (f"RCE {family}", "lower")
    return found | {f"r1_{name}": (f"R@1 {spoken(name)}", "higher") for name in suite.corruptions}


def pages(site: Site, reports: Mapping[str, Report]) -> Pages:
    """The page that compares, and its data; none without a board.

    Args:
        site: what is shown.
        reports: of every board, by the label of its suite.
    """
    if not site.boards:
        return {}
    made: Pages = {}
    listing = {}
    for board in site.boards:
        label = board.suite.label
        listing[label] = _listing(board, reports[label])
        for entry, numbers in _numbers(board):
            made[f"{DATA}/{label}/{entry}.js"] = _script(f"{label}/{entry}", numbers)
    made["compare.html"] = render(
        "compare.html",
        site=site,
        page="compare.html",
        listing=listing,
        reports=reports,
        names={board.suite.label: names_of(board) for board in site.boards},
    )
    return made


def _listing(board: Board, report: Report) -> dict[str, object]:
    """What the page must know of a board before any pair is chosen."""
    names = names_of(board)
    by_place = dict.fromkeys(entry.run.name for entry in report.entries)
    suite = board.suite
    return {
        "entries": [[entry, names[entry]] for entry in by_place],
        "order": list(board.runs),
        "views": list(suite.views),
        "metrics": [[title, better] for title, better in metrics_of(suite).values()],
        "corruptions": [spoken(name) for name in suite.corruptions] if suite.form == "grid" else [],
        "severities": sorted(suite.severities) if suite.form == "grid" else [],
    }


def _script(key: str, numbers: Mapping[str, object]) -> bytes:
    text = json.dumps(numbers, separators=(",", ":"), allow_nan=False)
    return f'(self.cvglPairs=self.cvglPairs||{{}})["{key}"]={text};\n'.encode()


def _numbers(board: Board) -> Iterator[tuple[str, dict[str, object]]]:
    """Each entry's numbers in every view, and its differences from the entries after it."""
    suite, entries = board.suite, list(board.runs)
    drawn = {
        view: {entry: draw(run.sample(view)) for entry, run in board.runs.items()}
        for view in suite.views
    }
    for place, entry in enumerate(entries):
        views: dict[str, object] = {}
        for view, every in drawn.items():
            own = every[entry]
            views[view] = {
                "own": _percents(own.whole),
                "cells": _percents(own.hits[_corrupted(own.hits, suite)].mean(axis=1)),
                "pairs": {other: pair(own, every[other], suite) for other in entries[place + 1 :]},
            }
        yield entry, views


def draw(sample: Sample) -> Drawn:
    """Compute a run's averages from all queries and from every draw of them."""
    keys = metrics_of(sample.suite)

    def numbers(recalls: Array) -> Array:
        found = averages(sample.grid(recalls))
        missing = np.full(recalls.shape[1:], np.nan)
        return np.stack([np.asarray(found.get(key, missing), np.float64) for key in keys])

    draws: list[Array] = []

    def kept(recalls: Array) -> Array:
        draws.append(numbers(recalls))
        return draws[-1]

    hits = sample.hits
    # The ends of the intervals are not needed here: those of differences come from the draws.
    resampled(hits, kept)
    return Drawn(
        hits == 1, numbers(hits.mean(axis=1)), np.concatenate(draws, -1), query_scores(sample)
    )


def pair(one: Drawn, other: Drawn, suite: Suite) -> dict[str, object]:
    """The differences of two entries in one view, first less second.

    Returns:
        `d`: difference, low and high a metric, in percent, None where not defined. `c`: a letter a
        corrupted cell: `a` or `b` where the first or the second finds significantly more after the
        correction over all cells of the view, `-` elsewhere. `p`: of the paired t-test of R@1_cor;
        None without corrupted cells.
    """
    difference = one.whole - other.whole
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(one.draws - other.draws, [tail, 100 - tail], axis=1)
    return {
        "d": list(zip(_percents(difference), _percents(low), _percents(high), strict=True)),
        "c": "".join(_marks(one.hits, other.hits)[_corrupted(one.hits, suite)]),
        "p": _p(one, other),
    }


def _p(one: Drawn, other: Drawn) -> float | None:
    if one.scores is None or other.scores is None:
        return None
    apart = one.scores - other.scores
    if len(apart) < 2 or np.ptp(apart) == 0:
        return 1.0 if len(apart) < 2 or not apart.any() else 0.0
    return float(f"{stats.ttest_rel(one.scores, other.scores).pvalue:.3g}")


def _marks(one: Hits, other: Hits) -> NDArray[np.str_]:
    """A letter a cell, by McNemar's exact test, corrected over all cells."""
    won = (one & ~other).sum(axis=1)
    lost = (~one & other).sum(axis=1)
    p = np.minimum(1, 2 * stats.binom.cdf(np.minimum(won, lost), won + lost, 0.5))
    is_real = stats.false_discovery_control(p, method="bh") < SIGNIFICANCE
    return np.where(is_real, np.where(won > lost, "a", "b"), "-")


def _corrupted(hits: Hits, suite: Suite) -> slice:
    """Which rows of hits are corrupted cells: the last, of suites that have a grid of them."""
    count = len(suite.corruptions) * len(suite.severities) if suite.form == "grid" else 0
    return slice(len(hits) - count, len(hits))


def _percents(values: Array) -> list[float | None]:
    # Machines may differ in the last bit of a number that lies between two texts.
    exact = (None if np.isnan(value) else round(100 * float(value), 9) for value in values)
    return [None if value is None else round(value, 2) for value in exact]
