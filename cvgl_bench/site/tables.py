"""The tables of entries: rows and numbers as they are read and sorted."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cvgl_bench.cost import MEASURES
from cvgl_bench.cost_figures import LATENCY
from cvgl_bench.leaderboard import Board
from cvgl_bench.pairing import Standing
from cvgl_bench.runs import Run
from cvgl_bench.site.pages import number
from cvgl_bench.statistics import Interval

# A quarter of an hour a query: more is a mistake, and would widen every table that shows it.
MOST_MILLISECONDS: Final = 1_000_000
_MORE_IS_BETTER: Final = ("images_per_second",)
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


@dataclass(frozen=True)
class Shown:
    """A number in a table.

    Attributes:
        text: as it is read.
        interval: its ends, "" if it has none.
        key: what it is sorted by; "" where there is no number.
        is_best: whether no other in its column is better.
    """

    text: str
    interval: str = ""
    key: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """An entry of a table.

    Attributes:
        entry: of the board.
        name: as it is read.
        place: "2-3" if tied; "-" if there is none.
        place_key: what places are sorted by.
        status: of the record.
        date: of the evaluation.
        numbers: one a column.
        cells: R@1 in hundredths of a percent, corruption by corruption, severity by severity.
    """

    entry: str
    name: str
    place: str
    place_key: str
    status: str
    date: str
    numbers: tuple[Shown, ...]
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """A column of a table.

    Attributes:
        title: its head.
        group: "main", "family", "more", "corruption" or "cost"; what is shown and hidden together.
        corruption: whose R@1 it is; "" if of none.
        better: "higher" or "lower".
    """

    title: str
    group: str
    corruption: str = ""
    better: str = "higher"


COST_HEADS: Final = (
    *(
        Head(each.title, "cost", better="higher" if each.key in _MORE_IS_BETTER else "lower")
        for each in MEASURES
    ),
    Head("measured on", "cost", better="lower"),
)


@dataclass(frozen=True)
class Table:
    """The entries of one view."""

    view: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]


def shown_all(found: Sequence[Interval | None], *, lower_is_better: bool) -> list[Shown]:
    """A column's numbers, the best of them marked if there are several."""
    known = [
        round(each.value, 2) for each in found if each is not None and not math.isnan(each.value)
    ]
    best = (min if lower_is_better else max)(known) if len(known) > 1 else None
    return [_shown(each, best) for each in found]


def _shown(each: Interval | None, best: float | None) -> Shown:
    if each is None or math.isnan(each.value):
        return Shown(number(None))
    interval = ""
    if not math.isnan(each.low):
        interval = f"{number(each.low)} to {number(each.high)}"
    is_best = best is not None and round(each.value, 2) == best
    return Shown(number(each.value), interval, f"{each.value:.6f}", is_best)


def place_of(standing: Standing | None) -> tuple[str, str]:
    """A place as read, "2-3" if tied and "-" if there is none, and what places are sorted by."""
    if standing is None:
        return "-", ""
    best, worst = standing.best, standing.worst
    return str(best) if best == worst else f"{best}-{worst}", f"{best:05d}{worst:05d}"


def cost_of(run: Run) -> Shown:
    """What the record says a query cost; a text that is no number is shown as none."""
    milliseconds = milliseconds_of(run)
    if milliseconds is None:
        return Shown(number(None))
    return Shown(number(milliseconds, 2), "", f"{milliseconds:.6f}")


def states_costs(board: Board) -> bool:
    """Whether any record of a board says what its model costs."""
    return any(run.record.cost for run in board.runs.values())


def costs_of(run: Run) -> tuple[Shown, ...]:
    """What the record says its model costs, one a column of `COST_HEADS`.

    What depends on the machine is sorted by the machine first: across two of them it says nothing.
    """
    cost = run.record.cost
    if cost is None:
        return tuple(Shown(number(None)) for _ in COST_HEADS)
    shown = []
    for measure in MEASURES:
        value = measure.of(cost)
        if value is None:
            shown.append(Shown(number(None)))
            continue
        # Of as many digits everywhere, so that texts have the order of their numbers.
        key = f"{value:022.6f}"
        where = f"{cost.machine}, {cost.batch_size}: " if measure.of_machine else ""
        shown.append(Shown(number(value, measure.decimals), "", where + key))
    setting = f"{cost.machine}, batches of {cost.batch_size}"
    return (*shown, Shown(setting, "", setting))


def milliseconds_of(run: Run) -> float | None:
    """How long a query took to embed, as the record says.

    Returns:
        None where it says nothing of it, or no plain decimal from 0 to a million.
    """
    text = run.record.environment.get(LATENCY, "")
    value = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return value if value <= MOST_MILLISECONDS else None
