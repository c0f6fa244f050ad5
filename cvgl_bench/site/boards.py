"""The first page, and a page a suite: every entry with its numbers, to be sorted and filtered."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from cvgl_bench.leaderboard import Board, csv_of
from cvgl_bench.report import BREAKING, Entry, Report, build_report
from cvgl_bench.report_columns import Column, average_columns, corruption_columns
from cvgl_bench.runs import Run
from cvgl_bench.site.fields import fields_table
from cvgl_bench.site.pages import Pages, Site, number, render
from cvgl_bench.site.tables import (
    COST_HEADS,
    Head,
    Row,
    Shown,
    Table,
    cost_of,
    costs_of,
    place_of,
    shown_all,
    states_costs,
)
from cvgl_bench.statistics import Interval
from cvgl_bench.suite import Cell, Suite

NEVER: Final = "none"


def report_of(board: Board) -> Report:
    """Compute the numbers of a board's runs, each under the name of its entry.

    Two entries may be of one model with other weights, and a report names each run once.
    """
    runs = [_renamed(run, entry) for entry, run in board.runs.items()]
    return build_report(runs, reference=board.reference or None, views=board.suite.views)


def _renamed(run: Run, entry: str) -> Run:
    card = run.record.model.model_copy(update={"name": entry})
    return replace(run, record=run.record.model_copy(update={"model": card}))


def names_of(board: Board) -> dict[str, str]:
    """What entries are called on a page: the model, and its weights where that is not enough."""
    models = [run.name for run in board.runs.values()]
    return {
        entry: run.name
        if models.count(run.name) == 1
        else f"{run.name} ({run.record.model.weights_sha256[:8] or 'no weights'})"
        for entry, run in board.runs.items()
    }


def pages(site: Site, reports: Mapping[str, Report]) -> Pages:
    """The first page, and a page and a CSV a suite.

    Args:
        site: what is shown.
        reports: of every board, by the label of its suite; see `report_of`.
    """
    tables = {
        board.suite.label: _tables(board, reports[board.suite.label]) for board in site.boards
    }
    cards = [(board, _leaders(board, tables[board.suite.label])) for board in site.boards]
    made = {"index.html": render("index.html", site=site, page="index.html", cards=cards)}
    for board in site.boards:
        page = f"{board.suite.label}.html"
        made[f"{board.suite.label}.csv"] = csv_of(board)
        made[page] = render(
            "suite.html",
            site=site,
            page=page,
            board=board,
            suite=board.suite,
            tables=tables[board.suite.label],
            reference=names_of(board).get(board.reference, ""),
            with_cost=states_costs(board),
            record=next(iter(board.runs.values())).record,
        )
    return made


def _leaders(board: Board, tables: Sequence[Table]) -> list[Table]:
    """The best five of every table, with the columns that matter most."""
    count = 3 if board.suite.corruptions else len(board.suite.views) + 1
    return [
        replace(
            table,
            heads=table.heads[:count],
            rows=tuple(replace(row, numbers=row.numbers[:count]) for row in table.rows[:5]),
        )
        for table in tables
    ]


def _tables(board: Board, report: Report) -> list[Table]:
    names = names_of(board)
    if not board.suite.corruptions:
        return [fields_table(board, report, names)]
    columns, heads = _columns(report)
    with_cost = states_costs(board)
    heads += COST_HEADS if with_cost else ()
    tables = []
    for view in board.suite.views:
        entries = report.of_view(view)
        shown = [_column(column, entries) for column in columns]
        rows = [
            _row(
                entry,
                names[entry.run.name],
                [own[place] for own in shown],
                costs_of(entry.run) if with_cost else (),
            )
            for place, entry in enumerate(entries)
        ]
        tables.append(Table(view, heads, tuple(rows)))
    return tables


def _columns(report: Report) -> tuple[list[Column], tuple[Head, ...]]:
    """The columns with the heads that they and the cost, which comes last, have."""
    groups = average_columns(report)
    main, families = groups[0], groups[1] if len(groups) > 1 else []
    others = [column for group in groups[2:] for column in group]
    main = [*main, *(column for column in others if column.key == "mce")]
    more = [Column("r1_codec", "R@1 codec")] if report.suite.form == "grid" else []
    more += [column for column in others if column.key != "mce"]
    corruptions = [column for group in corruption_columns(report) for column in group]
    listed = [
        (group, column)
        for group, own in (
            ("main", main),
            ("family", families),
            ("more", more),
            ("corruption", corruptions),
        )
        for column in own
    ]
    heads = [
        Head(
            "mCE" if column.key == "mce" else column.title.replace("Clean", "R@1 clean"),
            group,
            column.key.removeprefix("r1_") if group == "corruption" else "",
            "lower" if column.lower_is_better else "higher",
        )
        for group, column in listed
    ]
    cost = Head("ms per query", "main", better="lower")
    return [column for _, column in listed], (*heads, cost)


def _row(entry: Entry, name: str, numbers: Sequence[Shown], costs: Sequence[Shown]) -> Row:
    record = entry.run.record
    return Row(
        entry.run.name,
        name,
        *place_of(entry.standing),
        record.status,
        record.date.isoformat(),
        (*numbers, cost_of(entry.run), *costs),
        _cells(entry, record.suite),
    )


def _cells(entry: Entry, suite: Suite) -> tuple[int, ...]:
    if suite.form == "mixed":
        return ()
    return tuple(
        round(100 * entry.cells[Cell(view=entry.view, corruption=name, severity=severity)].value)
        for name in suite.corruptions
        for severity in sorted(suite.severities)
    )


def _column(column: Column, entries: Sequence[Entry]) -> list[Shown]:
    """A column's numbers; what measures a model by its clean R@1 not of one that guesses."""
    found = [
        None if column.is_relative and not entry.beats_chance else entry.averages.get(column.key)
        for entry in entries
    ]
    if column.key == BREAKING:
        return [_breaking(each) for each in found]
    return shown_all(found, lower_is_better=column.lower_is_better)


def _breaking(each: Interval | None) -> Shown:
    if each is None or math.isnan(each.value):
        return Shown(number(None))
    if math.isinf(each.value):
        return Shown(NEVER, "", "99")
    return Shown(number(each.value, 2), "", f"{each.value:.6f}")
