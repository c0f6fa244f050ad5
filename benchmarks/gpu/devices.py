"""Do the CPU and the GPU give the same scores? One evaluation on each, side by side.

python benchmarks/gpu/devices.py --pairs 100 --out DIR      on a machine with a CUDA device
python benchmarks/gpu/devices.py --pairs 6 --devices cpu cpu --out DIR      a rehearsal without one

Prints, a row a cell, R@1 on both devices and the share of queries whose rank differs; then
pictures a second on both. Writes the same as devices.json.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Literal, cast

import numpy as np

from cvgl_bench.answers import CellAnswers
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.models import load
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.scores import recall_at
from cvgl_bench.suite import load_suite
from cvgl_bench.town.order import SIZES, Order
from cvgl_bench.town.world import write_town

Device = Literal["cpu", "cuda"]


def run_on(device: Device, town: Path, out: Path) -> tuple[CellAnswers, float]:
    """Evaluate polar on the clean and the severest cells; returns ranks and pictures a second."""
    suite = load_suite("cvtown-c")
    job = plan_evaluation(
        suite, town, load("polar"), cells=suite.select(severities=[5]), partial=True
    )
    pictures = len(job.dataset.pairs) + len(job.cells) * len(job.pictures.queries)
    start = time.perf_counter()
    evaluate(job, out, device=device)
    return read_ranks(out / "ranks.parquet").cells, pictures / (time.perf_counter() - start)


def main() -> None:
    """Run both sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--devices", nargs=2, default=["cpu", "cuda"], choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    first, second = (cast(Device, device) for device in options.devices)
    with tempfile.TemporaryDirectory() as scratch:
        town = Path(scratch) / "town"
        write_town(Order(town, "val", options.pairs, size=SIZES["small"]))
        ours, our_speed = run_on(first, town, Path(scratch) / "first")
        theirs, their_speed = run_on(second, town, Path(scratch) / "second")
    table = {
        str(cell): {
            "r1_first": recall_at(ours[cell].ranks, 1),
            "r1_second": recall_at(theirs[cell].ranks, 1),
            "ranks_differing": float(np.mean(ours[cell].ranks != theirs[cell].ranks)),
        }
        for cell in ours
    }
    for name, row in table.items():
        print(f"{name:<22}" + "".join(f"{key} {value:7.4f}   " for key, value in row.items()))
    print(f"{first}: {our_speed:.1f} pictures/s; {second}: {their_speed:.1f} pictures/s")
    print(f"ratio {their_speed / our_speed:.2f}, rendering included")
    options.out.mkdir(parents=True, exist_ok=True)
    report = {"devices": [first, second], "per_second": [our_speed, their_speed], "cells": table}
    (options.out / "devices.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
