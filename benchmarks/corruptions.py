"""How fast are the corruptions? Beside imagecorruptions, its fork and the JPEG encoder, one core.

python benchmarks/corruptions.py [--full] [--json FILE]        or: make bench

Prints, for a panorama of 1232 x 224 and one of 1664 x 832, a row a corruption: milliseconds a cell
(mean over the five severities, each the median of several calls) and how many times faster ours
are. Then the whole grid of 80 cells: decode once, corrupt, write 80 files of quality 75.

All libraries run in turn on the same core, each in a process of its own, and are measured in
processor time. imagecorruptions 1.1.2 needs .venv-parity, the fork .venv-imaug; the Makefile makes
both, and a side without its environment is left out. What the first calls spend on compiling and on
filling caches is told apart. imagecorruptions' glass_blur is a Python loop of many seconds: it is
timed on two strips of rows and extended to the picture's height, unless --full asks for all of it.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, cast

ROOT = Path(__file__).resolve().parents[1]
SPEED = ROOT / "benchmarks/speed"
SIDES = {"imagecorruptions": ".venv-parity", "imaug": ".venv-imaug", "ours": ".venv"}
SIZES = ("1232x224", "1664x832")
STRIPS = (32, 64)  # rows; it takes no picture of fewer than 32
# In the order of published tables.
NAMES = (
    *("snow", "frost", "fog", "brightness", "spatter"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("contrast", "pixelate", "jpeg_compression"),
)
SEVERITIES = range(1, 6)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Cells = dict[tuple[str, int], float]  # (corruption, severity) -> milliseconds


class Worker:
    """One library, running in a process of its own and answering requests for times."""

    def __init__(self, side: str, python: Path, pictures: Path) -> None:
        library = "ours" if side == "ours" else "imagecorruptions"
        arguments = [str(python), str(SPEED / "worker.py"), library, str(pictures)]
        self.command = " ".join(arguments)
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(THREADS, "1"),
        )
        self.about: dict[str, Any] = self._answer()

    def _answer(self) -> dict[str, Any]:
        line = cast(IO[str], self.process.stdout).readline()
        if not line:
            sys.exit(f"{self.command} stopped.")
        return cast(dict[str, Any], json.loads(line))

    def ask(self, **request: object) -> dict[str, list[float]]:
        """Times of what worker.py's `measure` describes."""
        requests = cast(IO[str], self.process.stdin)
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        return cast(dict[str, list[float]], self._answer())


def log(text: str) -> None:
    """Say how far it is, to stderr."""
    print(text, file=sys.stderr, flush=True)


def pin() -> None:
    """Keep this process and the workers it starts to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def warm_up(worker: Worker, side: str, size: str) -> float:
    """Call every function once or more; returns the seconds that it took."""
    spent = 0.0
    for name in NAMES:
        for severity in SEVERITIES if side == "ours" else [3]:
            rows = None if side == "ours" else 32
            times = worker.ask(size=size, name=name, severity=severity, repeats=2, rows=rows)
            spent += sum(times["corrupt"])
    return spent / 1000


def glass_by_strips(worker: Worker, cell: dict[str, Any]) -> float:
    """Milliseconds that imagecorruptions' glass_blur takes, from two strips of full width."""
    low, high = (worker.ask(**cell, repeats=1, rows=rows)["corrupt"][0] for rows in STRIPS)
    more_rows = int(cell["size"].split("x")[1]) - STRIPS[1]
    return high + (high - low) / (STRIPS[1] - STRIPS[0]) * more_rows


def measure(workers: dict[str, Worker], size: str, rounds: int, full: bool) -> dict[str, Any]:
    """All cells of all sides in turn; medians in milliseconds."""
    calls: dict[str, dict[tuple[str, int], list[float]]] = {side: {} for side in workers}
    encodes: dict[str, dict[tuple[str, int], list[float]]] = {"encode": {}, "encode_ours": {}}
    decodes = workers["ours"].ask(size=size, repeats=15)["decode"]
    glass: dict[str, list[float]] = {"strips": [], "full": []}
    for turn in range(rounds):
        for name, severity in itertools.product(NAMES, SEVERITIES):
            cell = {"size": size, "name": name, "severity": severity}
            for side, worker in workers.items():
                if side == "imagecorruptions" and name == "glass_blur":
                    if turn:
                        continue
                    glass["strips"] += [glass_by_strips(worker, cell)]
                    if full:
                        glass["full"] += worker.ask(**cell, repeats=1)["corrupt"]
                    times = glass["full" if full else "strips"][-1:]
                elif side == "ours":
                    answer = worker.ask(**cell, repeats=3, encode=True)
                    for encoder, spent in encodes.items():
                        spent.setdefault((name, severity), []).extend(answer[encoder])
                    times = answer["corrupt"]
                else:
                    times = worker.ask(**cell, repeats=1)["corrupt"]
                calls[side].setdefault((name, severity), []).extend(times)
        log(f"{size}: round {turn + 1} of {rounds}")
    result: dict[str, Any] = {side: medians(times) for side, times in calls.items()}
    return result | {
        **{encoder: medians(spent) for encoder, spent in encodes.items()},
        "decode": statistics.median(decodes),
        "glass": glass,
    }


def medians(times: dict[tuple[str, int], list[float]]) -> Cells:
    """The median of every cell's calls."""
    return {cell: statistics.median(spent) for cell, spent in times.items()}


def mean_of(cells: Cells, name: str) -> float:
    """Milliseconds of a corruption, mean over the severities."""
    return statistics.mean(cells[name, severity] for severity in SEVERITIES)


def cell_table(result: dict[str, Any], others: list[str]) -> list[str]:
    """A row a corruption, as Markdown."""
    head = ["corruption", *others, "ours", "fastest-slowest", "encoder"]
    head += [f"{side} / ours" for side in others]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" + "---:|" * (len(head) - 1)]
    for name in NAMES:
        ours = mean_of(result["ours"], name)
        by_severity = [result["ours"][name, severity] for severity in SEVERITIES]
        row = [name, *(f"{mean_of(result[side], name):.1f}" for side in others), f"{ours:.2f}"]
        row += [f"{min(by_severity):.2f}-{max(by_severity):.2f}"]
        row += [f"{mean_of(result['encode'], name):.2f}"]
        row += [f"{mean_of(result[side], name) / ours:.1f}" for side in others]
        lines.append(" | ".join(["", *row, ""]).strip())
    return lines


def totals(result: dict[str, Any], sides: list[str]) -> dict[str, dict[str, float]]:
    """Seconds of the whole grid, with and without glass_blur, and the floor under both."""
    grids: dict[str, dict[str, float]] = {}
    for label, left_out in (("all 80 cells", ""), ("75 cells, without glass_blur", "glass_blur")):
        kept = [cell for cell in result["encode"] if cell[0] != left_out]
        files = {
            key: (result["decode"] + sum(result[key][cell] for cell in kept)) / 1000
            for key in ("encode", "encode_ours")
        }
        grids[label] = {"floor": files["encode"], "own floor": files["encode_ours"]} | {
            side: files["encode_ours" if side == "ours" else "encode"]
            + sum(result[side][cell] for cell in kept) / 1000
            for side in sides
        }
    return grids


def total_table(grids: dict[str, dict[str, float]], others: list[str]) -> list[str]:
    """A row a grid, as Markdown."""
    head = ["seconds a picture", *others, "ours", "floor", "own floor"]
    head += [f"{side} / ours" for side in others] + ["ours / floor", "outputs a second"]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" + "---:|" * (len(head) - 1)]
    for label, grid in grids.items():
        row = [label, *(f"{grid[side]:.2f}" for side in others)]
        row += [f"{grid[key]:.3f}" for key in ("ours", "floor", "own floor")]
        row += [f"{grid[side] / grid['ours']:.1f}" for side in others]
        count = 80 if label.startswith("all") else 75
        row += [f"{grid['ours'] / grid['floor']:.2f}", f"{count / grid['ours']:.0f}"]
        lines.append(" | ".join(["", *row, ""]).strip())
    return lines


def glass_line(glass: dict[str, list[float]]) -> str:
    """How imagecorruptions' glass_blur was timed."""
    strips = f"strips of {STRIPS[0]} and {STRIPS[1]} rows, extended to the picture's height"
    if not glass["full"]:
        return f"imagecorruptions' glass_blur: from {strips}."
    shares = [part / whole for part, whole in zip(glass["strips"], glass["full"], strict=True)]
    found = ", ".join(f"{share:.2f}" for share in shares)
    return f"imagecorruptions' glass_blur: in full. From {strips}, by severity: {found} of that."


def start(folder: Path) -> dict[str, Worker]:
    """A worker for every library whose environment is there; says what they are."""
    pythons = {side: ROOT / environment / "bin/python" for side, environment in SIDES.items()}
    pythons["ours"] = Path(sys.executable)
    workers = {}
    for side, python in pythons.items():
        if not python.exists():
            print(f"- {side} is left out: there is no {SIDES[side]}; `make bench` makes it.")
            continue
        workers[side] = Worker(side, python, folder)
        print(f"- {side}: {workers[side].about['version']}; {workers[side].about['stack']}")
    return workers


def report_size(
    workers: dict[str, Worker], size: str, what: str, *, rounds: int, full: bool
) -> dict[str, Any]:
    """Measure pictures of one size and print the tables; returns every figure."""
    warm = {side: warm_up(worker, side, size) for side, worker in workers.items()}
    result = measure(workers, size, rounds, full)
    grids = totals(result, list(workers))
    others = [side for side in workers if side != "ours"]
    print(f"\n## {size}: {what}; decoding it takes {result['decode']:.2f} ms\n")
    print("\n".join([*cell_table(result, others), "", *total_table(grids, others), ""]))
    print("Floor: decoding once and encoding all of ours, by Pillow, as in the others' sums; own")
    print("floor: by our default codec, which writes the same bytes by way of OpenCV, as in ours.")
    if "imagecorruptions" in workers:
        print(glass_line(result["glass"]))
    print(
        f"Our first calls took {warm['ours']:.1f} s: tables, textures, what is not compiled yet.",
        flush=True,
    )
    cells = {
        key: {f"{name}-{severity}": spent for (name, severity), spent in of.items()}
        for key, of in result.items()
        if key not in {"decode", "glass"}
    }
    rest = {"decode": result["decode"], "glass": result["glass"], "first_calls": warm}
    return {"picture": what, "cells": cells, "grids": grids, **rest}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--full", action="store_true", help="time all of the slow glass_blur")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    pin()
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(SPEED / "pictures.py"), "--out", scratch]
        what = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(f"{processor()}, one core; milliseconds of processor time\n")
        workers = start(Path(scratch))
        sizes = {
            size: report_size(workers, size, what[size], rounds=options.rounds, full=options.full)
            for size in options.sizes
        }
        for worker in workers.values():
            cast(IO[str], worker.process.stdin).close()
            worker.process.wait()
    libraries = {side: worker.about for side, worker in workers.items()}
    report = {"processor": processor(), "libraries": libraries, "sizes": sizes}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
