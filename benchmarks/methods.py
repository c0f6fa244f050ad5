"""Train the four reference methods at an equal budget on CVTown, evaluate them, print one table.

python -m benchmarks.methods --data TOWN --out OUT --seeds 1 2
python -m benchmarks.methods --data TOWN --out OUT --seeds 1 2 --table     only the table anew
python -m benchmarks.methods --data TOWN --out OUT --ship FOLDER     the first seed's checkpoints

TOWN holds the areas `train` and the suite's own, both in the size small. Every method is trained
with its own recipe of the preset, and in the preset `small` all have the same pairs, backbone,
epochs and batch; SinGeo shows its network four pictures a pair for it, the others two. OUT gets
a folder a method and seed: the training's, a checkpoint in 16 bits beside it, and the records. What
is there already is not made again. Numbers are means over the seeds, with 95 % intervals from
resampling queries: they say how far other queries would move a number, not how far other seeds
would.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cvgl_bench.datasets import Dataset, load_dataset
from cvgl_bench.errors import CvglBenchError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.files import read, sha256_of_file, write_atomically
from cvgl_bench.models import load
from cvgl_bench.models.checkpoint import read_checkpoint, write_checkpoint
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.record import read_record
from cvgl_bench.scores import Number
from cvgl_bench.statistics import Array, Interval, with_intervals
from cvgl_bench.suite import CLEAN, Cell, Suite, load_suite
from cvgl_bench.summary import Grid, averages
from cvgl_bench.tables import as_markdown
from cvgl_bench.training.loop import Job, train
from cvgl_bench.training.recipes import PRESETS, Recipe
from cvgl_bench.training.run import CURVES_TABLE, WEIGHTS, Run, described

METHODS = ("sample4geo", "mrgeo", "singeo", "lrfr")
BASELINE = "sample4geo"
NARROW = ("fov360", "fov180", "fov90", "fov70")
_TITLES = {
    "r1_clean": "R@1 clean",
    "r1_cor": "R@1_cor",
    "rce": "RCE",
    "mce": f"mCE (vs {BASELINE})",
}


def trained(options: argparse.Namespace, method: str, seed: int) -> Path:
    """Train a method, or go on with it; returns its checkpoint in 16 bits."""
    changes: dict[str, Any] = {"seed": seed, "pretrained": False}
    changes |= {key: getattr(options, key) for key in ("epochs", "batch_size", "learning_rate")}
    given = {key: value for key, value in changes.items() if value is not None}
    recipe: Recipe = replace(PRESETS[options.preset][method], **given)
    listed = load_dataset("cvtown", options.data, "any-train").pairs[: options.pairs]
    training, held_out = listed[: -options.held_out], listed[-options.held_out :]
    sets = Dataset("cvtown", training), Dataset("cvtown", held_out)
    about = described(*sets, "any-train", None, on_test=False)
    run = Run(options.out / f"{method}-{seed}", recipe, about)
    job = Job(run, training, held_out, on_cpu=options.cpu, workers=options.workers)
    train(job, lambda row: print(f"{method} {seed}: {json.dumps(row)}", flush=True))
    small = run.folder / f"{method}.safetensors"
    if not small.is_file():
        best = read_checkpoint(run.folder / WEIGHTS)
        write_checkpoint(small, recipe.config, best.tensors, training=best.training, half=True)
    return small


def evaluated(options: argparse.Namespace, suite: Suite, method: str, seed: int) -> None:
    """Evaluate a trained method on the whole suite, and clean on narrow views."""
    folder = options.out / f"{method}-{seed}"
    adapter = load(method, folder / f"{method}.safetensors")
    narrow = suite.select(views=NARROW, corruptions=())
    for name, cells in (("grid", suite.cells), ("narrow", narrow)):
        out = _record_folder(options, method, seed, name)
        path = out / "record.json"
        if path.is_file() and read_record(path).model.weights_sha256 == adapter.weights_sha256:
            continue
        shutil.rmtree(out, ignore_errors=True)
        job = plan_evaluation(suite, options.data, adapter, cells=cells)
        evaluate(job, out, device="cpu" if options.cpu else "auto")


def _record_folder(options: argparse.Namespace, method: str, seed: int, name: str) -> Path:
    folder: Path = options.out / f"{method}-{seed}" / Path(options.suite).stem / name
    return folder


@dataclass(frozen=True)
class Found:
    """Which queries a method found: 1 or 0, or the mean over seeds.

    Attributes:
        cells: of the grid and of the narrow views.
        hits: (cells, Q).
    """

    cells: tuple[Cell, ...]
    hits: Array


def found_by(options: argparse.Namespace, method: str, seeds: Sequence[int]) -> Found:
    """Read a method's records, averaged over seeds."""
    by_cell: dict[Cell, list[Array]] = {}
    for seed in seeds:
        for name in ("grid", "narrow"):
            path = _record_folder(options, method, seed, name) / "ranks.parquet"
            for cell, answers in read_ranks(path).cells.items():
                by_cell.setdefault(cell, []).append(answers.hits)
    return Found(tuple(by_cell), np.stack([np.mean(rows, axis=0) for rows in by_cell.values()]))


def figures(suite: Suite, own: Found, baseline: Found) -> dict[str, Interval]:
    """The table's numbers of one method with their intervals, as fractions."""
    count, queries = own.hits.shape

    def numbers(recalls: Array) -> dict[str, Number]:
        ours, theirs = (
            Grid(suite, "full", queries, dict(zip(found.cells, part, strict=True)))
            for found, part in ((own, recalls[:count]), (baseline, recalls[count:]))
        )
        averaged = averages(ours, theirs)
        named = {title: averaged[key] for key, title in _TITLES.items()}
        clean = {cell.view: ours.recalls[cell] for cell in own.cells if cell.corruption == CLEAN}
        return named | {f"R@1 {view}": clean[view] for view in NARROW}

    return with_intervals(np.concatenate([own.hits, baseline.hits]), numbers)


def table(options: argparse.Namespace, suite: Suite) -> pd.DataFrame:
    """All methods, a row each, in percent: means over the seeds with their intervals."""
    found = {method: found_by(options, method, options.seeds) for method in options.methods}
    baseline = found.get(BASELINE) or found_by(options, BASELINE, options.seeds)
    rows = {}
    for method, own in found.items():
        numbers = figures(suite, own, baseline)
        rows[method] = {
            title: f"{100 * each.value:.1f} ({100 * each.low:.1f}-{100 * each.high:.1f})"
            for title, each in numbers.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def seed_table(options: argparse.Namespace, suite: Suite) -> pd.DataFrame:
    """Every training by itself, in percent: how far apart seeds are."""
    rows = {}
    for method in options.methods:
        for seed in options.seeds:
            own = found_by(options, method, [seed])
            recalls = dict(zip(own.cells, own.hits.mean(axis=1), strict=True))
            grid = Grid(suite, "full", own.hits.shape[1], recalls)
            averaged = averages(grid)
            rows[f"{method}, seed {seed}"] = {
                title: 100 * float(averaged[key])
                for key, title in _TITLES.items()
                if key in averaged
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("training")


def ship(options: argparse.Namespace) -> None:
    """Put the first seed's checkpoints, with their curves and hashes, into a folder."""
    lines = []
    for method in options.methods:
        run = options.out / f"{method}-{options.seeds[0]}"
        name = f"{method}.safetensors"
        write_atomically(options.ship / name, read(run / name))
        write_atomically(options.ship / f"{method}.csv", read(run / CURVES_TABLE))
        lines.append(f"{sha256_of_file(options.ship / name)}  {name}\n")
    write_atomically(options.ship / "SHA256SUMS", "".join(lines).encode())


def main() -> None:
    """Train, evaluate, and print the table."""
    options = _options()
    try:
        if options.ship:
            ship(options)
            return
        suite = load_suite(options.suite)
        for seed in options.seeds:
            for method in options.methods:
                if not options.table:
                    trained(options, method, seed)
                    evaluated(options, suite, method, seed)
        page = "\n\n".join(as_markdown(each(options, suite)) for each in (table, seed_table))
    except CvglBenchError as error:
        raise SystemExit(f"Error: {error}") from error
    device = "CPU" if options.cpu or not torch.cuda.is_available() else "GPU"
    (options.out / "table.md").write_text(page + "\n")
    print(f"{suite.label}, seeds {options.seeds}, on {device}\n\n{page}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a town on disk")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--suite", default="cvtown-c")
    parser.add_argument("--preset", default="small", choices=[*PRESETS])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--pairs", type=int, help="only the first so many, held-out ones included")
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--epochs", type=int, help="instead of the recipes'")
    parser.add_argument("--batch-size", type=int, help="instead of the recipes'")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipes'")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode pictures")
    parser.add_argument("--cpu", action="store_true", help="use no GPU")
    parser.add_argument("--table", action="store_true", help="only make the table anew")
    parser.add_argument("--ship", type=Path, metavar="FOLDER", help="only copy the checkpoints")
    return parser.parse_args()


if __name__ == "__main__":
    main()
