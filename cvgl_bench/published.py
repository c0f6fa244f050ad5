"""Numbers that others report: one CSV a table, one row a number, each with its source.

FOLDER/sources.csv    where numbers come from
FOLDER/<table>.csv    the numbers, as printed; what nobody printed is computed when it is needed

None of them was measured here, and none of them enters a record or a leaderboard.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from corruptions import CORRUPTIONS
from cvgl_bench.errors import RecordError, SuiteError, first_fault, unknown
from cvgl_bench.suite import CLEAN, MIXED
from cvgl_bench.views import FULL, parse_view

SOURCES: Final = "sources.csv"
MEAN: Final = "mean"
DATA: Final = (
    "cvusa",
    "cvact",
    "cvact-val",
    "cvact-test",
    "cvusa-c",
    "cvact-val-c",
    "cvusa-c-all",
    "cvact-val-c-all",
    "cvact-test-c-all",
    "vigor-same-area",
    "vigor-cross-area",
    "university-1652-drone-to-satellite",
    "university-1652-satellite-to-drone",
)

_NUMBER = re.compile(r"(0|[1-9][0-9]{0,2})(\.[0-9]{1,3})?")


def _fault(words: str) -> PydanticCustomError:
    """A fault in our own words: a ValueError's would begin with "Value error"."""
    return PydanticCustomError("published", "{words}", {"words": words.rstrip(".")})


def _one_line(text: str) -> str:
    # Texts go into Markdown and HTML tables and are opened in spreadsheets.
    plain = text.isprintable() and text == text.strip() and not set(text) & set("<>|`")
    if text and not (plain and text[0].isalnum()):
        raise _fault(
            f"{text[:40]!a} must be one line that begins with a letter or digit, without < > | `"
        )
    return text


def _percentage(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise _fault(f"{text[:40]!a} is no number in percent, such as 50.52")
    if Decimal(text) > 100:
        raise _fault(f"{text} is more than 100 percent")
    return text


def _data(name: str) -> str:
    if name not in DATA:
        raise _fault(unknown("data", name, DATA))
    return name


def _corruption(name: str) -> str:
    known = (*CORRUPTIONS, CLEAN, MIXED, MEAN)
    if name not in known:
        raise _fault(unknown("corruption", name, known))
    return name


def _view(name: str) -> str:
    try:
        canonical = MEAN if name == MEAN else parse_view(name).name
    except SuiteError as error:
        raise _fault(str(error)) from error
    if name != canonical:
        raise _fault(f"view '{name}' is spelled {canonical}")
    return name


Text = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Words = Annotated[Text, Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Row):
    """Where numbers come from; the fields are the columns of `sources.csv`.

    Attributes:
        key: what the tables call it.
        citation: the work.
        where: address and revision, and the file or figure.
        kind: "notes" and "list" are second-hand.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    citation: Words
    where: Words
    kind: Literal["paper", "poster", "project site", "code", "notes", "list"]


class Published(_Row):
    """One printed number; the fields are the columns of every table.

    Attributes:
        method: the method, and what tells its variants apart.
        data: one of `DATA`.
        corruption: a corruption's name, "clean", "mixed" for the sets with one drawn a query, or
            "mean" for the average that was printed.
        view: a view's name, or "mean" for the average over views that was printed.
        metric: r1, r5, r10, r1p: R@1, R@5, R@10, R@1 %; ap: average precision.
        value: percent, to the printed decimals.
        source: the key of a source.
        note: what to know before comparing it.
    """

    method: Words
    data: Annotated[Words, AfterValidator(_data)]
    corruption: Annotated[Words, AfterValidator(_corruption)]
    view: Annotated[Words, AfterValidator(_view)]
    metric: Literal["r1", "r5", "r10", "r1p", "ap"]
    value: Annotated[str, AfterValidator(_percentage)]
    source: Words
    note: Text = ""

    @property
    def cell(self) -> tuple[str, ...]:
        """What no other row has: one source prints one number for it."""
        return (self.method, self.data, self.corruption, self.view, self.metric, self.source)


@dataclass(frozen=True)
class Average:
    """An average that was printed, and what its columns give.

    Attributes:
        printed: percent, to the printed decimals.
        recomputed: the exact mean of the printed columns.
        columns: how many there are.
    """

    method: str
    data: str
    source: str
    printed: str
    recomputed: Decimal
    columns: int

    @property
    def difference(self) -> Decimal:
        """Printed less recomputed."""
        return Decimal(self.printed) - self.recomputed

    @property
    def agrees(self) -> bool:
        """Whether the mean of the columns, rounded like the printed average, is that average."""
        _, _, exponent = Decimal(self.printed).as_tuple()
        return abs(self.difference) <= Decimal(5).scaleb(int(exponent) - 1)


_AnyRow = TypeVar("_AnyRow", bound=_Row)


def read_published(folder: Path) -> tuple[Published, ...]:
    """Read every table of a folder, in the order of file names and lines.

    Raises:
        RecordError: a file cannot be read, lacks a column, or holds a row that is malformed, has
            an unknown source or is there twice; or there is no number at all.
    """
    sources = read_sources(folder)
    places: dict[tuple[str, ...], str] = {}
    rows = []
    for path in sorted(folder.glob("*.csv")):
        if path.name == SOURCES:
            continue
        for line, row in _read(path, Published):
            place = f"{path}, line {line}"
            if row.source not in sources:
                raise RecordError(f"{place}: {unknown('source', row.source, sources)}")
            if row.cell in places:
                raise RecordError(f"{place}: the same cell is at {places[row.cell]} already.")
            places[row.cell] = place
            rows.append(row)
    if not rows:
        raise RecordError(f"{folder} holds no published numbers.")
    return tuple(rows)


def read_sources(folder: Path) -> dict[str, Source]:
    """Read `sources.csv`, by key.

    Raises:
        RecordError: it cannot be read, a row is malformed, or a key is there twice.
    """
    path = folder / SOURCES
    sources: dict[str, Source] = {}
    for line, source in _read(path, Source):
        if source.key in sources:
            raise RecordError(f"{path}, line {line}: the source {source.key} is there twice.")
        sources[source.key] = source
    return sources


def averages(rows: Iterable[Published]) -> tuple[Average, ...]:
    """Recompute every printed average as the plain mean of its printed columns.

    The columns are the corruptions of the same method, data, view and metric from the same source;
    for an average over views, all views but the full one. An average that was printed without
    columns is left out.
    """
    every = list(rows)
    result = []
    for row in every:
        if MEAN in (row.corruption, row.view) and (values := _columns(row, every)):
            mean = sum(values, Decimal(0)) / len(values)
            result.append(Average(row.method, row.data, row.source, row.value, mean, len(values)))
    return tuple(result)


def _columns(average: Published, rows: Sequence[Published]) -> list[Decimal]:
    same = [row for row in rows if _printed_beside(row, average)]
    if average.corruption == MEAN:
        same = [r for r in same if r.view == average.view and r.corruption in CORRUPTIONS]
    else:
        views = (MEAN, FULL.name)
        same = [r for r in same if r.corruption == average.corruption and r.view not in views]
    return [Decimal(row.value) for row in same]


def _printed_beside(row: Published, other: Published) -> bool:
    fields = ("method", "data", "metric", "source")
    return all(getattr(row, field) == getattr(other, field) for field in fields)


def _read(path: Path, model: type[_AnyRow]) -> list[tuple[int, _AnyRow]]:
    """Read a CSV's rows, each with its line number."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise RecordError(f"{path}, line {reader.line_num} is no CSV: {error}.") from error
    columns = list(model.model_fields)
    header = lines[0][1] if lines else []
    if header != columns:
        missing = next((f"lacks '{name}'" for name in columns if name not in header), "has others")
        raise RecordError(
            f"{path}, line 1 {missing}; the columns must be {', '.join(columns)}, in this order."
        )
    return [
        (line, _row(f"{path}, line {line}", columns, cells, model)) for line, cells in lines[1:]
    ]


def _row(place: str, columns: list[str], cells: list[str], model: type[_AnyRow]) -> _AnyRow:
    if len(cells) != len(columns):
        raise RecordError(f"{place} has {len(cells)} cells; there are {len(columns)} columns.")
    try:
        return model.model_validate(dict(zip(columns, cells, strict=True)))
    except ValidationError as error:
        raise RecordError(f"{place}: {first_fault(error)}.") from error
