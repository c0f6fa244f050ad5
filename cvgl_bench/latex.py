r"""A report's tables in LaTeX, for papers: \usepackage{booktabs} is all that they need."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import pandas as pd

from cvgl_bench.report import Report
from cvgl_bench.report_tables import (
    TextTable,
    averages_table,
    corruptions_table,
    severity_tables,
)

# In points: across a page of letter or A4 with margins of an inch, or across two columns.
TEXT_WIDTH: Final = 470
_CHARACTER = 4.1  # of \scriptsize, a little wider than its digits
_GAP = 4  # between two columns
_NAME_WIDTH = 100  # of a column whose names are broken into lines

_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    # In braces: read by \\ at a line's end, or drawn together with a neighbour.
    | {c: f"{{{c}}}" for c in "[*`'"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
        '"': "''",
    }
)


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; what is not ASCII becomes a question mark."""
    known = text.encode("ascii", "replace").decode()
    plain = "".join(c if c.isprintable() else " " for c in known).translate(_ESCAPES)
    return re.sub("-(?=-)", "-{}", plain)


def models_file(report: Report) -> str:
    """The tables of averages and corruptions of every view."""
    tables = []
    for view in report.views:
        for table in (averages_table(report, view), corruptions_table(report, view)):
            if table is not None:
                tables += [*_floats(report, view, table)]
    return _file(tables)


def cells_file(report: Report) -> str:
    """A table a view and severity: R@1 of every model a corruption."""
    tables = [
        text
        for view in report.views
        for table in severity_tables(report, view)
        for text in _floats(report, view, table)
    ]
    return _file(tables)


def tables_file(report: Report, tables: Sequence[TextTable]) -> str:
    """Tables of a report that are of no view but the whole."""
    return _file([text for table in tables for text in _floats(report, "full", table)])


def _file(tables: Sequence[str]) -> str:
    return "\n".join(["% \\usepackage{booktabs}", *tables])


def _floats(report: Report, view: str, table: TextTable) -> Iterator[str]:
    """A table as floats, more than one if it is wider than a page."""
    parts = _parts(table)
    for number, columns in enumerate(parts, start=1):
        part = f"-{number}" if len(parts) > 1 else ""
        label = "".join(
            c if c.isascii() and (c.isalnum() or c in "-.") else "-"
            for c in f"{report.suite.label}-{view}-{table.name}{part}"
        )
        notes = [f"\n\\par\\smallskip {escape(note)}" for note in table.notes]
        caption = escape(table.caption) + (f" Part {number} of {len(parts)}." if part else "")
        yield "\n".join(
            [
                "\\begin{table*}",
                "\\centering",
                f"\\caption{{{caption}}}",
                f"\\label{{tab:{label}}}",
                "\\scriptsize",
                f"\\setlength{{\\tabcolsep}}{{{_GAP / 2:g}pt}}",
                _tabular(table, columns) + "".join(notes),
                "\\end{table*}",
                "",
            ]
        )


def _tabular(table: TextTable, columns: Sequence[str]) -> str:
    """The tabular itself, by pandas; the best numbers in bold, their intervals not."""
    cells = {
        escape(table.heads[title]): [
            _cell(text, is_best=is_best)
            for text, is_best in zip(table.texts[title], table.best[title], strict=True)
        ]
        for title in columns
    }
    models = [escape(name) for name in table.texts.index]
    frame = pd.DataFrame({"model": models} | cells)
    first = "l" if _names_width(table) < _NAME_WIDTH else f"p{{{_NAME_WIDTH}pt}}"
    form = first + "r" * len(columns)
    return frame.to_latex(index=False, escape=False, column_format=form).rstrip()


def _cell(text: str, *, is_best: bool) -> str:
    number, gap, interval = (_signs(part) for part in text.partition(" "))
    return (f"\\textbf{{{number}}}" if is_best else number) + gap + interval


def _signs(text: str) -> str:
    """A number's minus and greater-than signs as LaTeX has them; dashes elsewhere."""
    text = re.sub(r"-(?!\d)|(?<=\d)-", "--", text)
    return re.sub(r"(?<!-)(-(?=\d)|>)", r"$\1$", text)


def _parts(table: TextTable) -> list[list[str]]:
    """The columns that fit on a page together with the models' names, group by group."""
    room = TEXT_WIDTH - min(_names_width(table), _NAME_WIDTH)
    widths = {
        title: _width([table.heads[title], *table.texts[title]]) for title in table.texts.columns
    }
    units: list[list[str]] = []
    for group in table.groups:
        fits = sum(widths[title] for title in group) <= room
        units += [list(group)] if fits else [[title] for title in group]
    parts: list[list[str]] = []
    for unit in units:
        taken = sum(widths[title] for title in [*(parts[-1] if parts else []), *unit])
        if parts and taken <= room:
            parts[-1] += unit
        else:
            parts.append(list(unit))
    return parts


def _names_width(table: TextTable) -> float:
    return _width(["model", *table.texts.index])


def _width(texts: Sequence[str]) -> float:
    return max(len(text) for text in texts) * _CHARACTER + _GAP
