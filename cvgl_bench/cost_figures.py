"""Pictures of a report that set what models find against what they cost."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cvgl_bench.figure_parts import COLUMN, model_style, new_figure, recall_axis
from cvgl_bench.plots import legend, wrapped
from cvgl_bench.report import Report

LATENCY: Final = "ground_ms_per_image"


def draw_latency(report: Report, view: str) -> Figure | None:
    """R@1_cor over the time that a ground picture takes, a point a model with its interval.

    The time is the latency, where it was measured of every run on one machine; else the mean time
    in the run's own batches, where all runs are of one machine.
    """
    costs = {run.name: run.record.cost for run in report.runs}
    machines = {"" if cost is None else cost.machine for cost in costs.values()}
    if len(machines) == 1 and "" not in machines:
        times = {name: cost.latency_ms for name, cost in costs.items() if cost}
        label = f"milliseconds for a ground picture alone\n({wrapped(machines.pop())})"
        return _draw_against(report, view, times, label)
    environments = [run.record.environment for run in report.runs]
    if len({tuple(map(each.get, ("machine", "device_name"))) for each in environments}) > 1:
        return None
    means = {run.name: _latency(run.record.environment) for run in report.runs}
    return _draw_against(report, view, means, "milliseconds a ground picture")


def draw_flops(report: Report, view: str) -> Figure | None:
    """R@1_cor over the FLOPs of a ground picture, a point a model with its interval."""
    costs = {run.name: run.record.cost for run in report.runs}
    flops = {
        name: cost.flops_ground / 1e9 if cost and cost.flops_ground else None
        for name, cost in costs.items()
    }
    return _draw_against(report, view, flops, "GFLOPs a ground picture")


def _draw_against(
    report: Report, view: str, costs: Mapping[str, float | None], label: str
) -> Figure | None:
    """R@1_cor over a cost by run, above nought; None if one is not known."""
    entries = [entry for entry in report.of_view(view) if "r1_cor" in entry.averages]
    if not entries or any(cost is None for cost in costs.values()):
        return None
    figure = new_figure(report, entries, (COLUMN, 2.4))
    axes = figure.subplots()
    shown = [cost for entry in entries if (cost := costs[entry.run.name]) is not None]
    found = [entry.averages["r1_cor"] for entry in entries]
    for entry, cost in zip(entries, shown, strict=True):
        each = entry.averages["r1_cor"]
        look = model_style(report, entry) | {"ls": "none"}
        limits = [[each.value - each.low], [each.high - each.value]]
        bars = None if np.isnan(limits).any() else np.maximum(limits, 0)
        axes.errorbar([cost], [each.value], bars, **look, capsize=2, elinewidth=0.8, clip_on=False)
    if max(shown) > 10 * min(shown):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, 1.1 * max(shown))
    recall_axis(axes, found)
    axes.grid()
    axes.set_xlabel(label)
    axes.set_ylabel("R@1_cor, %")
    legend(figure, axes)
    return figure


def _latency(environment: Mapping[str, str]) -> float | None:
    try:
        time = float(environment.get(LATENCY, ""))
    except ValueError:
        return None
    return time if 0 < time < math.inf else None
