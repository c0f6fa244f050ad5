"""Whether a model knows when it is wrong: answers accepted by their margin, and the risk of that.

An answer's margin is how much more similar the found reference is than the second. Whoever accepts
only answers of large margins answers fewer queries (coverage), and hopes to be wrong in fewer of
them (risk). docs/protocol.md has the formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cvgl_bench.answers import Answers
from cvgl_bench.consistency import BASE
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.suite import Cell

RISKS: Final = (0.01, 0.05)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RiskCoverage:
    """Queries accepted in the order of falling margin, equal margins together.

    Attributes:
        queries: how many there are, Q.
        margins: (K,), the different margins, falling; at the k-th point all answers with at least
            that margin are accepted.
        accepted: (K,), how many answers that is.
        wrong: (K,), how many of them are wrong.
    """

    queries: int
    margins: NDArray[np.float32]
    accepted: NDArray[np.int64]
    wrong: NDArray[np.int64]

    @property
    def coverage(self) -> Array:
        """Share of queries that are accepted, (K,), rising to 1."""
        shares: Array = self.accepted / self.queries
        return shares

    @property
    def risk(self) -> Array:
        """Share of the accepted answers that are wrong, (K,); at the end, the error rate."""
        shares: Array = self.wrong / self.accepted
        return shares

    @property
    def aurc(self) -> float:
        """Area under risk over coverage, 0 to 1: each step of coverage at the risk at its end.

        That is the mean over queries of the risk when a query is accepted.

        Source: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, who have no ties.
        """
        return float(np.sum(np.diff(self.accepted, prepend=0) * self.risk) / self.queries)

    @property
    def best_aurc(self) -> float:
        """The area if all wrong answers came last, one by one: no order has a smaller one."""
        right = self.queries - int(self.wrong[-1])
        accepted = np.arange(right + 1, self.queries + 1)
        return float(np.sum((accepted - right) / accepted) / self.queries)

    @property
    def excess_aurc(self) -> float:
        """E-AURC: the area less that of the best order, at least 0.

        Source: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, with the best order's area
        summed where they approximate it by an integral.
        """
        return self.aurc - self.best_aurc

    def threshold(self, risk: float) -> float | None:
        """The margin at which the most answers are accepted at no more than a risk.

        Args:
            risk: the largest share of accepted answers that may be wrong, in [0, 1).

        Returns:
            The smallest accepted margin; None where no margin has so small a risk.

        Raises:
            RecordError: the risk lies elsewhere.
        """
        if not 0 <= risk < 1:
            raise RecordError(f"a wanted risk lies in [0, 1), as 0.05 does, not {risk:g}.")
        allowed = np.flatnonzero(self.risk <= risk)
        return float(self.margins[allowed[-1]]) if allowed.size else None


@dataclass(frozen=True)
class Acceptance:
    """What a threshold on the margin does to the answers of a cell.

    Attributes:
        coverage: share of queries whose answer is accepted.
        wrong_of_accepted: share of the accepted answers that are wrong; NaN if none is accepted.
        wrongly_accepted: share of all queries whose answer is accepted and wrong.
    """

    coverage: float
    wrong_of_accepted: float
    wrongly_accepted: float


def risk_coverage(answers: Answers) -> RiskCoverage:
    """Compute the curve of a cell.

    Raises:
        RecordError: its margins are not known, or a NaN.
    """
    margins = _margins(answers)
    distinct, counts = np.unique(margins, return_counts=True)
    missed = np.zeros(len(distinct), np.int64)
    np.add.at(missed, np.searchsorted(distinct, margins), (answers.hits == 0).astype(np.int64))
    return RiskCoverage(
        len(margins), distinct[::-1], np.cumsum(counts[::-1]), np.cumsum(missed[::-1])
    )


def accept(answers: Answers, threshold: float | None) -> Acceptance:
    """Accept the answers of a cell whose margin is at least a threshold; none if it is None.

    Raises:
        RecordError: the cell's margins are not known, or a NaN.
    """
    margins = _margins(answers)
    is_accepted = np.zeros(len(margins), bool) if threshold is None else margins >= threshold
    wrong = int(np.count_nonzero(is_accepted & (answers.hits == 0)))
    accepted, queries = int(np.count_nonzero(is_accepted)), len(margins)
    of_accepted = wrong / accepted if accepted else float("nan")
    return Acceptance(accepted / queries, of_accepted, wrong / queries)


def _margins(answers: Answers) -> NDArray[np.float32]:
    if answers.margins is None:
        raise RecordError(
            "these ranks have no margins, without which nothing is known of how sure the answers "
            "are: score the embeddings, or add a column 'margin'."
        )
    if unknown := int(np.count_nonzero(np.isnan(answers.margins))):
        raise RecordError(
            f"{unknown} of {len(answers.margins)} answers have no margin (NaN), as in a gallery of "
            "one reference; how far they can be trusted cannot be said."
        )
    return answers.margins


def trust_table(run: RunAnswers, risks: Sequence[float] = RISKS, base: Cell = BASE) -> pd.DataFrame:
    """How far the answers of every cell can be trusted, alone and by thresholds of the base.

    Args:
        run: answers with margins.
        risks: wanted shares of wrong answers among the accepted ones, in [0, 1). For each, the
            threshold is chosen on the base and kept for all cells.
        base: the cell that thresholds are chosen on, clean panoramas as they are. Its own row is
            what the choice was made by, and says less than those of other queries would.

    Returns:
        A row a cell and risk: `view`, `corruption`, `severity`; of the cell, `error` (1 - R@1),
        `aurc` and `excess_aurc`; `risk`, as wanted, its `threshold` (NaN where none reaches it),
        and the numbers of `Acceptance`. Shares are fractions.

    Raises:
        RecordError: the run lacks the base, a margin is missing, or a risk lies outside [0, 1).
    """
    if base not in run.cells:
        raise RecordError(
            f"the run of {run.provenance.model.name} has no cell {base} to choose thresholds on."
        )
    chosen = _named(base, run.cells[base])
    thresholds = {risk: chosen.threshold(risk) for risk in risks}
    rows: list[dict[str, object]] = []
    for cell, answers in run.cells.items():
        curve = _named(cell, answers)
        about = cell.model_dump() | {
            "error": float(curve.risk[-1]),
            "aurc": curve.aurc,
            "excess_aurc": curve.excess_aurc,
        }
        for risk, threshold in thresholds.items():
            margin = float("nan") if threshold is None else threshold
            rows.append(
                about | {"risk": risk, "threshold": margin} | vars(accept(answers, threshold))
            )
    return pd.DataFrame(rows)


def _named(cell: Cell, answers: Answers) -> RiskCoverage:
    try:
        return risk_coverage(answers)
    except RecordError as error:
        raise RecordError(f"{cell}: {error}") from error
