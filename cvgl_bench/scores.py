"""Recall, errors and distances: arrays in, numbers out; each metric once.

Recalls are fractions in 0..1. What is computed from recalls also takes arrays of them, one number a
resample of the queries, and gives as many; a number that is not defined is NaN. `METRICS` names
them all; docs/protocol.md has the formulas in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from scipy import stats
from scipy.integrate import trapezoid

METRIC_VERSION: Final = 1
METRES: Final = (5, 10, 25, 50)
PERCENTILES: Final = (50, 95)

Array = NDArray[np.float64]
Number = float | np.float64 | Array
Ranks = NDArray[np.int64]
Means = Mapping[str, Number]
_WGS84 = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Metric:
    """What a metric is called and where it is from.

    Attributes:
        title: as tables write it.
        version: goes up when the same ranks would give another number.
        unit: "fraction", "ratio", "metres" or "severity".
        source: who defined it.
    """

    title: str
    unit: str
    source: str
    version: int = 1


_FIELD = "usual in the field"
_HERE = "defined here"
_ZZ24 = "Zhang and Zhu, ECCV 2024"
_HD19 = "Hendrycks and Dietterich 2019, arXiv:1903.12261, with a named model in AlexNet's place"
METRICS: Final[dict[str, Metric]] = {
    "r1": Metric("R@1", "fraction", _FIELD),
    "r5": Metric("R@5", "fraction", _FIELD),
    "r10": Metric("R@10", "fraction", _FIELD),
    "r1p": Metric("R@1 %", "fraction", "Sample4Geo's and its followers' code, guarded here"),
    "r1p_plus": Metric("R@1 % (K + 1)", "fraction", "CVM-Net's, SAFA's and their followers' code"),
    "hit_rate": Metric("hit rate", "fraction", "Zhu et al., VIGOR, CVPR 2021"),
    "ap": Metric("AP", "fraction", "Zheng et al., University-1652, ACM MM 2020, and its code"),
    "error_m": Metric("error, m", "metres", _HERE),
    "r1_within_m": Metric("R@1 within m", "fraction", _HERE),
    "r1_codec": Metric("R@1 codec", "fraction", _HERE),
    "r1_cor": Metric("R@1_cor", "fraction", _ZZ24),
    "rce": Metric("RCE", "ratio", f"{_ZZ24}; the formula: RPF"),
    "ce": Metric("CE", "ratio", _HD19, version=2),
    "mce": Metric("mCE", "ratio", _HD19, version=2),
    "relative_mce": Metric("relative mCE", "ratio", _HD19),
    "auc": Metric("AUC", "fraction", _HERE),
    "breaking_severity": Metric("breaking severity", "severity", _HERE),
}


def recall_at(rank: Ranks, k: int) -> float:
    """R@K: the fraction of queries whose true reference is among the K nearest."""
    return float(np.count_nonzero(rank <= k) / len(rank))


def beats_chance(recall: float, queries: int, references: int) -> bool:
    """Whether R@1, a fraction, is more than guesses would reach but for one time in a thousand."""
    return round(recall * queries) > stats.binom.ppf(0.999, queries, 1 / references)


def recall_at_one_percent(rank: Ranks, references: int) -> float | None:
    """R@1 %: recall at K = floor(references / 100); None below 100 references, where K is 0.

    Source: the rule of the public CVUSA and CVACT scorers, which do not guard K = 0.
    """
    k = references // 100
    return recall_at(rank, k) if k else None


def recall_at_one_percent_plus(rank: Ranks, references: int) -> float:
    """R@1 % as older code has it: recall at K = floor(references / 100) + 1.

    Source: the public code of CVM-Net, SAFA and CVFT. Papers that follow it and papers that follow
    Sample4Geo print different numbers under one name.
    """
    return recall_at(rank, references // 100 + 1)


def hit_rate(found: Ranks, accepted: Sequence[Sequence[int]]) -> float:
    """The fraction of queries whose nearest reference is one that also shows the place.

    Args:
        found: (Q,), the row of each query's nearest reference.
        accepted: of each query, the rows of its true and its semi-positive references.

    Source: VIGOR (Zhu et al., CVPR 2021).
    """
    hits = [row in rows for row, rows in zip(found.tolist(), accepted, strict=True)]
    return float(np.mean(hits))


def average_precision(ranks: Sequence[int]) -> float:
    """AP of one query with several true references.

    The area under precision over recall by trapezoids: at the i-th true reference, of rank r_i,
    precision rises from (i - 1) / (r_i - 1), or 1 if that is 0 / 0, to i / r_i.

    Args:
        ranks: of all its true references among all references, 1 being best, without repeats.

    Source: the public code of University-1652 (Zheng et al., ACM MM 2020).
    """
    rank = np.sort(np.asarray(ranks, dtype=np.float64))
    if not len(rank) or rank[0] < 1 or (np.diff(rank) < 1).any():
        raise ValueError("average precision needs one or more different ranks from 1 on")
    number = np.arange(1, len(rank) + 1)
    before = np.where(rank > 1, (number - 1) / np.maximum(rank - 1, 1), 1.0)
    return float(np.mean((before + number / rank) / 2))


def errors_in_metres(queries: Array, references: Array, found: Ranks) -> Array:
    """How far the reference that was found lies from where the query was taken, (Q,).

    Args:
        queries: (Q, 2), latitude and longitude in degrees.
        references: (R, 2), likewise.
        found: (Q,), the row of each query's nearest reference.

    Returns:
        Metres on the WGS 84 ellipsoid, by pyproj.
    """
    there = references[found]
    _, _, metres = _WGS84.inv(queries[:, 1], queries[:, 0], there[:, 1], there[:, 0])
    return np.asarray(metres, dtype=np.float64)


def mean_of(values: Sequence[Number]) -> Number:
    """The plain mean of numbers, or of arrays number by number."""
    return _plain(np.mean(np.stack([np.asarray(value, np.float64) for value in values]), axis=0))


def corruption_means(recall: Mapping[tuple[str, int], Number]) -> dict[str, Number]:
    """Mean over severities for each corruption, from recalls by (corruption, severity)."""
    names = dict.fromkeys(corruption for corruption, _ in recall)
    return {
        name: mean_of([value for (other, _), value in recall.items() if other == name])
        for name in names
    }


def mean_corruption_recall(means: Means) -> Number:
    """R@1_cor: the plain mean over corruptions, each the mean over its severities.

    Source: Zhang and Zhu, ECCV 2024; the published averages follow it to 0.01.
    """
    return mean_of(list(means.values()))


def relative_corruption_error(clean: Number, corrupted: Number) -> Number:
    """RCE: the share of the clean recall that is lost; NaN if nothing is found when clean.

    Source: Zhang and Zhu, ECCV 2024: (R@1_clean - R@1_cor) / R@1_clean.
    """
    some = np.where(np.asarray(clean) > 0, clean, np.nan)
    return _plain((some - corrupted) / some)


def corruption_error(own: Means, reference: Means, least: float) -> dict[str, Number]:
    """CE: each corruption's error as a share of a reference model's.

    Args:
        own: R@1 a corruption, of the model.
        reference: the same of the reference model.
        least: what the reference's error counts as where it is smaller: one query of all that a
            corruption has, so that a reference without an error there gives no division by zero.

    Raises:
        ValueError: the two have other corruptions, or `least` is not above 0.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4, with 1 - R@1 as the error
    and a named model in AlexNet's place. Not a metric of the CVUSA-C paper.
    """
    if own.keys() != reference.keys():
        raise ValueError("mCE needs the same corruptions of the model and of its reference")
    if not least > 0:
        raise ValueError(f"the least error of a reference must be above 0, not {least}")
    return {
        name: _plain(
            (1 - np.asarray(own[name])) / np.maximum(1 - np.asarray(reference[name]), least)
        )
        for name in own
    }


def mean_corruption_error(own: Means, reference: Means, least: float) -> Number:
    """mCE: the mean of `corruption_error`; 1 for the reference model itself if it errs at all."""
    return mean_of(list(corruption_error(own, reference, least).values()))


def relative_mean_corruption_error(
    own: tuple[Number, Means],
    reference: tuple[Number, Means],
    least: float,
) -> Number:
    """Relative mCE: as mCE, with what a corruption adds to the clean error in the error's place.

    A strong reference may lose next to nothing under some corruption, and a ratio to that says
    nothing: a loss counts as `least` where it is smaller, the model's and the reference's alike.

    Args:
        own: R@1 when clean, and a corruption.
        reference: the same of the reference model.
        least: as for `corruption_error`.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.
    """
    kept, kept_by_reference = (
        {name: 1 - np.maximum(np.asarray(clean) - value, least) for name, value in means.items()}
        for clean, means in (own, reference)
    )
    return mean_corruption_error(kept, kept_by_reference, least)


def area_under_curve(curve: Mapping[int, Number]) -> Number:
    """AUC: the area under R@1 over severity by trapezoids, as a share of the severities' range.

    Args:
        curve: R@1 by severity, 0 being clean.

    Returns:
        A fraction in 0..1; 1 if everything is found at every severity. NaN with one severity.
    """
    severities = sorted(curve)
    if len(severities) < 2:
        return float("nan")
    heights = np.stack([np.asarray(curve[severity], np.float64) for severity in severities])
    widths = np.array(severities, dtype=np.float64)
    return _plain(trapezoid(heights, widths, axis=0) / (widths[-1] - widths[0]))


def breaking_severity(curve: Mapping[int, float]) -> float:
    """The severity at which R@1 falls to half of what it is when clean, between two by a line.

    Args:
        curve: R@1 by severity, 0 being clean.

    Returns:
        The first such severity; infinity if R@1 stays above half; NaN without a clean recall.
    """
    if not curve.get(0):
        return float("nan")
    half = curve[0] / 2
    severities = sorted(curve)
    for low, high in pairwise(severities):
        if curve[high] <= half:
            return low + (high - low) * (curve[low] - half) / (curve[low] - curve[high])
    return float("inf")


def _plain(values: object) -> Number:
    array = np.asarray(values, dtype=np.float64)
    return array if array.ndim else float(array)
