"""How many pictures a second can a device corrupt, and in how much memory?

python benchmarks/gpu/throughput.py                      on CUDA where there is any, else on the CPU
python benchmarks/gpu/throughput.py --size 64 128 --batch 2 --seconds 0.1 --device cpu     rehearsal

A row a corruption: pictures a second on the device at severities 1, 3 and 5, of the CPU function
on one core at severity 3, and, on CUDA, bytes a pixel that were taken beside the pictures. The last
line is the whole grid of sixteen corruptions at the three severities. Pictures are on the device
already.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from corruptions import PROFILES, corrupt
from corruptions.gpu import GPU_CORRUPTIONS, corrupt_batch

SEVERITIES = (1, 3, 5)


def busy_pictures(batch: int, height: int, width: int) -> Tensor:
    """Smooth noise, (B, 3, H, W), uint8."""
    coarse = np.random.default_rng(0).random((batch, 3, height // 8 + 2, width // 8 + 2))
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse), size=(height, width), mode="bicubic"
    )
    return (smooth * 255).clamp(0, 255).to(torch.uint8)


def seconds_a_call(call: Callable[[], object], at_least: float, device: str) -> float:
    """Mean time of a call, after one to warm up."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    call()
    wait()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < at_least:
        call()
        wait()
        calls += 1
    return (time.perf_counter() - start) / calls


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, nargs=2, default=[224, 1232], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each number")
    parser.add_argument("--profile", choices=PROFILES, default="standard")
    parser.add_argument("--out", type=Path, help="a JSON file to write the table to, too")
    options = parser.parse_args()
    pictures = busy_pictures(options.batch, *options.size)
    images, one = pictures.to(options.device), pictures[0].permute(1, 2, 0).numpy().copy()
    rows, spent = [], 0.0
    for name in GPU_CORRUPTIONS:
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if options.device == "cuda" else 0
        speeds = []
        for severity in SEVERITIES:

            def on_device(name: str = name, severity: int = severity) -> Tensor:
                seeds = range(options.batch)
                return corrupt_batch(images, name, severity, rngs=seeds, profile=options.profile)

            taken = seconds_a_call(on_device, options.seconds, options.device) / options.batch
            speeds.append(1 / taken)
            spent += taken

        def on_one_core(name: str = name) -> object:
            return corrupt(one, name, 3, rng=0, profile=options.profile)

        processor = 1 / seconds_a_call(on_one_core, options.seconds, "cpu")
        pixels = options.batch * options.size[0] * options.size[1]
        peak = torch.cuda.max_memory_allocated() if options.device == "cuda" else 0
        memory = f"{(peak - before) / pixels:.0f}" if peak else ""
        rows.append((name, *speeds, processor, memory))
    where = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    size = "x".join(str(side) for side in options.size)
    print(f"{options.batch} pictures of {size}, {options.profile}, on {where}")
    headers = ("corruption", *(f"severity {s}" for s in SEVERITIES), "one core", "bytes a pixel")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".0f"))
    print(f"all of them: {3 * len(rows) / spent:.0f} pictures/s on {where}")
    if options.out:
        options.out.write_text(json.dumps({"device": where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
