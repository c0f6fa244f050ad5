"""The table of a suite without corruptions: an entry's R@1 in every view, side by side."""

from collections.abc import Mapping

import numpy as np

from cvgl_bench.leaderboard import Board
from cvgl_bench.pairing import standings
from cvgl_bench.report import Report
from cvgl_bench.runs import Run
from cvgl_bench.site.tables import (
    COST_HEADS,
    Head,
    Row,
    Table,
    cost_of,
    costs_of,
    place_of,
    shown_all,
    states_costs,
)
from cvgl_bench.statistics import Array, Interval, with_intervals
from cvgl_bench.suite import CLEAN, Cell, Suite


def fields_table(board: Board, report: Report, names: Mapping[str, str]) -> Table:
    """Set every entry's views side by side, best mean over views first.

    Args:
        board: of a suite without corruptions.
        report: of the board.
        names: what its entries are called.

    Returns:
        The table of all views. Places are by the queries' mean scores over the views, tested as
        `pairing.standings` does.
    """
    suite = board.suite
    hits = {entry: _hits(run, suite) for entry, run in board.runs.items()}
    means = {entry: _mean(each) for entry, each in hits.items()}
    places = standings({entry: each.mean(axis=0) for entry, each in hits.items()})
    order = sorted(board.runs, key=lambda entry: -means[entry].value)
    by_view = {
        view: {entry.run.name: entry.averages["r1_clean"] for entry in report.of_view(view)}
        for view in suite.views
    }
    columns = [[own[entry] for entry in order] for own in by_view.values()]
    columns.append([means[entry] for entry in order])
    shown = [shown_all(column, lower_is_better=False) for column in columns]
    rows, with_cost = [], states_costs(board)
    for at, entry in enumerate(order):
        record = board.runs[entry].record
        text, key = place_of(places[entry])
        run = board.runs[entry]
        costs = costs_of(run) if with_cost else ()
        numbers = (*(column[at] for column in shown), cost_of(run), *costs)
        date = record.date.isoformat()
        rows.append(Row(entry, names[entry], text, key, record.status, date, numbers, ()))
    heads = [Head(f"R@1 {view}", "main") for view in suite.views]
    heads += [Head("mean over views", "main"), Head("ms per query", "main", better="lower")]
    heads += COST_HEADS if with_cost else ()
    return Table("all", tuple(heads), tuple(rows))


def _hits(run: Run, suite: Suite) -> Array:
    cells = run.answers.cells
    clean = (Cell(view=view, corruption=CLEAN, severity=0) for view in suite.views)
    return np.stack([cells[cell].hits for cell in clean])


def _mean(hits: Array) -> Interval:
    """The mean over views with its interval, in percent."""
    found = with_intervals(hits, lambda recalls: {"mean": recalls.mean(axis=0)})["mean"]
    return Interval(100 * found.value, 100 * found.low, 100 * found.high)
