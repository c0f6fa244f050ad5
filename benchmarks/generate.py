"""How fast are whole sets made? Beside a plain pool of imagecorruptions and Pillow.

python benchmarks/generate.py [--queries N] [--rounds N] [--sizes 1232x224 ...] [--json FILE]

For a panorama of CVUSA's size (1232 x 224) and one of CVACT's (1664 x 832) the whole grid of 80
cells, clean pictures and control is made of N queries by `cvgl-bench generate`: with one worker,
with two, with two on Ray, and as two runs at once that share nothing, which is all that this
machine gives two processes. The plain way is a pool of two processes in .venv-parity (`make bench`
makes it), each picture through imagecorruptions and Pillow; it is left out where that is missing,
and gets fewer queries, because its glass_blur is a Python loop of many seconds.

Starting up is taken out: a side makes a few queries and then all of them, and the rate is the
difference of the images over the difference of the times. Sides run in turn, in every round anew;
the median of the rounds counts. All writes go to --scratch, the system's temporary folder.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SPEED = ROOT / "benchmarks/speed"
PLAIN = ROOT / ".venv-parity/bin/python"
SIZES = ("1232x224", "1664x832")
CELLS = 82
FEW = 6  # queries of the short run that starting up is known from: a unit of work a worker
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ENVIRONMENT = os.environ | dict.fromkeys(THREADS, "1") | {"RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Side:
    """A way to make a set: options of `generate`, and how many such runs at once."""

    name: str
    options: tuple[str, ...]
    runs: int = 1


SIDES = (
    Side("local, 1 worker", ("--workers", "1")),
    Side("local, 2 workers", ("--workers", "2")),
    Side("two runs of 1 worker", ("--workers", "1"), runs=2),
    Side("Ray, 2 workers", ("--executor", "ray", "--workers", "2")),
)


def write_data(folder: Path, picture: Path, queries: int, shrink: int) -> None:
    """Lay a picture out as a data set of so many queries, like CVUSA's."""
    for name in ("splits", "bingmap", "streetview"):
        (folder / name).mkdir(parents=True)
    with Image.open(picture) as whole:
        if shrink > 1:
            whole.resize((whole.width // shrink, whole.height // shrink)).save(folder / "p.jpg")
        else:
            shutil.copy(picture, folder / "p.jpg")
    Image.new("RGB", (64, 64)).save(folder / "a.jpg")
    rows = []
    for number in range(1, queries + 1):
        aerial, ground = f"bingmap/{number:07d}.jpg", f"streetview/{number:07d}.jpg"
        shutil.copy(folder / "a.jpg", folder / aerial)
        shutil.copy(folder / "p.jpg", folder / ground)
        rows.append([aerial, ground, ""])
    with (folder / "splits/val-19zl.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def seconds(side: Side, data: Path, scratch: Path, queries: int) -> tuple[float, float]:
    """Make a set of so many queries: seconds of wall time, and the largest process in MB."""
    outs = [Path(tempfile.mkdtemp(dir=scratch)) / "set" for _ in range(side.runs)]
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", "from cvgl_bench.cli import main; main()"),
                *("generate", "cvusa-c", "--data", str(data), "--out", str(out)),
                *("--partial", "--limit", str(queries // side.runs), *side.options),
            ],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for out in outs
    ]
    largest = 0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, process.args))} failed.")  # type: ignore[arg-type]
        largest = max(largest, usage.ru_maxrss)
    spent = time.perf_counter() - start
    for out in outs:
        shutil.rmtree(out.parent)
    return spent, largest / 1024


def measure(side: Side, data: Path, scratch: Path, queries: int) -> dict[str, float]:
    """Images a second without starting up, seconds of starting up, MB of the largest process."""
    few, _ = seconds(side, data, scratch, FEW)
    all_of_them, megabytes = seconds(side, data, scratch, queries)
    if all_of_them < 1.5 * few:
        sys.exit(
            f"{side.name}: {queries} queries took {all_of_them:.1f} s and {FEW} of them {few:.1f}; "
            "that is mostly starting up. Raise --queries."
        )
    rate = (queries - FEW) * CELLS / (all_of_them - few)
    return {"rate": rate, "start": max(0.0, few - FEW * CELLS / rate), "megabytes": megabytes}


def plain(data: Path, scratch: Path, queries: int) -> dict[str, float]:
    """Images a second of the plain pool."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "sources").mkdir()
    for number in range(1, queries + 1):
        name = f"{number:07d}.jpg"
        shutil.copy(data / "streetview" / name, folder / "sources" / name)
    words = [str(PLAIN), str(SPEED / "plain_pool.py"), str(folder / "sources"), str(folder), "2"]
    result = subprocess.run(words, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    shutil.rmtree(folder)
    found = json.loads(result.stdout)
    return {"rate": found["images"] / found["seconds"]}


def report(sides: dict[str, list[dict[str, float]]]) -> list[str]:
    """The table of a size and what it says, as Markdown."""
    rates = {name: statistics.median(run["rate"] for run in runs) for name, runs in sides.items()}
    lines = ["| side | images/s | rounds | starting up, s | largest process, MB |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for name, runs in sides.items():
        rounds = f"{min(r['rate'] for r in runs):.1f} to {max(r['rate'] for r in runs):.1f}"
        cells = [f"{rates[name]:.1f}", rounds]
        for key in ("start", "megabytes"):
            values = [run[key] for run in runs if key in run]
            cells.append(f"{statistics.median(values):.0f}" if values else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    one, two, apart = (rates[side.name] for side in SIDES[:3])
    lines += ["", f"Scaling efficiency from 1 to 2 workers: {two / (2 * one):.2f}."]
    lines += [f"Of what this machine gives two processes that share nothing: {two / apart:.2f}."]
    ray = rates.get(SIDES[3].name)
    if ray:
        lines.append(f"Ray's overhead against two local workers: {100 * (1 - ray / two):.1f} %.")
    if "plain pool of 2" in rates:
        lines.append(f"Against the plain pool: {two / rates['plain pool of 2']:.1f} times as fast.")
    return lines


def processors() -> str:
    """What the two workers run on."""
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    shared = siblings.read_text().strip() if siblings.exists() else "unknown"
    return (
        f"{os.cpu_count()} processors; those that share a core with the first: {shared}. Load at "
        f"the start: {os.getloadavg()[0]:.1f}.\nTwo hyperthreads of one core are not two cores, "
        "and a virtual machine may not say which it has:\nthe two runs that share nothing show "
        "what it gives to any two processes."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=120, help="default: %(default)s")
    parser.add_argument("--plain-queries", type=int, default=2, help="0 leaves the pool out")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--shrink", type=int, default=1, help="divide the sides, to try it out")
    parser.add_argument("--scratch", type=Path, help="where sets are written")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    if options.queries <= FEW:
        parser.error(f"--queries must be more than {FEW}.")
    sides = SIDES if find_spec("ray") else SIDES[:3]
    print(processors(), flush=True)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        scratch = Path(name)
        command = [sys.executable, str(SPEED / "pictures.py"), "--out", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for size in options.sizes:
            data = scratch / f"data-{size}"
            write_data(data, scratch / f"{size}.jpg", options.queries, options.shrink)
            runs = found.setdefault(size, {})
            for turn in range(options.rounds):
                for side in sides:
                    figures = measure(side, data, scratch, options.queries)
                    runs.setdefault(side.name, []).append(figures)
                if options.plain_queries and PLAIN.exists():
                    figures = plain(data, scratch, options.plain_queries)
                    runs.setdefault("plain pool of 2", []).append(figures)
                print(f"{size}: round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
            print("\n".join([f"\n## {size}\n", *report(runs)]), flush=True)
    if options.json:
        text = json.dumps({"processors": processors(), "sizes": found}, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
