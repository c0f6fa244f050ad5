"""A page an entry: every cell, its curves, how far it agrees with itself, and how to run it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corruptions import FAMILY_OF
from cvgl_bench.cost import MEASURES
from cvgl_bench.cost_figures import LATENCY
from cvgl_bench.models import MODELS
from cvgl_bench.record import CellScore
from cvgl_bench.report import Entry, Report
from cvgl_bench.runs import Run
from cvgl_bench.site.boards import names_of
from cvgl_bench.site.curves import Chart, chart_of
from cvgl_bench.site.itself import Agreement, Trust, agreement_of, trust_of
from cvgl_bench.site.pages import Pages, Site, joined, number, render
from cvgl_bench.site.risk import RiskChart, risk_chart
from cvgl_bench.site.tables import milliseconds_of
from cvgl_bench.statistics import Interval
from cvgl_bench.suite import CLEAN, CODEC_ONLY, MIXED, Suite, suite_names

# What a page of numbers begins with: the average, its name, and what is better.
_HEADLINES = (
    ("r1_clean", "R@1 clean", False),
    ("r1_codec", "R@1 codec", False),
    ("r1_cor", "R@1_cor", False),
    ("rce", "RCE", True),
    ("mce", "mCE", False),
    ("auc", "AUC", False),
)


@dataclass(frozen=True)
class Tile:
    """A cell of the heat map.

    Attributes:
        text: R@1 in percent.
        step: 0 to 20, R@1 in steps of 5 percent; -1 where there is no number.
    """

    text: str
    step: int


@dataclass(frozen=True)
class HeatRow:
    """A corruption's cells, the mean last; `family` is "" but in a family's first row."""

    corruption: str
    family: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class ViewPart:
    """What a page shows of one view.

    Attributes:
        view: its name.
        entry: the numbers.
        headlines: name, value and interval, as read.
        heat: a row a corruption; empty of mixed suites.
        chart: None where there is none.
        scores: every cell's recalls with its interval.
        agreement: with itself, a row a corruption.
        from_base: whether that is with the whole panorama; else with the view's clean pictures.
        trust: what its margins are worth; None where they are not known.
        risk: the chart of that.
    """

    view: str
    entry: Entry
    headlines: tuple[tuple[str, str, str], ...]
    heat: tuple[HeatRow, ...]
    chart: Chart | None
    scores: tuple[tuple[CellScore, Interval], ...]
    agreement: tuple[Agreement, ...]
    from_base: bool
    trust: Trust | None
    risk: RiskChart | None


def pages(site: Site, reports: Mapping[str, Report]) -> Pages:
    """A page an entry of every board.

    Args:
        site: what is shown.
        reports: of every board, by the label of its suite.
    """
    made: list[Pages] = []
    for board in site.boards:
        label, names = board.suite.label, names_of(board)
        for entry, run in board.runs.items():
            page = f"models/{label}/{entry}.html"
            parts = [_part(each) for each in reports[label].entries if each.run.name == entry]
            text = render(
                "model.html",
                site=site,
                page=page,
                board=board,
                suite=board.suite,
                record=run.record,
                entry=entry,
                name=names[entry],
                parts=parts,
                reference=names.get(board.reference, ""),
                milliseconds=milliseconds_of(run),
                costs=_costs(run),
                environment=_environment(run),
                commands=commands(board.suite, run),
            )
            made.append({page: text})
    return joined(made)


def commands(suite: Suite, run: Run) -> list[str]:
    """How to make the run again, line by line; words in capitals are the reader's to fill in."""
    known = suite.name in suite_names()
    what = suite.name if known else "SUITE.toml"
    lines = []
    # The split of a suite that is not ours is somebody's text, and no part of a command.
    if known and suite.dataset == "cvtown":
        area, _, size = suite.split.partition("-")
        sized = f" --size {size}" if size else ""
        lines.append(f"cvgl-bench town --out DATA --split {area}{sized} --pairs {suite.pairs}")
    lines.append(f"cvgl-bench generate {what} --data DATA --out SET")
    model = run.name if run.name in MODELS else "FILE.py:CLASS"
    weights = " --weights FILE" if run.record.model.weights_sha256 else ""
    lines.append(
        f"cvgl-bench evaluate {what} --model {model}{weights} --set SET --data DATA --out RUN"
    )
    lines.append("cvgl-bench publish RUN")
    return lines


def _costs(run: Run) -> list[tuple[str, str]]:
    """What the record says the model costs, as names and texts; empty if it says nothing."""
    cost = run.record.cost
    if cost is None:
        return []
    numbers = [(measure.title, measure.of(cost), measure.decimals) for measure in MEASURES]
    known = [
        (title, number(value, decimals)) for title, value, decimals in numbers if value is not None
    ]
    sizes = (f"{width} x {height}" for height, width in (cost.ground_size, cost.aerial_size))
    pictures = "ground {}, aerial {}".format(*sizes)
    if cost.fov_degrees < 360:
        pictures += f", field of view {cost.fov_degrees:g} degrees"
    return [
        *known,
        ("batch", str(cost.batch_size)),
        ("pictures", pictures),
        ("precision", cost.precision),
        ("measured on", cost.machine),
    ]


def _environment(run: Run) -> list[tuple[str, str]]:
    own = run.record.environment
    return [(name, own[name]) for name in sorted(own) if own[name] and name != LATENCY]


def _part(entry: Entry) -> ViewPart:
    trust = trust_of(entry)
    suite = entry.run.record.suite
    scores = {score.cell: score for score in entry.run.record.cells if score.view == entry.view}
    return ViewPart(
        entry.view,
        entry,
        tuple(_headlines(entry)),
        tuple(_heat(entry, scores.values())) if suite.form == "grid" and suite.corruptions else (),
        chart_of(entry),
        tuple((score, entry.cells[cell]) for cell, score in scores.items()),
        agreement_of(entry),
        not suite.corruptions,
        trust,
        risk_chart(entry) if trust else None,
    )


def _headlines(entry: Entry) -> list[tuple[str, str, str]]:
    shown = []
    for key, title, is_relative in _HEADLINES:
        each = entry.averages.get(key)
        if each is None or (is_relative and not entry.beats_chance):
            continue
        interval = ""
        if not math.isnan(each.low):
            interval = f"{number(each.low)} to {number(each.high)}"
        shown.append((title, number(each.value), interval))
    return shown


def _heat(entry: Entry, scores: Iterable[CellScore]) -> list[HeatRow]:
    """The uncorrupted cells first, then the suite's corruptions, a family after the other."""
    suite = entry.run.record.suite
    severities = sorted(suite.severities)
    by_cell = {(score.corruption, score.severity): 100 * score.r1 for score in scores}
    rows = [
        HeatRow(name, "", (_tile(by_cell[name, 0]),))
        for name in (CLEAN, CODEC_ONLY, MIXED)
        if (name, 0) in by_cell
    ]
    families = [FAMILY_OF[name] for name in suite.corruptions]
    for place, name in enumerate(suite.corruptions):
        own = [by_cell.get((name, severity)) for severity in severities]
        known = [value for value in own if value is not None]
        mean = sum(known) / len(known) if len(known) == len(own) else None
        is_first = place == 0 or families[place - 1] != families[place]
        rows.append(
            HeatRow(
                name,
                families[place] if is_first else "",
                tuple(_tile(value) for value in [*own, mean]),
            )
        )
    return rows


def _tile(value: float | None) -> Tile:
    return Tile(number(value), -1 if value is None else int(value / 5 + 0.5))
