"""Runs side by side: the numbers of their tables, each with its interval, and their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cvgl_bench.errors import RecordError, unknown
from cvgl_bench.pairing import Standing, query_scores, standings
from cvgl_bench.runs import Run
from cvgl_bench.scores import beats_chance, breaking_severity
from cvgl_bench.statistics import (
    Interval,
    Sample,
    intervals,
    recall_intervals,
    with_intervals,
)
from cvgl_bench.suite import Cell, Suite
from cvgl_bench.summary import averages, grid_of

BREAKING: Final = "breaking_severity"


@dataclass(frozen=True)
class Entry:
    """What one run comes to in one view; recalls and ratios in percent.

    Attributes:
        run: whose numbers they are.
        view: one of its views.
        averages: by the names of `summary.averages`, and `breaking_severity` in severities; what
            cannot be computed is not there. An interval that was not asked for is NaN.
        cells: R@1 by cell.
        curve: R@1 by severity, mean over corruptions; empty unless every cell is there.
        standing: its place by R@1_cor among the view's runs; None without R@1_cor.
    """

    run: Run
    view: str
    averages: Mapping[str, Interval]
    cells: Mapping[Cell, Interval]
    curve: Mapping[int, Interval]
    standing: Standing | None

    @property
    def label(self) -> str:
        """The model's name, with a star if there is something to know before reading its row."""
        return self.run.name + "*" * bool(marks(self.run))

    @property
    def beats_chance(self) -> bool:
        """Whether it finds more when clean than guesses would, but for one time in a thousand."""
        data, clean = self.run.record.data, self.averages.get("r1_clean")
        return clean is not None and beats_chance(clean.value / 100, data.queries, data.references)

    @property
    def place(self) -> str:
        """The place as tables write it: "1", "2-3" if tied, "-" if there is none."""
        if self.standing is None:
            return "-"
        best, worst = self.standing.best, self.standing.worst
        return str(best) if best == worst else f"{best}-{worst}"


@dataclass(frozen=True)
class Report:
    """Runs of one suite on the same queries.

    Attributes:
        runs: in the order in which they were given.
        views: which of their views.
        reference: the model whose errors count as 100 in mCE; "" if there is none.
        has_intervals: whether intervals were computed.
        entries: a run and view each, view by view, best R@1_cor first.
    """

    runs: tuple[Run, ...]
    views: tuple[str, ...]
    reference: str
    has_intervals: bool
    entries: tuple[Entry, ...]

    @property
    def suite(self) -> Suite:
        """The benchmark that all of them ran."""
        return self.runs[0].record.suite

    def of_view(self, view: str) -> list[Entry]:
        """The entries of one view."""
        return [entry for entry in self.entries if entry.view == view]


def build_report(
    runs: Sequence[Run],
    *,
    reference: str | None = None,
    views: Sequence[str] | None = None,
    with_intervals: bool = True,
) -> Report:
    """Compute everything that tables and pictures of runs show.

    Args:
        runs: as `read_runs` gives them: of one suite, on the same queries, with different names.
        reference: the run whose errors count as 100 in mCE; None takes the suite's if it is there.
        views: which views; all that some run has if None.
        with_intervals: compute intervals, which takes most of the time.

    Raises:
        RecordError: there is no run, none of that name, or none with that view.
    """
    if not runs:
        raise RecordError("a report needs at least one run.")
    named = {run.name: run for run in runs}
    if reference is not None and reference not in named:
        raise RecordError(unknown("reference", reference, named))
    suites_own = runs[0].record.suite.mce_reference
    chosen = named.get(suites_own if reference is None else reference)
    have = tuple(dict.fromkeys(view for run in runs for view in run.views))
    for view in views or ():
        if view not in have:
            raise RecordError(unknown("view", view, have))
    shown = have if views is None else tuple(dict.fromkeys(views))
    entries = [
        entry for view in shown for entry in _of_view(runs, view, chosen, intervals=with_intervals)
    ]
    name = "" if chosen is None else chosen.name
    return Report(tuple(runs), shown, name, with_intervals, tuple(entries))


def as_document(report: Report) -> dict[str, object]:
    """The numbers of a report for programs: recalls and ratios as fractions, with their intervals.

    Returns:
        `suite`, `version`, `profile`, `views`, `reference` (null without one) and `entries`, one a
        run and view; a limit that was not computed is NaN.
    """
    suite = report.suite
    entries = [
        {
            "model": entry.run.name,
            "view": entry.view,
            "place": None
            if entry.standing is None
            else [entry.standing.best, entry.standing.worst],
            "marks": marks(entry.run),
            "averages": {
                name: _limits(each, 1 if name == BREAKING else 100)
                for name, each in entry.averages.items()
            },
        }
        for entry in report.entries
    ]
    return {
        "suite": suite.name,
        "version": suite.version,
        "profile": suite.profile,
        "views": report.views,
        "reference": report.reference or None,
        "entries": entries,
    }


def _limits(each: Interval, unit: float) -> dict[str, float]:
    return {"value": each.value / unit, "low": each.low / unit, "high": each.high / unit}


def marks(run: Run) -> list[str]:
    """Why a run's numbers may not be read like others: a sentence each; empty if they may."""
    record = run.record
    found = []
    if record.lacking:
        cells = len(record.suite.cells)
        found.append(f"INCOMPLETE: {len(record.lacking)} of the suite's {cells} cells are missing")
    if record.not_comparable:
        found.append(f"NOT COMPARABLE: {'; '.join(record.not_comparable)}")
    if record.degenerate:
        found.append(f"DEGENERATE: {record.degenerate}")
    return found


def _of_view(
    runs: Sequence[Run], view: str, reference: Run | None, *, intervals: bool
) -> list[Entry]:
    """The entries of one view, best R@1_cor first; a run without the view has none."""
    own = [run for run in runs if view in run.views]
    scores = {run.name: query_scores(run.sample(view)) for run in own}
    places = standings({name: each for name, each in scores.items() if each is not None})
    if reference is not None and view not in reference.views:
        reference = None
    measure = _sampled if intervals else _plain
    entries = [
        Entry(run, view, *measure(run, view, reference), places.get(run.name)) for run in own
    ]
    return sorted(entries, key=_order)


def _order(entry: Entry) -> tuple[float, float]:
    nothing = Interval(-1, -1, -1)
    found = (entry.averages.get(name, nothing).value for name in ("r1_cor", "r1_clean"))
    corrupted, clean = found
    return -corrupted, -clean


_Measured = tuple[dict[str, Interval], dict[Cell, Interval], dict[int, Interval]]


def _plain(run: Run, view: str, reference: Run | None) -> _Measured:
    """Averages, cells and curve of a view, without intervals."""
    nan = float("nan")

    def bare(value: object) -> Interval:
        return Interval(100 * float(np.asarray(value)), nan, nan)

    grid = grid_of(run.record, view)
    theirs = None if reference is None else grid_of(reference.record, view)
    found = {name: bare(value) for name, value in averages(grid, theirs).items()}
    cells = {cell: bare(value) for cell, value in grid.recalls.items()}
    curve = {severity: bare(value) for severity, value in grid.curve.items()}
    return found | _breaking(curve), cells, curve


def _sampled(run: Run, view: str, reference: Run | None) -> _Measured:
    """The same with intervals, all from the same draws of queries."""
    sample = run.sample(view)
    found = intervals(sample, None if reference is None else reference.sample(view))
    curve = {severity: _percent(each) for severity, each in _curve(sample).items()}
    return (
        {name: _percent(each) for name, each in found.items()} | _breaking(curve),
        {cell: _percent(each) for cell, each in recall_intervals(sample).items()},
        curve,
    )


def _percent(each: Interval) -> Interval:
    return Interval(100 * each.value, 100 * each.low, 100 * each.high)


def _curve(sample: Sample) -> dict[int, Interval]:
    return with_intervals(sample.hits, lambda recalls: sample.grid(recalls).curve)


def _breaking(curve: Mapping[int, Interval]) -> dict[str, Interval]:
    if not curve:
        return {}
    nan = float("nan")
    severity = breaking_severity({at: each.value for at, each in curve.items()})
    return {BREAKING: Interval(severity, nan, nan)}
