"""A report's tables to be read: numbers as texts, which of them are best, and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isinf, isnan

import pandas as pd

from cvgl_bench.report import Entry, Report, marks
from cvgl_bench.report_columns import Column, average_columns, cell_frame, corruption_columns
from cvgl_bench.statistics import Interval
from cvgl_bench.tables import NO_MORE_THAN_CHANCE, describe

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|`*<>[]$"} | {"\n": " ", "\r": " "})


@dataclass(frozen=True)
class TextTable:
    """A table to be read, a row a model.

    Attributes:
        name: a word for it, unlike that of another table of the report.
        caption: what its numbers are, in a sentence or two.
        texts: a column a head; "71.60 [68.2, 74.9]", or "-" where there is no number.
        best: of the same shape, whether a number is the best of its column.
        heads: short heads by head.
        groups: the columns that are best kept together, in order.
        notes: what is to be known of some rows.
    """

    name: str
    caption: str
    texts: pd.DataFrame
    best: pd.DataFrame
    heads: Mapping[str, str]
    groups: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def averages_table(report: Report, view: str) -> TextTable:
    """The averages of a view's models, and their places."""
    against = f"; mCE against {report.reference}" if report.reference else ""
    caption = (
        f"averages over all corruptions and severities{against}; models whose places overlap are "
        "statistically tied. RCE, relative mCE and breaking severity measure a model by itself: "
        "read them beside R@1"
    )
    rows = {entry.label: entry.averages for entry in report.of_view(view)}
    table = _table(report, view, ("averages", caption), rows, average_columns(report))
    place, none = "place", [False] * len(rows)
    *groups, last = table.groups
    return replace(
        table,
        texts=table.texts.assign(**{place: [entry.place for entry in report.of_view(view)]}),
        best=table.best.assign(**{place: none}),
        heads={**table.heads, place: place},
        groups=(*groups, (*last, place)),
    )


def corruptions_table(report: Report, view: str) -> TextTable | None:
    """R@1 of a view's models a corruption; None of a mixed suite."""
    groups = corruption_columns(report)
    if not groups:
        return None
    groups = [[Column("r1_clean", "Clean"), *groups[0]], *groups[1:]]
    rows = {entry.label: entry.averages for entry in report.of_view(view)}
    about = ("corruptions", "each corruption's mean over its severities")
    return _table(report, view, about, rows, groups)


def severity_tables(report: Report, view: str) -> list[TextTable]:
    """R@1 of a view's models a corruption, a table a severity; none of a mixed suite."""
    groups = corruption_columns(report)
    tables = []
    for severity in report.suite.severities if groups else ():
        rows = {
            entry.label: {
                f"r1_{cell.corruption}": each
                for cell, each in entry.cells.items()
                if cell.severity == severity
            }
            for entry in report.of_view(view)
        }
        about = (f"severity-{severity}", f"severity {severity}")
        tables.append(_table(report, view, about, rows, groups))
    return tables


def _table(
    report: Report,
    view: str,
    about: tuple[str, str],
    rows: Mapping[str, Mapping[str, Interval]],
    groups: Sequence[Sequence[Column]],
) -> TextTable:
    """A table of a name and caption, from numbers by model and column."""
    firm = [entry.beats_chance for entry in report.of_view(view)]
    texts, best = _texts(report, rows, groups, firm)
    return TextTable(
        about[0],
        _caption(report, view, about[1]),
        texts,
        best,
        {column.title: column.short or column.title for group in groups for column in group},
        tuple(tuple(column.title for column in group) for group in groups if group),
        _notes(report.of_view(view)),
    )


def _texts(
    report: Report,
    rows: Mapping[str, Mapping[str, Interval]],
    groups: Sequence[Sequence[Column]],
    firm: Sequence[bool],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A column a head, a row a model: the numbers as texts, and whether each is the best."""
    above = f">{max(report.suite.severities)}"
    texts, best = {}, {}
    for column in (column for group in groups for column in group):
        found = [row.get(column.key) for row in rows.values()]
        limits = report.has_intervals and column.has_interval
        texts[column.title] = [_text(each, above, limits=limits) for each in found]
        if column.is_relative:
            found = [each if ok else None for each, ok in zip(found, firm, strict=True)]
        best[column.title] = _best(found, lower=column.lower_is_better)
    index = pd.Index(list(rows), name="model")
    return pd.DataFrame(texts, index), pd.DataFrame(best, index)


def _text(number: Interval | None, above: str, *, limits: bool) -> str:
    if number is None or isnan(number.value):
        return "-"
    text = above if isinf(number.value) else f"{number.value:.2f}"
    if not limits:
        return text
    unknown = isnan(number.low) or isnan(number.high)
    return f"{text} [-]" if unknown else f"{text} [{number.low:.1f}, {number.high:.1f}]"


def _best(found: Sequence[Interval | None], *, lower: bool) -> list[bool]:
    """Which numbers, as they are printed, no other surpasses; none where there is but one."""
    printed = [float("nan") if each is None else round(each.value, 2) for each in found]
    known = [value for value in printed if not isnan(value)]
    if len(known) < 2:
        return [False] * len(found)
    top = min(known) if lower else max(known)
    return [value == top for value in printed]


def _caption(report: Report, view: str, what: str) -> str:
    data = report.runs[0].record.data
    where = "" if view == "full" else f", view {view}"
    brackets = " In brackets: 95 % intervals over queries." if report.has_intervals else ""
    return (
        f"R@1 in percent on {report.suite.label}{where} ({data.queries:,} queries, "
        f"{data.references:,} references): {what}.{brackets}"
    )


def _notes(entries: Sequence[Entry]) -> tuple[str, ...]:
    marked = [f"{entry.label}: {mark}." for entry in entries for mark in marks(entry.run)]
    guesses = [
        f"{entry.label} {NO_MORE_THAN_CHANCE}." for entry in entries if not entry.beats_chance
    ]
    return (*marked, *guesses)


def table_markdown(table: TextTable) -> str:
    """A table in Markdown; characters that mean something there are escaped."""
    return _laid_out(table.texts.rename(index=_plain, columns=_plain))


def table_text(table: TextTable) -> str:
    """A table for a terminal: the same, with names as they are."""
    return _laid_out(table.texts.rename(index=lambda name: " ".join(name.splitlines())))


def _laid_out(texts: pd.DataFrame) -> str:
    sides = ("left", *("right" for _ in texts.columns))
    return texts.to_markdown(disable_numparse=True, colalign=sides)


def table_page(table: TextTable) -> str:
    """A table below its caption, in Markdown."""
    return f"{_plain(table.caption)}\n\n{table_markdown(table)}\n"


def _plain(text: str) -> str:
    return text.translate(_MARKDOWN)


def models_page(report: Report) -> str:
    """The tables of averages and corruptions of every view, and what the runs are, in Markdown."""
    parts = []
    for view in report.views:
        for table in (averages_table(report, view), corruptions_table(report, view)):
            if table is not None:
                parts += [_plain(table.caption), table_markdown(table)]
    parts += ["\n".join(f"- {_plain(line)}" for line in run_notes(report))]
    return "\n\n".join(parts) + "\n"


def cells_page(report: Report) -> str:
    """Every cell of every run, in Markdown."""
    frame = cell_frame(report).reset_index()
    frame["model"] = frame["model"].map(_plain)
    body = frame.astype(object).where(frame.notna(), None)
    text = body.to_markdown(index=False, floatfmt=".2f", missingval="-")
    return f"Recalls in percent, errors in metres.\n\n{text}\n"


def run_notes(report: Report) -> list[str]:
    """What each run is, a text a run; and which views it lacks."""
    notes = []
    for run in report.runs:
        notes.append(" ".join(describe(run.record).splitlines()))
        if missing := [view for view in report.views if view not in run.views]:
            notes.append(f"{run.name} has no view {', '.join(missing)}.")
    return notes
