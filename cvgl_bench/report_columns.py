"""The columns of a report's tables in the papers' order, and its tables for machines."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pandas as pd

from corruptions import FAMILIES, FAMILY_OF
from cvgl_bench.report import BREAKING, Report, marks
from cvgl_bench.scores import METRICS
from cvgl_bench.statistics import Interval

# Column heads as the papers have them.
SHORT: Final = {
    "snow": "Snow",
    "frost": "Frost",
    "fog": "Fog",
    "brightness": "Bright",
    "spatter": "Spat",
    "defocus_blur": "Defoc",
    "glass_blur": "Glass",
    "motion_blur": "Motion",
    "zoom_blur": "Zoom",
    "gaussian_noise": "Gauss",
    "shot_noise": "Shot",
    "impulse_noise": "Impul",
    "speckle_noise": "Speck",
    "contrast": "Contr",
    "pixelate": "Pixel",
    "jpeg_compression": "JPEG",
}


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        key: what is in it.
        title: its head.
        short: its head where there is little room; "" for the same.
        lower_is_better: which of its numbers is the best.
        has_interval: whether its numbers come with one.
        is_relative: whether it measures a model by what the same model finds when clean, which says
            nothing of one that finds no more than chance.
    """

    key: str
    title: str
    short: str = ""
    lower_is_better: bool = False
    has_interval: bool = True
    is_relative: bool = False


def average_columns(report: Report) -> list[list[Column]]:
    """The columns of averages that a report's suite and reference give, in groups."""
    suite = report.suite
    families = [
        Column(
            f"rce_{family}",
            f"RCE {family}",
            f"RCE {family[:3]}.",
            lower_is_better=True,
            is_relative=True,
        )
        for family, names in FAMILIES.items()
        if names and set(names) <= set(suite.corruptions)
    ]
    errors = [
        Column("mce", f"mCE (vs {report.reference})", "mCE", lower_is_better=True),
        Column(
            "relative_mce",
            METRICS["relative_mce"].title,
            "rel. mCE",
            lower_is_better=True,
            is_relative=True,
        ),
    ]
    whole = [
        Column("r1_cor", METRICS["r1_cor"].title),
        Column("rce", "RCE", lower_is_better=True, is_relative=True),
    ]
    shape = [
        Column("auc", METRICS["auc"].title),
        Column(BREAKING, METRICS[BREAKING].title, "Break", has_interval=False, is_relative=True),
    ]
    if suite.form == "mixed":
        return [[Column("r1_clean", "Clean"), *whole]]
    return [
        [Column("r1_clean", "Clean"), *whole],
        families,
        [*(errors if report.reference else []), *shape],
    ]


def corruption_columns(report: Report) -> list[list[Column]]:
    """The suite's corruptions, in its own order, a group a family; none of a mixed suite."""
    if report.suite.form == "mixed":
        return []
    groups = [[*names] for _, names in groupby(report.suite.corruptions, FAMILY_OF.get)]
    return [
        [Column(f"r1_{name}", SHORT.get(name, name.replace("_", " "))) for name in group]
        for group in groups
    ]


def model_frame(report: Report) -> pd.DataFrame:
    """A row a model and view with all averages, unrounded, in percent; severities as they are."""
    first, *others = [column for group in average_columns(report) for column in group]
    corruptions = [column for group in corruption_columns(report) for column in group]
    rows = []
    for entry in report.entries:
        row: dict[str, object] = {"model": entry.run.name, "view": entry.view}
        for column in [first, *corruptions, *others]:
            limits = report.has_intervals and column.has_interval
            row |= _numbers(column.key, entry.averages.get(column.key), limits=limits)
        standing = entry.standing
        row["place_best"] = None if standing is None else standing.best
        row["place_worst"] = None if standing is None else standing.worst
        row["mce_reference"] = report.reference
        row["marks"] = "; ".join(marks(entry.run))
        rows.append(row)
    places = {"place_best": "Int64", "place_worst": "Int64"}
    return pd.DataFrame(rows).astype(places).set_index(["model", "view"])


def cell_frame(report: Report) -> pd.DataFrame:
    """A row a model and cell: recalls in percent, errors in metres where they are known."""
    rows = []
    for entry in report.entries:
        for score in entry.run.record.cells:
            if score.view != entry.view:
                continue
            row: dict[str, object] = {"model": entry.run.name, **score.cell.model_dump()}
            row |= _numbers("r1", entry.cells[score.cell], limits=report.has_intervals)
            row |= {"r5": 100 * score.r5, "r10": 100 * score.r10}
            row["r1p"] = None if score.r1p is None else 100 * score.r1p
            metres = {} if score.metres is None else score.metres.model_dump()
            for name, value in metres.items():
                is_share = name.startswith("within")
                row[f"{name}_m"] = 100 * value if is_share else value
            rows.append(row)
    frame = pd.DataFrame(rows).astype({"r1p": "float64"})
    return frame.set_index(["model", "view", "corruption", "severity"])


def _numbers(name: str, found: Interval | None, *, limits: bool) -> dict[str, float | None]:
    value, low, high = (None, None, None) if found is None else (found.value, found.low, found.high)
    return {name: value} | ({f"{name}_low": low, f"{name}_high": high} if limits else {})
