"""The numbers that others report: a table a data set, every number with its source."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cvgl_bench.published import DATA, MEAN, Average, Published, Source, averages
from cvgl_bench.site.pages import Pages, Site, render, spoken
from cvgl_bench.suite import CLEAN
from cvgl_bench.views import FULL, parse_view

_TITLES: Final = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "r1p": "R@1 %", "ap": "AP"}
_ADDRESS: Final = re.compile(r"https://[A-Za-z0-9./_~-]+")

Column = tuple[str, str, str]  # Corruption, view and metric.


@dataclass(frozen=True)
class Printed:
    """A printed number, the marks of its footnotes, and whether it does not follow from others."""

    value: str
    marks: tuple[int, ...] = ()
    disagrees: bool = False


@dataclass(frozen=True)
class Method:
    """What one source reports of one method: a number a column, None where it prints none."""

    name: str
    source: str
    numbers: tuple[Printed | None, ...]


@dataclass(frozen=True)
class Table:
    """Some methods on a data set, with the columns that any of them has.

    Attributes:
        kind: "methods" or "variants".
        columns: the heads.
        methods: a row each.
    """

    kind: str
    columns: tuple[str, ...]
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class DataSet:
    """All reported numbers of a data set.

    Attributes:
        name: in this toolkit's words.
        tables: of the methods, then of their variants.
        notes: by the numbers of the marks.
    """

    name: str
    tables: tuple[Table, ...]
    notes: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Cited:
    """A source, with its address if it says one."""

    source: Source
    address: str


def pages(site: Site) -> Pages:
    """The page of reported numbers; none without such numbers."""
    if not site.published:
        return {}
    sets = [_data_set(name, site.published) for name in DATA]
    page = render(
        "reported.html",
        site=site,
        page="reported.html",
        sets=[each for each in sets if each.tables],
        cited=[Cited(each, address_of(each.where)) for each in site.sources.values()],
        sources=site.sources,
    )
    return {"reported.html": page}


def address_of(where: str) -> str:
    """The first address of a text, https only; "" if there is none that is whole."""
    found = _ADDRESS.search(where)
    address = found.group().rstrip(".") if found else ""
    host = urlsplit(address).hostname or ""
    return address if "." in host else ""


def _data_set(name: str, published: Iterable[Published]) -> DataSet:
    rows = [row for row in published if row.data == name]
    wrong = {
        (each.method, each.source, each.printed): each for each in averages(rows) if not each.agrees
    }
    notes: dict[str, int] = {}
    cells: dict[tuple[str, str], dict[Column, Printed]] = {}
    for row in rows:
        words = [row.note] if row.note else []
        is_average = MEAN in (row.corruption, row.view)
        found = wrong.get((row.method, row.source, row.value)) if is_average else None
        if found:
            words.append(_disagreement(found))
        marks = tuple(notes.setdefault(text, len(notes) + 1) for text in words)
        own = cells.setdefault((row.method, row.source), {})
        own[row.corruption, row.view, row.metric] = Printed(row.value, marks, found is not None)
    # What a method's name adds after a colon or in brackets tells a variant.
    variants = {key: own for key, own in cells.items() if any(mark in key[0] for mark in ":(")}
    methods = {key: own for key, own in cells.items() if key not in variants}
    parts = (("methods", methods), ("variants", variants))
    tables = tuple(_table(kind, own) for kind, own in parts if own)
    return DataSet(name, tables, tuple((mark, text) for text, mark in notes.items()))


def _table(kind: str, cells: Mapping[tuple[str, str], Mapping[Column, Printed]]) -> Table:
    columns = list(dict.fromkeys(column for own in cells.values() for column in own))
    corruptions = list(dict.fromkeys(corruption for corruption, _, _ in columns))

    def place(column: Column) -> tuple[float, int, int, int]:
        """The whole panorama first, then narrower views; clean first, averages last."""
        corruption, view, metric = column
        if view == MEAN:
            width = math.inf
        else:
            width = -math.inf if view == FULL.name else -parse_view(view).fov_degrees
        rank = {CLEAN: 0, MEAN: 2}.get(corruption, 1)
        return width, rank, corruptions.index(corruption), list(_TITLES).index(metric)

    columns.sort(key=place)
    return Table(
        kind,
        tuple(_title(column, columns) for column in columns),
        tuple(
            Method(method, source, tuple(own.get(column) for column in columns))
            for (method, source), own in cells.items()
        ),
    )


def _title(column: Column, columns: Sequence[Column]) -> str:
    """What tells a column from the others of its table; its metric if nothing does."""
    corruption, view, metric = column
    words = (spoken(corruption), "mean of views" if view == MEAN else view, _TITLES[metric])
    several = [len({each[part] for each in columns}) > 1 for part in range(3)]
    parts = [word for word, is_told in zip(words, several, strict=True) if is_told]
    return ", ".join(parts) or words[-1]


def _disagreement(each: Average) -> str:
    return (
        f"The printed average is not the mean of its {each.columns} printed columns, "
        f"{each.recomputed}."
    )
