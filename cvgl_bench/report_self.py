"""A report's tables of each run against itself: how far it agrees, and whether it knows."""

from collections.abc import Callable

import pandas as pd

from cvgl_bench.consistency import BASE, consistency_table
from cvgl_bench.report import Report
from cvgl_bench.runs import Run
from cvgl_bench.trust import trust_table


def agreement_frame(report: Report) -> tuple[pd.DataFrame | None, list[str]]:
    """Every run's cells against its clean panoramas; see `consistency.consistency_table`.

    Returns:
        The table, None if no run has one; and a sentence for each run that is left out.
    """

    def lacks(run: Run) -> str:
        cells = run.answers.cells
        return "" if BASE in cells and len(cells) > 1 else f"it has no cell beside {BASE}"

    return _joined(
        report, "consistency", lacks, lambda run: consistency_table(run.answers, run.embeddings)
    )


def trust_frame(report: Report) -> tuple[pd.DataFrame | None, list[str]]:
    """What every run's margins are worth; see `trust.trust_table`. Returns as the other does."""

    def lacks(run: Run) -> str:
        cells = run.answers.cells
        if BASE not in cells:
            return f"it has no cell {BASE}"
        known = all(each.margins is not None for each in cells.values())
        return "" if known else "its ranks have no margins; score its embeddings again"

    return _joined(report, "trust", lacks, lambda run: trust_table(run.answers))


def _joined(
    report: Report, what: str, lacks: Callable[[Run], str], table: Callable[[Run], pd.DataFrame]
) -> tuple[pd.DataFrame | None, list[str]]:
    frames, left_out = [], []
    for run in report.runs:
        if reason := lacks(run):
            left_out.append(f"{what}.csv leaves {run.name} out: {reason}.")
            continue
        frames.append(table(run).assign(model=run.name).set_index("model"))
    return (pd.concat(frames) if frames else None), left_out
