"""Where the lines of a severity chart go: data in percent, places in the chart's own units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from corruptions import FAMILIES
from cvgl_bench.report import Entry
from cvgl_bench.suite import CLEAN, Cell

APART: Final = 14  # Between two labels at the lines' ends.
MEAN: Final = "mean"


@dataclass(frozen=True)
class Frame:
    """A chart's size, and where its axes end, in its own units; y grows downwards."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, share: float) -> float:
        """Where a share of the horizontal axis lies."""
        return round(self.left + (self.right - self.left) * share, 2)

    def y(self, share: float) -> float:
        """Where a share of the vertical axis lies, from below."""
        return round(self.top + (self.bottom - self.top) * (1 - share), 2)


_FRAME: Final = Frame(width=460, height=300, left=34, right=394, top=12, bottom=260)


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: of the family, or "mean".
        points: x and y of its markers.
        band: x and y around its interval, one way and back; empty without one.
        label_y: where its name stands, at the right.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...]
    label_y: float


@dataclass(frozen=True)
class Chart:
    """R@1 over severity.

    Attributes:
        lines: the families, then the mean.
        ticks_x: place and text.
        ticks_y: place and text.
        chance_y: where guesses would lie.
        values: R@1 in percent of every line at clean and the severities; for those who cannot see
            the lines.
        frame: its size and axes.
    """

    lines: tuple[Line, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]
    chance_y: float
    values: Mapping[str, tuple[float, ...]]
    frame: Frame = _FRAME


def chart_of(entry: Entry) -> Chart | None:
    """Lay out the curves of an entry: each whole family, and the mean with its interval.

    Returns:
        None where the suite's grid is not whole, as with mixed suites.
    """
    if not entry.curve:
        return None
    severities = sorted(entry.run.record.suite.severities)
    values = _families(entry, severities)
    steps = [0, *severities]
    values[MEAN] = tuple(entry.curve[step].value for step in steps)
    top = axis_end(max(value for own in values.values() for value in own))
    ends = [_y(own[-1], top) for own in values.values()]
    labels = spread(ends, _FRAME.top, _FRAME.bottom + 4)
    lines = []
    for (name, own), label_y in zip(values.items(), labels, strict=True):
        points = [(_x(step, steps), _y(value, top)) for step, value in zip(steps, own, strict=True)]
        band = _band(entry, steps, top) if name == MEAN else ()
        lines.append(Line(name, tuple(points), band, label_y))
    marks = range(0, top + 1, top // 4 if top % 4 == 0 else top // 5)
    return Chart(
        tuple(lines),
        tuple((_x(step, steps), str(step) if step else CLEAN) for step in steps),
        tuple((_y(mark, top), str(mark)) for mark in marks),
        _y(100 / entry.run.record.data.references, top),
        values,
    )


def _families(entry: Entry, severities: Sequence[int]) -> dict[str, tuple[float, ...]]:
    found = {}
    clean = entry.cells[Cell(view=entry.view, corruption=CLEAN, severity=0)].value
    own = entry.run.record.suite.corruptions
    for family, names in FAMILIES.items():
        if names and set(names) <= set(own):
            means = [
                float(
                    np.mean(
                        [
                            entry.cells[
                                Cell(view=entry.view, corruption=name, severity=severity)
                            ].value
                            for name in names
                        ]
                    )
                )
                for severity in severities
            ]
            found[family] = (clean, *means)
    return found


def _band(entry: Entry, steps: Sequence[int], top: int) -> tuple[tuple[float, float], ...]:
    ends = [(entry.curve[step].low, entry.curve[step].high) for step in steps]
    if any(math.isnan(low) for low, _ in ends):
        return ()
    there = [(_x(step, steps), _y(high, top)) for step, (_, high) in zip(steps, ends, strict=True)]
    back = [(_x(step, steps), _y(low, top)) for step, (low, _) in zip(steps, ends, strict=True)]
    return (*there, *reversed(back))


def axis_end(highest: float) -> int:
    """The end of the axis: low curves are not pressed to the ground."""
    return next(end for end in (5, 10, 20, 40, 60, 80, 100) if highest <= end)


def _x(step: int, steps: Sequence[int]) -> float:
    return _FRAME.x(step / max(1, *steps))


def _y(value: float, top: int) -> float:
    return _FRAME.y(value / top)


def spread(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move labels apart so that none covers another, in the order of their lines' ends.

    Args:
        places: where they would stand.
        top: the least place.
        bottom: the largest; there must be room for all between the two.
    """
    order = sorted(range(len(places)), key=lambda each: places[each])
    lowest = bottom - APART * (len(places) - 1)
    result = [0.0] * len(places)
    above = top - APART
    for rank, each in enumerate(order):
        above = max(above + APART, min(places[each], lowest + APART * rank))
        result[each] = round(above, 2)
    return result
