"""Risk over coverage as a chart: how wrong the answers are that a model is sure of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cvgl_bench.answers import Answers
from cvgl_bench.report import Entry
from cvgl_bench.site.curves import Frame, axis_end, spread
from cvgl_bench.suite import CLEAN, MIXED, Cell
from cvgl_bench.trust import risk_coverage

_FRAME: Final = Frame(width=460, height=260, left=34, right=384, top=12, bottom=220)
_STEPS: Final = 50  # A line's points: every two percent of coverage.


@dataclass(frozen=True)
class RiskLine:
    """A line: `name` as read, `style` a class, its points and where its name stands."""

    name: str
    style: str
    points: tuple[tuple[float, float], ...]
    label_y: float
    at_half: float


@dataclass(frozen=True)
class RiskChart:
    """Share of wrong answers over the share that is accepted, by falling margin."""

    lines: tuple[RiskLine, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]
    frame: Frame = _FRAME


def risk_chart(entry: Entry) -> RiskChart:
    """Lay out the curves of clean answers and of each severity's, all corruptions pooled.

    Args:
        entry: whose margins are known in every cell.
    """
    suite, cells = entry.run.record.suite, entry.run.answers.cells
    named = [(CLEAN, "s0", [cells[Cell(view=entry.view, corruption=CLEAN, severity=0)]])]
    if suite.form == "mixed":
        named.append((MIXED, "s5", [cells[Cell(view=entry.view, corruption=MIXED, severity=0)]]))
    for severity in sorted(suite.severities) if suite.form == "grid" else ():
        pool = [
            cells[Cell(view=entry.view, corruption=name, severity=severity)]
            for name in suite.corruptions
        ]
        named.append((f"severity {severity}", f"s{severity}", pool))
    risks = [_risks(pool) for _, _, pool in named]
    top = axis_end(max(max(risk) for risk in risks))
    labels = spread([_y(risk[-1], top) for risk in risks], _FRAME.top, _FRAME.bottom + 4)
    lines = [
        RiskLine(
            name,
            style,
            tuple((_x(100 * (at + 1) / _STEPS), _y(each, top)) for at, each in enumerate(risk)),
            label_y,
            risk[_STEPS // 2 - 1],
        )
        for (name, style, _), risk, label_y in zip(named, risks, labels, strict=True)
    ]
    return RiskChart(
        tuple(lines),
        tuple((_x(share), f"{share}") for share in (0, 25, 50, 75, 100)),
        tuple((_y(mark, top), str(mark)) for mark in range(0, top + 1, max(1, top // 4))),
    )


def _risks(pool: Sequence[Answers]) -> list[float]:
    """The risk in percent at each step of coverage, that of the first point that covers it."""
    margins = np.concatenate([np.asarray(each.margins) for each in pool])
    curve = risk_coverage(Answers(np.concatenate([each.ranks for each in pool]), margins=margins))
    wanted = np.arange(1, _STEPS + 1) / _STEPS
    # Shares of whole queries: what differs in the last digit is the same.
    places = np.searchsorted(curve.coverage, wanted - 1e-9)
    return [100 * float(value) for value in curve.risk[places]]


def _x(share: float) -> float:
    return _FRAME.x(share / 100)


def _y(value: float, top: int) -> float:
    return _FRAME.y(value / top)
