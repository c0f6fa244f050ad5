"""A run against itself, from its ranks alone: what flips under corruption, what margins are worth.

Numbers are means over the severities of a corruption; docs/protocol.md has the formulas.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.answers import Answers
from cvgl_bench.consistency import BASE, decision_agreement
from cvgl_bench.report import Entry
from cvgl_bench.statistics import Interval, resampled
from cvgl_bench.suite import CLEAN, MIXED, Cell
from cvgl_bench.trust import accept, risk_coverage

RISK: Final = 0.05
_NUMBERS: Final = ("lost", "gained", "same_found", "rank_shift")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """A corruption's decisions beside those of the same view's clean pictures.

    Attributes:
        corruption: which.
        numbers: shares in percent by the names of `consistency.DecisionAgreement`, `rank_shift` as
            it is; what is not known is not there.
    """

    corruption: str
    numbers: dict[str, Interval]


@dataclass(frozen=True)
class TrustRow:
    """A cell's, or a corruption's mean, of the numbers of `trust`, in percent."""

    corruption: str
    error: float
    aurc: float
    excess_aurc: float
    coverage: float
    wrongly_accepted: float


@dataclass(frozen=True)
class Trust:
    """What margins are worth.

    Attributes:
        threshold: the margin that leaves at most `RISK` of the accepted clean answers wrong; None
            where none does.
        rows: clean first, then the corruptions.
    """

    threshold: float | None
    rows: tuple[TrustRow, ...]


def agreement_of(entry: Entry) -> tuple[Agreement, ...]:
    """Compare every corruption of an entry's view with its clean pictures.

    Returns:
        A row a corruption, in the suite's order; of a mixed suite, one row. Without corruptions,
        one row that compares the view with the whole panorama; none of that itself.
    """
    clean, by_name = _answers(entry)
    cells = entry.run.answers.cells
    if not by_name and entry.view != BASE.view and BASE in cells:
        clean, by_name = cells[BASE], {CLEAN: [clean]}
    if not by_name:
        return ()
    means: dict[tuple[str, str], Array] = {}
    for name, own in by_name.items():
        found = [decision_agreement(clean, answers) for answers in own]
        for what in _NUMBERS:
            known = [values for each in found if (values := getattr(each, what)) is not None]
            if len(known) == len(own):
                means[name, what] = np.mean(known, axis=0)
    low, high = resampled(np.stack([*means.values()]), lambda drawn: drawn)
    rows: dict[str, dict[str, Interval]] = {}
    for place, ((name, what), values) in enumerate(means.items()):
        scale = 1 if what == "rank_shift" else 100
        ends = scale * float(low[place]), scale * float(high[place])
        rows.setdefault(name, {})[what] = Interval(scale * float(values.mean()), *ends)
    return tuple(Agreement(name, numbers) for name, numbers in rows.items())


def trust_of(entry: Entry) -> Trust | None:
    """What the margins of an entry's view are worth, by the threshold of its clean pictures.

    Returns:
        None where a cell's margins are not known.
    """
    clean, by_name = _answers(entry)
    every = [clean, *(answers for cells in by_name.values() for answers in cells)]
    if any(each.margins is None or np.isnan(each.margins).any() for each in every):
        return None
    threshold = risk_coverage(clean).threshold(RISK)
    listed = {CLEAN: [clean], **by_name}
    rows = (_trust_row(name, cells, threshold) for name, cells in listed.items())
    return Trust(threshold, tuple(rows))


def _trust_row(name: str, cells: list[Answers], threshold: float | None) -> TrustRow:
    curves = [risk_coverage(answers) for answers in cells]
    accepted = [accept(answers, threshold) for answers in cells]
    numbers = (
        [1 - float(answers.hits.mean()) for answers in cells],
        [curve.aurc for curve in curves],
        [curve.excess_aurc for curve in curves],
        [each.coverage for each in accepted],
        [each.wrongly_accepted for each in accepted],
    )
    return TrustRow(name, *(100 * float(np.mean(values)) for values in numbers))


def _answers(entry: Entry) -> tuple[Answers, dict[str, list[Answers]]]:
    """The clean answers of a view, and those of its corruptions, a cell a severity."""
    suite, cells = entry.run.record.suite, entry.run.answers.cells
    clean = cells[Cell(view=entry.view, corruption=CLEAN, severity=0)]
    if suite.form == "mixed":
        return clean, {MIXED: [cells[Cell(view=entry.view, corruption=MIXED, severity=0)]]}
    by_name = {
        name: [
            cells[Cell(view=entry.view, corruption=name, severity=severity)]
            for severity in sorted(suite.severities)
        ]
        for name in suite.corruptions
    }
    return clean, by_name
