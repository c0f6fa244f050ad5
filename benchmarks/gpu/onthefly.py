"""How fast is a model evaluated on pictures that are corrupted where it is?

python -m benchmarks.gpu.onthefly [--queries N] [--json FILE]         on CUDA where there is any
python -m benchmarks.gpu.onthefly --queries 2 --batch 2 --model polar --shrink 8 --corruptions fog \
    --device cpu        a rehearsal without one

For a panorama of CVUSA's size (1232 x 224) and one of CVACT's (1664 x 832): pictures a second of
each corruption at its five severities and of the whole grid, through Sample4Geo's network with
weights drawn at random (a ConvNeXt-B, in bfloat16 on CUDA); which share of the grid's time each
stage takes on the device; how long 8,884 queries in 82 cells (CVUSA-C, CVACT_val-C) would take.

Beside it, in the same run: (a) the same model fed by our functions on every processor of this
machine, and (b) how fast a pool of as many processes makes the pictures with imagecorruptions and
Pillow, in the environment that `make bench` sets up. No DataLoader could feed a model faster than
(b); it is left out where that environment is missing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.generate import PLAIN, SIZES, SPEED, write_data
from corruptions import CORRUPTIONS
from cvgl_bench.batch_size import BatchSize
from cvgl_bench.embedding import Precision, one_ahead, resolve_device
from cvgl_bench.embedding_identity import Sources, plan_units
from cvgl_bench.evaluation import Arithmetic, plan_evaluation
from cvgl_bench.executors import no_progress
from cvgl_bench.makers import processors
from cvgl_bench.models import load
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.models.reference import Encoders
from cvgl_bench.models.sample4geo import Sample4Geo
from cvgl_bench.pictures import CorruptOn
from cvgl_bench.streaming import Stream
from cvgl_bench.suite import Cell, load_suite

QUERIES, CELLS = 8_884, 82  # of CVUSA-C, and of CVACT_val-C


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        data: a data set's folder.
        adapter: the model.
        precision: of its arithmetic.
        batch: pictures at a time.
        place: where it runs.
    """

    data: Path
    adapter: Adapter
    precision: Precision
    batch: int
    place: torch.device

    def measure(self, cells: Sequence[Cell], corrupt_on: CorruptOn) -> dict[str, float]:
        """Pictures a second of some cells, reading included, and seconds of each stage.

        Everything is done twice and the second time counts: tables and compiled functions are there
        by then.
        """
        job = plan_evaluation(
            load_suite("cvusa-c"),
            self.data,
            self.adapter,
            cells=cells,
            partial=True,
            arithmetic=Arithmetic(corrupt_on, self.precision),
        )
        sources = Sources(job)
        units = plan_units(job, sources)[1:]
        known = sources.panoramas
        for _ in range(2):
            size = BatchSize(self.batch)
            stream = Stream(job, known, self.place, size, None, lambda *_: None)
            start = time.perf_counter()
            with closing(one_ahead(stream.read(span) for span in stream.spans)) as read:
                for span, batches in zip(stream.spans, read, strict=True):
                    for _ in stream.embed(batches, span.start, units, no_progress):
                        pass
            wall = time.perf_counter() - start
        stages = stream.clock.stages
        own = {name: spent for name, spent in stages.items() if isinstance(name, str)}
        own["model"] = sum(stages.values()) - sum(own.values())
        return {"rate": len(units) * len(job.pictures.queries) / wall, "wall": wall} | own


def plain_rate(data: Path, scratch: Path, queries: int) -> float:
    """Pictures a second that imagecorruptions and Pillow make on all processors."""
    sources = scratch / "plain"
    sources.mkdir()
    for picture in sorted((data / "streetview").iterdir())[:queries]:
        (sources / picture.name).symlink_to(picture)
    pool = str(SPEED / "plain_pool.py")
    words = [str(PLAIN), pool, str(sources), str(scratch / "made"), str(processors())]
    made = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return float(made["images"] / made["seconds"])


def report(size: str, found: dict[str, dict[str, float]], plain: float | None) -> list[str]:
    """A size's table and what it says."""
    rows = [(name, figures["rate"]) for name, figures in found.items()]
    lines = [f"\n## {size}\n", tabulate(rows, ("", "pictures/s"), "github", floatfmt=".1f"), ""]
    whole, beside = found["whole grid"], found["whole grid, corrupted on the processor"]
    stages = {name: spent for name, spent in whole.items() if name not in ("rate", "wall")}
    shares = [f"{name} {100 * spent / whole['wall']:.0f} %" for name, spent in stages.items()]
    waiting = 100 * (1 - sum(stages.values()) / whole["wall"])
    lines.append(f"Of the grid's time: {', '.join(shares)}, waiting {waiting:.0f} %.")
    minutes = QUERIES * CELLS / whole["rate"] / 60
    lines.append(f"{QUERIES:,} queries in {CELLS} cells: {minutes:.1f} minutes.")
    ratio = whole["rate"] / beside["rate"]
    lines.append(f"Against our functions on {processors()} processors: {ratio:.1f} times.")
    if plain is None:
        lines.append("imagecorruptions was left out: `make bench` makes its environment.")
    else:
        ratio = whole["rate"] / plain
        lines.append(
            f"Against imagecorruptions on {processors()} processors, {plain:.1f} pictures/s and no "
            f"model: {ratio:.1f} times."
        )
    return lines


def run(size: str, scratch: Path, options: argparse.Namespace) -> dict[str, object]:
    """Measure one size of panorama, and print it."""
    data = scratch / f"data-{size}"
    write_data(data, scratch / f"{size}.jpg", options.queries, options.shrink)
    if options.model is None:
        config = Sample4Geo.published
        adapter: Adapter = Encoders(Sample4Geo.network_class(config), config)
    else:
        adapter = load(options.model)
    place = resolve_device(options.device)
    precision: Precision = "bfloat16" if place.type == "cuda" else "float32"
    bench = Bench(data, adapter, precision, options.batch, place)
    suite, found = load_suite("cvusa-c"), {}
    for name in options.corruptions:
        cells = [cell for cell in suite.cells if cell.corruption == name]
        found[name] = bench.measure(cells, "device")
    grid = suite.select(corruptions=options.corruptions)
    found["whole grid"] = bench.measure(grid, "device")
    found["whole grid, corrupted on the processor"] = bench.measure(grid, "cpu")
    plain = None
    if PLAIN.exists() and options.plain_queries:
        plain = plain_rate(data, scratch, options.plain_queries)
    where = torch.cuda.get_device_name() if place.type == "cuda" else place.type
    print("\n".join(report(f"{size} on {where}, {precision}", found, plain)), flush=True)
    return {"where": where, "precision": precision, "figures": found, "plain": plain}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--plain-queries", type=int, default=processors(), help="0: none")
    parser.add_argument("--batch", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--model", help="instead of Sample4Geo's network: a name that is known")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--corruptions", nargs="+", choices=CORRUPTIONS, default=[*CORRUPTIONS])
    parser.add_argument("--shrink", type=int, default=1, help="divide the sides, to try it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    found = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, str(SPEED / "pictures.py"), "--out", name]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found[size] = run(size, Path(name), options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
