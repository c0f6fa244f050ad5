"""The comparison of two runs, in tables and in words."""

from typing import Final

import pandas as pd

from cvgl_bench.pairing import SIGNIFICANCE, Comparison
from cvgl_bench.scores import METRICS
from cvgl_bench.statistics import Interval
from cvgl_bench.tables import p_text

# The columns of `cell_frame` that hold p.
P_COLUMNS: Final = ("p", "p adjusted")
_TITLES = {"r1_clean": "R@1 clean"}


def cell_frame(comparison: Comparison) -> pd.DataFrame:
    """A row a cell: the difference in R@1 in percent, its interval, and McNemar's test."""
    rows = {
        str(cell): {
            "R@1 difference": 100 * each.difference.value,
            "low": 100 * each.difference.low,
            "high": 100 * each.difference.high,
            "only first": each.only_first,
            "only second": each.only_second,
            "p": each.p,
            "p adjusted": each.adjusted,
        }
        for cell, each in comparison.cells.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell")


def overall_frame(comparison: Comparison) -> pd.DataFrame:
    """A row an average: the difference in percent, with its interval."""
    rows = {
        _TITLES.get(name) or METRICS[name].title: {
            "difference": 100 * each.value,
            "low": 100 * each.low,
            "high": 100 * each.high,
        }
        for name, each in comparison.overall.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("average")


def as_document(comparison: Comparison) -> dict[str, object]:
    """The comparison for programs: differences as fractions, first less second.

    Returns:
        `cells`, a list; `overall`, by metric; `p` of the paired t-test, NaN if there is none.
    """
    cells = [
        {
            **cell.model_dump(),
            **_limits(each.difference),
            "only_first": each.only_first,
            "only_second": each.only_second,
            "p": each.p,
            "p_adjusted": each.adjusted,
        }
        for cell, each in comparison.cells.items()
    ]
    overall = {name: _limits(each) for name, each in comparison.overall.items()}
    return {"cells": cells, "overall": overall, "p": comparison.p}


def _limits(difference: Interval) -> dict[str, float]:
    return {"difference": difference.value, "low": difference.low, "high": difference.high}


def verdict(first: str, second: str, comparison: Comparison) -> str:
    """What the tests say, in a sentence or two."""
    cells = comparison.cells.values()
    clear = [each for each in cells if each.adjusted < SIGNIFICANCE]
    ahead = sum(each.difference.value > 0 for each in clear)
    lines = [
        f"{first} finds more queries in {ahead} of {len(comparison.cells)} cells, {second} in "
        f"{len(clear) - ahead}; the others are statistically tied (McNemar, 5 % after Benjamini "
        "and Hochberg's correction)."
    ]
    if "r1_cor" in comparison.overall:
        difference = comparison.overall["r1_cor"]
        better = first if difference.value > 0 else second
        is_clear = comparison.p < SIGNIFICANCE
        text = p_text(comparison.p)
        p = f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"
        lines.append(
            f"R@1_cor: {better} is better by {abs(100 * difference.value):.2f} points "
            f"({p}, paired t-test over queries)."
            if is_clear
            else f"R@1_cor: tied ({p}, paired t-test over queries)."
        )
    return "\n".join(lines)
