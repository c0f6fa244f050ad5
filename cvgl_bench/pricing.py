"""What a set will take: pictures, bytes, processor time; from rendering a little of it here."""

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corruptions.codecs import CODECS
from cvgl_bench.datasets import Pair
from cvgl_bench.executors import one_thread
from cvgl_bench.planning import Plan
from cvgl_bench.rendering import plan_output, read_source, render
from cvgl_bench.severity import sample

HOUR = 3600
MANY_CORES = 16
# A row of the manifest, compressed: mostly hashes, which do not shrink.
ROW_BYTES = 120


@dataclass(frozen=True)
class Estimate:
    """What a set takes, as far as a calibration can say.

    Attributes:
        images: pictures of the whole set.
        bytes: their files, and the manifest's.
        core_seconds: processor time of one core of this machine.
        calibrated: pictures that were rendered to know it.
    """

    images: int
    bytes: int
    core_seconds: float
    calibrated: int


def estimate(plan: Plan, seconds: float) -> Estimate:
    """Render some queries in memory, and reckon what all of them take.

    The first query is rendered once untimed: it loads textures and compiled code. Of the others,
    spread evenly over the set, as many are timed as there is time for, at least one. Processor time
    is measured, so that other programs on the machine do not count.

    Args:
        plan: what would be made.
        seconds: about how long it may take.

    Raises:
        DataError: a picture is unusable.
    """
    one_thread()
    end = time.monotonic() + seconds
    _render_all(plan, plan.dataset.pairs[0])
    spent, size, queries = 0.0, 0, 0
    for pair in _spread(plan.dataset.pairs):
        if queries and time.monotonic() + spent / queries > end:
            break
        start = time.process_time()
        size += _render_all(plan, pair)
        spent += time.process_time() - start
        queries += 1
    total = len(plan.dataset.pairs)
    images = total * len(plan.cells)
    return Estimate(
        images=images,
        bytes=round(size / queries * total) + images * ROW_BYTES,
        core_seconds=spent / queries * total,
        calibrated=queries * len(plan.cells),
    )


def _spread(pairs: tuple[Pair, ...]) -> Iterator[Pair]:
    """Queries spread over the whole, the middle first, each once."""
    seen = set[int]()
    count = 1
    while len(seen) < len(pairs):
        for number in sample(len(pairs), min(count, len(pairs))):
            if number not in seen:
                seen.add(number)
                yield pairs[number]
        count *= 2


def _render_all(plan: Plan, pair: Pair) -> int:
    """Make all outputs of a query; returns the bytes of their files."""
    source = read_source(pair, CODECS[plan.suite.codec])
    outputs = (plan_output(plan.suite, plan.dataset.name, pair, cell) for cell in plan.cells)
    return sum(len(render(plan.suite, source, output).data) for output in outputs)


def report(plan: Plan, found: Estimate, out: Path, *, workers: int) -> str:
    """Say what a set takes, in lines.

    Args:
        plan: what would be made.
        found: what `estimate` found.
        out: where it would go; its disk is asked for its free space.
        workers: processes that the user would start.
    """
    core_hours = found.core_seconds / HOUR
    units = len(plan.units)
    free = shutil.disk_usage(_there(out)).free
    lines = [
        f"{plan.suite.name}: {len(plan.dataset.pairs):,} queries, {len(plan.cells)} cells, "
        f"{found.images:,} images, {_amount(found.bytes)}.",
        f"{core_hours:,.2f} core-hours of this machine, without writing: {found.calibrated:,} "
        f"images were rendered to know it, at {found.images / found.core_seconds:,.0f} a second.",
    ]
    for cores in dict.fromkeys((workers, MANY_CORES)):
        took = _span(found.core_seconds / min(cores, units))
        lines.append(
            f"--workers {cores}: {took}, if each has a core of its own (two threads of one core "
            f"are fewer). For an hour each: {_shards(core_hours / cores, units)}."
        )
    lines.append(
        f"--executor ray: the same core-hours; on {MANY_CORES} processors "
        f"{_span(found.core_seconds / min(MANY_CORES, units))}."
    )
    fits = "enough" if free > found.bytes else "too little: choose another --out or a selection"
    lines.append(f"{_amount(free)} are free at {out}: {fits}. Nothing was written.")
    return "\n".join(lines)


def as_document(plan: Plan, found: Estimate, out: Path) -> dict[str, object]:
    """Say the same for programs; sizes in bytes, time in seconds of one core of this machine."""
    free = shutil.disk_usage(_there(out)).free
    return {
        "suite": plan.suite.name,
        "version": plan.suite.version,
        "profile": plan.suite.profile,
        "queries": len(plan.dataset.pairs),
        "cells": len(plan.cells),
        "images": found.images,
        "bytes": found.bytes,
        "core_seconds": found.core_seconds,
        "calibrated_images": found.calibrated,
        "units": len(plan.units),
        "free_bytes": free,
        "fits": free > found.bytes,
    }


def _shards(hours: float, units: int) -> str:
    shards = max(1, math.ceil(hours))
    if shards > units:
        return f"{units} shards, as many as there are units of work"
    return f"{shards} shards" if shards > 1 else "1 shard"


def _there(path: Path) -> Path:
    """The nearest folder above that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def _amount(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.2f} MB"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / HOUR:,.1f} h"
