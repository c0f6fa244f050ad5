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
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap

from cvgl_bench.datasets import Dataset, load_dataset
from cvgl_bench.errors import CvglBenchError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.files import read, sha256_of_file, write_atomically
from cvgl_bench.models import load
from cvgl_bench.models.checkpoint import read_checkpoint, write_checkpoint
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.record import read_record
from cvgl_bench.suite import CLEAN, Cell, Suite, load_suite
from cvgl_bench.tables import as_markdown
from cvgl_bench.training.loop import Job, train
from cvgl_bench.training.recipes import PRESETS, Recipe
from cvgl_bench.training.run import CURVES_TABLE, WEIGHTS, Run, described

METHODS = ("sample4geo", "mrgeo", "singeo", "lrfr")
BASELINE = "sample4geo"
NARROW = ("fov360", "fov180", "fov90", "fov70")
RESAMPLES = 2000
Hits = Mapping[Cell, NDArray[np.float64]]


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


def hits_of(options: argparse.Namespace, method: str) -> Hits:
    """Whether each query was found first, a cell, as a mean over the seeds."""
    found: dict[Cell, list[NDArray[np.float64]]] = {}
    for seed in options.seeds:
        for name in ("grid", "narrow"):
            path = _record_folder(options, method, seed, name) / "ranks.parquet"
            for cell, answers in read_ranks(path).cells.items():
                found.setdefault(cell, []).append(answers.hits)
    return {cell: np.mean(rows, axis=0) for cell, rows in found.items()}


def figures(hits: Hits, baseline: Hits | None, chosen: NDArray[np.intp]) -> dict[str, float]:
    """The table's numbers of one method in percent, from the chosen queries; mCE by a baseline."""
    r1 = {cell: 100 * float(rows[chosen].mean()) for cell, rows in hits.items()}
    corrupted = [cell for cell in hits if cell.severity and cell.view == "full"]
    clean = r1[Cell(view="full", corruption=CLEAN, severity=0)]
    mean = float(np.mean([r1[cell] for cell in corrupted]))
    narrow = {view: r1[Cell(view=view, corruption=CLEAN, severity=0)] for view in NARROW}
    rce = 100 * (clean - mean) / clean if clean else float("nan")
    return {
        "R@1 clean": clean,
        "R@1_cor": mean,
        "RCE": rce,
        **({f"mCE (vs {BASELINE})": _mce(r1, baseline, chosen)} if baseline else {}),
        **{f"R@1 {view}": value for view, value in narrow.items()},
    }


def _mce(r1: Mapping[Cell, float], baseline: Hits, chosen: NDArray[np.intp]) -> float:
    errors: dict[str, list[tuple[float, float]]] = {}
    for cell, own in r1.items():
        if cell.severity and cell.view == "full":
            theirs = 100 * float(baseline[cell][chosen].mean())
            errors.setdefault(cell.corruption, []).append((100 - own, 100 - theirs))
    ratios = [np.sum(pairs, axis=0) for pairs in errors.values()]
    return float(np.mean([100 * own / other if other else np.nan for own, other in ratios]))


def table(options: argparse.Namespace) -> pd.DataFrame:
    """All methods, a row each, every number with its interval."""
    all_hits = {method: hits_of(options, method) for method in options.methods}
    baseline = all_hits.get(BASELINE)
    rows = {}
    for method, hits in all_hits.items():
        queries = np.arange(len(next(iter(hits.values()))))
        whole = figures(hits, baseline, queries)

        def statistic(chosen: NDArray[np.intp], hits: Hits = hits) -> NDArray[np.float64]:
            return np.array([*figures(hits, baseline, chosen).values()])

        interval = bootstrap(
            (queries,),
            statistic,
            n_resamples=RESAMPLES,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        rows[method] = {
            key: f"{value:.1f} ({low:.1f}-{high:.1f})"
            for (key, value), low, high in zip(
                whole.items(), np.ravel(interval.low), np.ravel(interval.high), strict=True
            )
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


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
        page = as_markdown(table(options))
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
