"""What a stranger wrote: JSON that says one thing to every reader, and text that is only text."""

import datetime
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from cvgl_bench.errors import RecordError, SuiteError, first_fault
from cvgl_bench.record import Record
from cvgl_bench.submission.verdict import shown

LONGEST: Final = {"preprocessing": 1000, "remarks": 2000, "environment": 200}
MAX_ENVIRONMENT: Final = 40
FIRST_DATE: Final = datetime.date(2024, 1, 1)

_MAX_DEPTH: Final = 12
_MAX_ITEMS: Final = 4000
_MAX_DIGITS: Final = 30
_ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# Letters, marks, numbers, punctuation, symbols and the plain space. Not: control and formatting
# characters, which turn text around or hide it, other spaces, and what Unicode has not assigned.
_TEXT_CATEGORIES: Final = "LMNPS"
# Default_Ignorable_Code_Point of Unicode 16.0 (DerivedCoreProperties.txt), which unicodedata does
# not have, and the blank pattern of Braille: some count as letters or marks, and all show nothing.
_UNSEEN: Final = (
    *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800)),
    *((0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_MOST_MARKS: Final = 8
LATENCY: Final = "ground_ms_per_image"
# As `evaluate` writes it: three digits, from a thousand on with an exponent.
_LATENCY: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?(e\+0[0-6])?", re.ASCII)
_MOST_MILLISECONDS: Final = 1_000_000
_MARKUP: Final = re.compile(r"<[A-Za-z/!?]|&#|(java|vb)script\s*:|\bdata:[a-z]+/", re.IGNORECASE)


def read_record_strictly(data: bytes) -> Record:
    """Read a record that has to mean the same to every reader of JSON.

    Args:
        data: the bytes of record.json, of a bounded size.

    Raises:
        RecordError: it is not UTF-8, has a byte order mark, doubled keys, numbers that are none,
            is nested too deeply, or is no record.
    """
    refuse_loose_json("record.json", data)
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"record.json is no record: {shown(first_fault(error))}.") from error
    except SuiteError as error:
        raise RecordError(f"record.json has no suite that can be: {error}") from error


def refuse_loose_json(what: str, data: bytes) -> None:
    """Refuse JSON that two readers could take for different things.

    Raises:
        RecordError: as `read_record_strictly`.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise RecordError(f"{what} begins with a byte order mark; plain UTF-8 has none.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"{what} is not UTF-8 (byte {error.start:,}).") from error

    def no_number(name: str) -> NoReturn:
        raise RecordError(f"{what} holds {name}, which is no number.")

    def whole(digits: str) -> int:
        if len(digits) > _MAX_DIGITS:
            raise RecordError(f"{what} holds a number of {len(digits):,} digits.")
        return int(digits)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise RecordError(f"{what} has the key '{shown(twice, 80)}' twice.")
        return fields

    try:
        page = json.loads(text, object_pairs_hook=once, parse_constant=no_number, parse_int=whole)
    except RecursionError as error:
        raise RecordError(f"{what} is nested too deeply; {_MAX_DEPTH} levels do.") from error
    except ValueError as error:
        raise RecordError(f"{what} is not JSON ({shown(str(error), 100)}).") from error
    _refuse_shape(what, page)


def _refuse_shape(what: str, page: object) -> None:
    """Walk level by level: what checks a list's items later may take the square of their number."""
    level = [page]
    for _ in range(_MAX_DEPTH + 1):
        inner: list[object] = []
        for each in level:
            if isinstance(each, (dict, list)):
                if len(each) > _MAX_ITEMS:
                    raise RecordError(f"{what} has a list of {len(each):,}; {_MAX_ITEMS:,} do.")
                inner += each.values() if isinstance(each, dict) else each
        level = inner
    if level:
        raise RecordError(f"{what} is nested too deeply; {_MAX_DEPTH} levels do.")


def refuse_texts(record: Record) -> None:
    """Refuse free text that is too long, or more than text.

    Tables, pages and terminals show it, so it may hold no control or direction characters, no tags
    and no addresses that run a script.

    Raises:
        RecordError: a field of the record does.
    """
    if len(record.environment) > MAX_ENVIRONMENT:
        raise RecordError(
            f"environment has {len(record.environment)} fields; {MAX_ENVIRONMENT} are the most."
        )
    for name in record.environment:
        if not _ENVIRONMENT_NAME.fullmatch(name):
            raise RecordError(
                f"environment has the field '{shown(name, 80)}'; letters, digits, '.', '_' and '-' "
                "make a name."
            )
    for where, text, longest in _free_texts(record):
        if len(text) > longest:
            raise RecordError(f"{where} has {len(text):,} characters; {longest:,} are the most.")
        _refuse_signs(where, text)
        if found := _MARKUP.search(unicodedata.normalize("NFKC", text)):
            raise RecordError(
                f"{where} holds '{shown(found[0], 40)}', which a page could take for more than "
                "text; write it in words."
            )
    _refuse_latency(record)


def _refuse_signs(where: str, text: str) -> None:
    marks = 0
    for sign in text:
        category = unicodedata.category(sign)[0]
        unseen = any(first <= ord(sign) <= last for first, last in _UNSEEN)
        if unseen or (sign != " " and category not in _TEXT_CATEGORIES):
            raise RecordError(
                f"{where} holds the character U+{ord(sign):04X}, which cannot be seen; write one "
                "line of plain text."
            )
        marks = marks + 1 if category == "M" else 0
        if marks > _MOST_MARKS:
            raise RecordError(
                f"{where} has more than {_MOST_MARKS} combining marks on one character; write one "
                "line of plain text."
            )


def _refuse_latency(record: Record) -> None:
    text = record.environment.get(LATENCY)
    if text is not None and not (_LATENCY.fullmatch(text) and float(text) <= _MOST_MILLISECONDS):
        raise RecordError(
            f"environment.{LATENCY} is '{shown(text, 40)}'; it is a number from 0 to "
            f"{_MOST_MILLISECONDS:,}, as evaluate writes it."
        )


def _free_texts(record: Record) -> Iterator[tuple[str, str, int]]:
    yield "model.preprocessing", record.model.preprocessing, LONGEST["preprocessing"]
    yield "model.remarks", record.model.remarks, LONGEST["remarks"]
    for name, text in record.environment.items():
        yield f"environment.{name}", text, LONGEST["environment"]
    if record.cost is not None:
        yield "cost.device_name", record.cost.device_name, LONGEST["environment"]


def refuse_date(record: Record, today: datetime.date) -> None:
    """Refuse a date on which the run cannot have been made.

    Args:
        record: the run's.
        today: in UTC; the day after may have begun elsewhere.

    Raises:
        RecordError: it lies ahead, or before there was the benchmark.
    """
    if record.date > today + datetime.timedelta(days=1):
        raise RecordError(f"its date, {record.date}, lies ahead of today, {today}.")
    if record.date < FIRST_DATE:
        raise RecordError(
            f"its date, {record.date}, lies before {FIRST_DATE}, when there was no benchmark."
        )
