"""Does a run survive workers that are killed again and again, and does its memory stay flat?

python -m benchmarks.soak [--minutes 120] [--kill-every 30] [--workers 2] [--queries N]

Makes a set once undisturbed. Then, until the time is up, one driver makes it again and again, while
a worker, drawn at random, is killed with signal 9 after a random time, every --kill-every seconds
on average. After each round the manifest must be the undisturbed one, byte for byte, and `verify`
must find every picture. Prints a line a minute: images done, kills, and what the driver and the
largest worker hold in memory. Ends with status 1 if bytes differ, or if the driver of the last
third holds more than 1.2 times that of the first.
"""

import argparse
import csv
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import CvglBenchError
from cvgl_bench.files import sha256
from cvgl_bench.generation import Plan, generate, make_plan
from cvgl_bench.manifest import MANIFEST
from cvgl_bench.suite import load_suite
from cvgl_bench.verification import verify

SPEED = Path(__file__).resolve().parent / "speed"
GROWTH = 1.2


@dataclass
class Soak:
    """What has happened so far."""

    kill_every: float
    images: int = 0
    kills: int = 0
    given_up: int = 0
    rounds: int = 0
    start: float = field(default_factory=time.monotonic)
    driver: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def minutes(self) -> float:
        """Since the start."""
        return (time.monotonic() - self.start) / 60

    def kill_now_and_then(self) -> None:
        """Kill a worker after a random time, until it is over."""
        draw = random.Random(0)
        while not self.over.wait(draw.expovariate(1 / self.kill_every)):
            workers = multiprocessing.active_children()
            if workers:
                os.kill(draw.choice(workers).pid or 0, signal.SIGKILL)
                self.kills += 1

    def watch(self, seconds: float) -> None:
        """Note what is held in memory, and say how far it is."""
        while not self.over.wait(seconds):
            self.driver.append(megabytes(os.getpid()))
            workers = [megabytes(child.pid or 0) for child in multiprocessing.active_children()]
            self.workers.append(max(workers, default=0))
            print(
                f"{self.minutes:6.1f} min  {self.images:9,} images  {self.kills:4} kills  "
                f"{self.rounds:3} rounds  driver {self.driver[-1]:5.0f} MB  "
                f"largest worker {self.workers[-1]:5.0f} MB",
                flush=True,
            )

    def count(self, images: int) -> None:
        """Be told of images that are done."""
        self.images += images


def megabytes(process: int) -> float:
    """What a process holds in memory; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_data(folder: Path, queries: int) -> Path:
    """Lay one panorama of 1232 x 224 out as a data set of so many queries, like CVUSA's."""
    command = [sys.executable, str(SPEED / "pictures.py"), "--out", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    root = folder / "data"
    for name in ("splits", "bingmap", "streetview"):
        (root / name).mkdir(parents=True)
    rows = []
    for number in range(1, queries + 1):
        aerial, ground = f"bingmap/{number:07d}.jpg", f"streetview/{number:07d}.jpg"
        Image.new("RGB", (64, 64)).save(root / aerial)
        shutil.copy(folder / "1232x224.jpg", root / ground)
        rows.append([aerial, ground, ""])
    with (root / "splits/val-19zl.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def make(plan: Plan, out: Path, soak: Soak, workers: int) -> str:
    """Make the set, check every picture, clear it away; returns the manifest's hash.

    A unit whose worker was killed four times ends a run; then the same run is begun again.
    """
    while True:
        try:
            generate(plan, out, workers=workers, progress=soak.count)
            break
        except CvglBenchError as error:
            if "was given up" not in str(error):
                raise
            # What the message asks for: the same command again.
            soak.given_up += 1
            print(error, flush=True)
    faults = verify(out)
    if faults:
        sys.exit(f"{len(faults)} faults, the first: {faults[0].kind} {faults[0].path}")
    digest = sha256((out / MANIFEST).read_bytes())
    shutil.rmtree(out)
    soak.rounds += 1
    return digest


def judge(soak: Soak) -> str:
    """Say whether memory stayed flat; ends the program if not."""
    third = max(1, len(soak.driver) // 3)
    first, last = (statistics.median(part) for part in (soak.driver[:third], soak.driver[-third:]))
    grown = last / first
    if grown > GROWTH:
        sys.exit(f"the driver's memory grew from {first:.0f} to {last:.0f} MB.")
    return f"the driver held {first:.0f} MB in the first third and {last:.0f} MB in the last"


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=120, help="default: %(default)s")
    parser.add_argument("--kill-every", type=float, default=30, help="seconds; %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=240, help="of a round; %(default)s")
    parser.add_argument("--scratch", type=Path, help="where sets are written")
    options = parser.parse_args()
    if options.workers < 2:
        parser.error("--workers must be 2 or more: one worker is the driver itself.")
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        suite = load_suite("cvusa-c")
        data = load_dataset("cvusa", write_data(Path(name), options.queries), "val")
        plan = make_plan(suite, data, suite.cells, partial=True)
        soak = Soak(options.kill_every)
        expected = make(plan, Path(name) / "undisturbed", soak, options.workers)
        print(f"undisturbed: {soak.images:,} images in {soak.minutes:.1f} minutes", flush=True)
        soak = Soak(options.kill_every)
        threads = [
            threading.Thread(target=soak.kill_now_and_then),
            threading.Thread(target=soak.watch, args=(min(60, options.minutes * 60 / 10),)),
        ]
        for thread in threads:
            thread.start()
        try:
            while soak.minutes < options.minutes:
                found = make(plan, Path(name) / "disturbed", soak, options.workers)
                if found != expected:
                    sys.exit(f"round {soak.rounds}: other bytes than undisturbed.")
        finally:
            soak.over.set()
            for thread in threads:
                thread.join()
    print(
        f"{soak.rounds} rounds, {soak.images:,} images and {soak.kills} kills in "
        f"{soak.minutes:.0f} minutes, {soak.given_up} runs begun again: all bytes are those of an "
        f"undisturbed run; {judge(soak)}."
    )


if __name__ == "__main__":
    main()
