"""Do a set on disk, the processor and the device give a model the same scores?

python -m benchmarks.gpu.ways --out DIR [--model mrgeo] [--pairs 100]     on a machine with CUDA
python -m benchmarks.gpu.ways --out DIR --pairs 6 --severities 5 --device cpu        a rehearsal

Renders CVTown, generates its set, and evaluates a model in float32 on the processor on the set, and
on the device on the set, on pictures that the processor corrupts on the fly, on those that the
device corrupts, and on these in bfloat16. Prints R@1 of every cell with its interval of 95 %, a
column a way, and how the ways differ from the first: queries whose rank at 1 changes, and whether
each cell's R@1 lies within the first's interval. Ends with status 1 if one does not.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from cvgl_bench.answers import CellAnswers
from cvgl_bench.datasets import load_dataset
from cvgl_bench.embedding import Device, Precision, resolve_device
from cvgl_bench.embedding_run import Scale
from cvgl_bench.evaluation import Arithmetic, evaluate, plan_evaluation
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.models import load
from cvgl_bench.pictures import CorruptOn
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.statistics import Interval, Sample, intervals, recall_intervals
from cvgl_bench.suite import Cell, Suite, load_suite
from cvgl_bench.town.order import SIZES, Order
from cvgl_bench.town.world import write_town


class Way(NamedTuple):
    """How the pictures come to the model, and how it computes."""

    name: str
    from_disk: bool
    corrupt_on: CorruptOn
    device: Device
    precision: Precision


def ways(device: Device) -> list[Way]:
    """All that are compared; the first is what the others are held against."""
    return [
        Way("set, model on the processor", True, "cpu", "cpu", "float32"),
        Way("set", True, "cpu", device, "float32"),
        Way("on the fly, processor", False, "cpu", device, "float32"),
        Way("on the fly, device", False, "device", device, "float32"),
        Way("on the fly, device, bfloat16", False, "device", device, "bfloat16"),
    ]


def run(way: Way, suite: Suite, cells: tuple[Cell, ...], out: Path, model: str) -> CellAnswers:
    """Evaluate in one way; prints how many pictures a second that were."""
    job = plan_evaluation(
        suite,
        out / "town",
        load(model),
        set_folder=out / "set" if way.from_disk else None,
        cells=cells,
        partial=True,
        arithmetic=Arithmetic(way.corrupt_on, way.precision),
    )
    folder = out / way.name.replace(", ", "-").replace(" ", "-")
    start = time.perf_counter()
    record = evaluate(job, folder, device=way.device, scale=Scale(with_cost=False))
    pictures = len(job.dataset.pairs) + len(cells) * len(job.pictures.queries)
    rate = pictures / (time.perf_counter() - start)
    print(f"{way.name}: {rate:.0f} pictures/s. {record.environment.get('precision', '')}")
    return read_ranks(folder / "ranks.parquet").cells


def in_percent(interval: Interval) -> str:
    """A recall with its interval."""
    return f"{100 * interval.value:.1f} ({100 * interval.low:.0f}-{100 * interval.high:.0f})"


def compare(found: dict[str, CellAnswers], suite: Suite) -> int:
    """Print the tables; returns how many cells lie outside the first way's interval."""
    samples = {name: Sample(suite, "full", cells) for name, cells in found.items()}
    recalls = {name: recall_intervals(sample) for name, sample in samples.items()}
    first, *others = recalls
    rows = [
        [str(cell), *(in_percent(recalls[name][cell]) for name in recalls)]
        for cell in recalls[first]
    ]
    means = {name: intervals(sample) for name, sample in samples.items()}
    named = [name for name in ("r1_clean", "r1_cor", "rce") if name in means[first]]
    rows += [[metric, *(in_percent(means[name][metric]) for name in means)] for metric in named]
    print(tabulate(rows, ["R@1, %", *recalls], "github"), "\n")
    lost = 0
    for name in others:
        changed, outside = [], []
        for cell, limits in recalls[first].items():
            changed.append(np.mean(found[name][cell].hits != found[first][cell].hits))
            if not limits.low <= recalls[name][cell].value <= limits.high:
                outside.append(str(cell))
        same = np.mean(
            [np.mean(found[name][c].ranks == found[first][c].ranks) for c in found[first]]
        )
        print(
            f"{name}: {100 * np.mean(changed):.2f} % of queries change at rank 1, "
            f"{100 * same:.2f} % of ranks are the same; outside the interval: "
            f"{', '.join(outside) or 'no cell'}."
        )
        lost += len(outside)
    return lost


def main() -> None:
    """Make the set, run all ways, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--model", default="mrgeo")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--severities", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, required=True, help="kept: running again goes on")
    options = parser.parse_args()
    suite = load_suite("cvtown-c")
    if not (options.out / "town").exists():
        write_town(Order(options.out / "town", "val", options.pairs, size=SIZES["small"]))
    cells = tuple(suite.select(severities=options.severities))
    dataset = load_dataset("cvtown", options.out / "town", suite.split)
    generate(make_plan(suite, dataset, cells, partial=True), options.out / "set")
    device: Device = "cuda" if resolve_device(options.device).type == "cuda" else "cpu"
    found = {way.name: run(way, suite, cells, options.out, options.model) for way in ways(device)}
    sys.exit(1 if compare(found, suite) else 0)


if __name__ == "__main__":
    main()
