"""Pictures of a report: models told apart by colour, marker and line, readable at column width."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvgl_bench.cost_figures import LATENCY, draw_flops, draw_latency
from cvgl_bench.figure_parts import COLUMN, PAGE, model_style, new_figure, recall_axis, where
from cvgl_bench.files import sha256
from cvgl_bench.plots import as_bytes, heat_map, legend, style, wrapped
from cvgl_bench.report import Entry, Report
from cvgl_bench.statistics import Interval
from cvgl_bench.suite import CLEAN, Cell

_DPI = 300
Draw = Callable[[Report, str], Figure | None]


def draw_report(report: Report, formats: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
    """Draw every picture that a report's numbers allow.

    Args:
        report: the runs.
        formats: some of `plots.FORMATS`.

    Returns:
        The files by name, `<view>/<picture>.<format>`; and a sentence for each picture left out.
    """
    files: dict[str, bytes] = {}
    left_out = []
    for view in report.views:
        for name, (draw, need) in _pictures(report, view).items():
            with style():
                figure = draw(report, view)
                if figure is None:
                    left_out.append(f"{view}/{name} is left out: {need}.")
                    continue
                for form in formats:
                    path = f"{file_name(view)}/{file_name(name)}.{form}"
                    files[path] = as_bytes(figure, form, _DPI)
    return files, left_out


def _pictures(report: Report, view: str) -> dict[str, tuple[Draw, str]]:
    """By name: how it is drawn, and what it needs."""
    heat_maps: dict[str, tuple[Draw, str]] = {
        f"heatmap-{entry.run.name}": (partial(_heat_map_of, entry), "it needs a corrupted cell")
        for entry in report.of_view(view)
    }
    # Of few runs it is known, and nobody is to be told of all others that it is not.
    known = any(run.record.cost and run.record.cost.flops_ground for run in report.runs)
    flops: dict[str, tuple[Draw, str]] = {
        "flops": (draw_flops, "it needs R@1_cor, and the FLOPs in every record")
    }
    return {
        "severity": (draw_severity, "it needs a run with every cell"),
        "corruptions": (draw_corruptions, "it needs a corrupted cell"),
        "radar": (
            draw_radar,
            "it needs a run with every cell, of three families, that beats chance",
        ),
        "latency": (
            draw_latency,
            f"it needs R@1_cor, and cost or {LATENCY} in every record, of one machine",
        ),
        **(flops if known else {}),
        **heat_maps,
    }


def _heat_map_of(entry: Entry, report: Report, view: str) -> Figure | None:
    del view
    return draw_heat_map(report, entry)


def draw_severity(report: Report, view: str) -> Figure | None:
    """R@1 over severity, the mean over corruptions, a line a model with its interval as a band."""
    entries = [entry for entry in report.of_view(view) if entry.curve]
    if not entries:
        return None
    figure = new_figure(report, entries, (COLUMN, 2.4))
    axes = figure.subplots()
    for entry in entries:
        _line(axes, report, entry, entry.curve)
    _severity_axis(axes, [0, *report.suite.severities])
    recall_axis(axes, [each for entry in entries for each in entry.curve.values()])
    chance = 100 / report.runs[0].record.data.references
    axes.axhline(chance, color="#777777", ls=(0, (1, 1)), lw=0.9, label=f"chance ({chance:.2g} %)")
    axes.set_xlabel("severity, mean over corruptions")
    axes.set_ylabel("R@1, %")
    legend(figure, axes)
    return figure


def draw_corruptions(report: Report, view: str) -> Figure | None:
    """R@1 over severity, a panel a corruption, a line a model with its interval as a band."""
    names = _shown_corruptions(report, view)
    if not names:
        return None
    entries = report.of_view(view)
    wide = min(4, len(names))
    high = math.ceil(len(names) / wide)
    figure = new_figure(report, entries, (PAGE * max(wide, 2) / 4, 0.5 + 1.35 * high))
    grid = figure.subplots(high, wide, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, names, strict=False):
        for entry in entries:
            _line(axes, report, entry, _curve_of(entry, name))
        _severity_axis(axes, [0, *report.suite.severities], clean="0")
        axes.set_title(name.replace("_", " "), loc="left", pad=3)
        axes.tick_params(labelbottom=True)
    recall_axis(grid[0, 0], [each for entry in entries for each in entry.cells.values()])
    for axes in grid[:, 0]:
        axes.set_ylabel("R@1, %")
    for axes in grid.flat[len(names) - wide : len(names)]:
        axes.set_xlabel("severity (0: clean)")
    legend(figure, grid[0, 0])
    return figure


def _shown_corruptions(report: Report, view: str) -> list[str]:
    have = {cell.corruption for entry in report.of_view(view) for cell in entry.cells}
    return [name for name in report.suite.corruptions if name in have]


def _curve_of(entry: Entry, corruption: str) -> dict[int, Interval]:
    found = {cell.severity: each for cell, each in entry.cells.items() if _is(cell, corruption)}
    return dict(sorted(found.items()))


def _is(cell: Cell, corruption: str) -> bool:
    return cell.corruption in (corruption, CLEAN)


def draw_heat_map(report: Report, entry: Entry) -> Figure | None:
    """A run's R@1, a row a corruption and a column a severity, with the mean beside."""
    names = [name for name in report.suite.corruptions if len(_curve_of(entry, name)) > 1]
    if not names:
        return None
    values = []
    for name in names:
        curve, mean = _curve_of(entry, name), entry.averages.get(f"r1_{name}")
        found = [*(curve.get(severity) for severity in report.suite.severities), mean]
        values.append([float("nan") if each is None else each.value for each in found])
    clean = entry.averages.get("r1_clean")
    title = f"{wrapped(entry.label)}: R@1, %" + (f" (clean {clean.value:.1f})" if clean else "")
    figure = Figure(figsize=(COLUMN, 0.75 + 0.21 * len(names)), layout="constrained")
    figure.suptitle(f"{title}\n{where(report, entry.view)}", fontsize=8)
    heat_map(figure.subplots(), names, report.suite.severities, np.array(values))
    return figure


def draw_radar(report: Report, view: str) -> Figure | None:
    """What is left of clean R@1 under each family of corruptions, 1 - RCE, a ring a model.

    A model that finds no more than chance when clean keeps a share of nothing, and has none.
    """
    entries = [entry for entry in report.of_view(view) if entry.curve]
    keys = {key: None for entry in entries for key in entry.averages if key.startswith("rce_")}
    if len(keys) < 3 or not any(entry.beats_chance for entry in entries):
        return None
    figure = new_figure(report, entries, (COLUMN, 2.8), "share of clean R@1 that is kept")
    axes = figure.subplots(subplot_kw={"projection": "polar", "theta_offset": math.pi / 2})
    angles = [2 * math.pi * i / len(keys) for i in range(len(keys))]
    top = 100.0
    for entry in entries:
        look = model_style(report, entry)
        if not entry.beats_chance:
            axes.plot([], [], ls="none", label=f"({look['label']}: chance)")
            continue
        ring = [100 - entry.averages[key].value for key in keys]
        clean = entry.averages["r1_clean"].value
        look["label"] += f" (clean {clean:.1f})"
        axes.plot([*angles, angles[0]], [*ring, ring[0]], **look, clip_on=False)
        top = max(top, 25 * math.ceil(max(ring) / 25))
    axes.set_ylim(0, top)
    axes.set_xticks(angles, [key.removeprefix("rce_") for key in keys])
    axes.tick_params(axis="x", pad=5)
    marks = np.arange(25, top + 1, 25)
    axes.set_yticks(marks, [""] * len(marks))
    white = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6}
    for mark in marks:  # Between the first axis and the last, above the rings.
        where = (-math.pi / len(keys), mark)
        axes.text(*where, f"{mark:.0f} %", fontsize=6, ha="center", va="center", bbox=white)
    legend(figure, axes)
    return figure


def _line(axes: Axes, report: Report, entry: Entry, curve: Mapping[int, Interval]) -> None:
    look = model_style(report, entry)
    values = [each.value for each in curve.values()]
    low, high = ([getattr(each, end) for each in curve.values()] for end in ("low", "high"))
    axes.plot([*curve], values, **look)
    if not np.isnan([*low, *high]).any():
        axes.fill_between([*curve], low, high, color=look["color"], alpha=0.15, lw=0)


def _severity_axis(axes: Axes, severities: Sequence[int], clean: str = "clean") -> None:
    axes.set_xticks([*severities], [clean, *map(str, severities[1:])])
    axes.grid(axis="y")


def file_name(text: str) -> str:
    """A name as a part of a path: what is not a plain letter, digit, dot or dash is replaced.

    A name that is changed gets a part of its hash, so that two names give two files.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".")[:100]
    return plain if plain == text else f"{plain}-{sha256(text.encode())[:8]}"
