"""What a report's pictures have in common: their sizes, titles, models' looks and axes."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvgl_bench.plots import line_style, wrapped
from cvgl_bench.report import Entry, Report
from cvgl_bench.statistics import Interval

COLUMN: Final = 3.5  # Widths in inches: of a column, of a page.
PAGE: Final = 7.0


def new_figure(
    report: Report, entries: Sequence[Entry], size: tuple[float, float], title: str = ""
) -> Figure:
    """An empty figure with its title; as much higher as its legend has lines."""
    width, height = size
    lines = sum(wrapped(entry.label).count("\n") + 1 for entry in entries)
    columns = 1 if width < PAGE else 3
    figure = Figure(figsize=(width, height + 0.14 * lines / columns), layout="constrained")
    star = "\n* see the tables' notes" if any("*" in entry.label for entry in entries) else ""
    head = f"{title}\n" if title else ""
    figure.suptitle(head + where(report, entries[0].view) + star, fontsize=8)
    return figure


def where(report: Report, view: str) -> str:
    """The suite, and the view if it is not the whole panorama."""
    return report.suite.label + ("" if view == "full" else f", view {wrapped(view)}")


def model_style(report: Report, entry: Entry) -> dict[str, Any]:
    """How a model is drawn, in every picture of the report alike."""
    return line_style(report.runs.index(entry.run)) | {"label": wrapped(entry.label)}


def recall_axis(axes: Axes, found: Iterable[Interval]) -> None:
    """From nought to the first quarter above all numbers and their intervals."""
    ends = [end for each in found for end in (each.value, each.high) if not math.isnan(end)]
    top = 25 * max(1, math.ceil(max(ends) / 25))
    axes.set_yticks(range(0, top + 1, 25 if top > 50 else 10 if top > 25 else 5))
    axes.set_ylim(0, 1.02 * top)
