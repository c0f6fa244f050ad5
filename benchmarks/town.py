"""How fast is CVTown written, and in how much memory?

python -m benchmarks.town [--districts 4] [--workers 1 2]

Prints, for pictures of CVUSA's and of CVACT's shape, milliseconds of one core: a district, a
panorama, a tile and their JPEG files, and what that makes a pair. Then writes whole districts of
CVUSA's shape with every number of workers, each in a process of its own, and prints pairs a second,
the peak resident memory of a worker, and how long 20,000 pairs would take.

Milliseconds are the processor's, pairs a second the clock's: leave the machine to it. The last
column is what the processor's time alone would allow, the workers' start being counted in full.
Functions are compiled before anything is timed; the first call ever takes some seconds more.
"""

import argparse
import dataclasses
import functools
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
from PIL import Image

from benchmarks.corruptions import processor
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import CAMERAS, build_district
from cvgl_bench.town.order import JPEG_QUALITY, SIZES, TILE_METRES, Order, Picture, PictureSize
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.scene import District
from cvgl_bench.town.world import write_town

AREA, SEED = "train", 7
DISTRICTS, PLACES = 3, 12
LARGE_SET = 20_000
SHAPES = ("cvusa", "cvact")

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Spent:
    """Milliseconds of one core, medians.

    Attributes:
        panorama: rendering one.
        tile: rendering one.
        jpeg: encoding both.
    """

    panorama: float
    tile: float
    jpeg: float


def timed(spent: list[float], function: Callable[[], Result]) -> Result:
    """Call a function and note the milliseconds that this thread computed."""
    start = time.thread_time()
    result = function()
    spent.append(1000 * (time.thread_time() - start))
    return result


def encode(*pictures: Picture) -> None:
    """Write pictures as JPEG to memory."""
    for picture in pictures:
        Image.fromarray(picture).save(io.BytesIO(), "JPEG", quality=JPEG_QUALITY)


def build_districts() -> tuple[list[District], float]:
    """Some districts, and the median milliseconds of one; the first one compiles."""
    spent: list[float] = []
    build = functools.partial(build_district, SEED, split=AREA)
    built = [timed(spent, functools.partial(build, number)) for number in range(DISTRICTS + 1)]
    return built[1:], statistics.median(spent[1:])


def measure(districts: list[District], size: PictureSize) -> Spent:
    """Render and encode pairs of a size at several places of every district."""
    places = [
        (district, place)
        for district in districts
        for place in district.cameras[: PLACES // DISTRICTS].tolist()
    ]
    times = [measure_pair(*place, size=size) for place in places]
    # The first one compiles, or reads what was compiled.
    return Spent(*(statistics.median(step) for step in zip(*times[1:], strict=True)))


def measure_pair(
    district: District, place: list[float], *, size: PictureSize
) -> tuple[float, float, float]:
    """Milliseconds of a panorama, a tile and both JPEG files."""
    x, y = place
    edges, scale = size.elevation_degrees, TILE_METRES / size.aerial
    today, another = (generator(identity_seed("benchmark", day)) for day in (0, 1))
    spent: list[float] = []
    panorama = timed(
        spent,
        lambda: render_panorama(
            district.street, x, y, today, size=size.panorama, elevation_degrees=edges
        ),
    )
    tile = timed(
        spent,
        lambda: render_aerial(
            district.above, x, y, another, size=size.aerial, metres_per_pixel=scale
        ),
    )
    timed(spent, lambda: encode(panorama, tile))
    return spent[0], spent[1], spent[2]


def write(folder: Path, districts: int, workers: int) -> dict[str, float]:
    """Write districts of pairs here; returns seconds of clock and processor, and memory."""
    first = Order(folder / "first", AREA, 1, SEED)
    write_town(first)
    order = Order(folder / "set", AREA, districts * CAMERAS, SEED)
    start, before = time.perf_counter(), time.process_time()
    write_town(order, workers=workers)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF if workers == 1 else resource.RUSAGE_CHILDREN)
    busy = used.ru_utime + used.ru_stime - before if workers == 1 else used.ru_utime + used.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "busy": busy, "megabytes": used.ru_maxrss * unit / 1e6}


def write_apart(districts: int, workers: int) -> dict[str, float]:
    """`write` in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.town", "--write", scratch]
        command += ["--districts", str(districts), "--workers", str(workers)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(districts: int, workers: list[int]) -> None:
    """Measure and print both tables."""
    cv2.setNumThreads(1)
    built, district = build_districts()
    print(f"{processor()}; a district of {CAMERAS} pairs: {district:.0f} ms of one core\n")
    print("| shape | panorama | tile | both | JPEG | district's share | a pair |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in SHAPES:
        spent = measure(built, SIZES[name])
        both, share = spent.panorama + spent.tile, district / CAMERAS
        row = [spent.panorama, spent.tile, both, spent.jpeg, share, both + spent.jpeg + share]
        print(" | ".join([f"| {name}", *(f"{value:.1f}" for value in row)]), "|")
    head = ["workers", "pairs", "seconds", "processor", "pairs a second", "MB a worker"]
    print(f"\n| {' | '.join(head)} | 20,000 pairs | if idle |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for number in workers:
        found = write_apart(districts, number)
        pairs = districts * CAMERAS
        rate = pairs / found["seconds"]
        cells = [f"| {number}", str(pairs), f"{found['seconds']:.1f}"]
        cells += [f"{found['busy']:.1f}", f"{rate:.1f}"]
        cells += [f"{found['megabytes']:.0f}", f"{LARGE_SET / rate / 60:.1f} minutes"]
        cells += [f"{LARGE_SET * found['busy'] / pairs / number / 60:.1f} minutes"]
        print(" | ".join(cells), "|", flush=True)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--districts", type=int, default=4, help="to write; default: %(default)s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        found = write(options.write, options.districts, options.workers[0])
        print(json.dumps(found))
        return
    report(options.districts, options.workers)


if __name__ == "__main__":
    main()
