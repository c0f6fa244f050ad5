"""How fast are the reference methods trained, and in how much memory?

python -m benchmarks.training --data TOWN [--preset small] [--pairs 512] [--batch-size 64] [--cpu]

Prints images a second and peak memory of a plain training loop, as the field's public code has it
(decode, resize and vary each picture in a loader's workers, both views through the network, one
loss), and of ours with each method: once with pictures decoded every epoch as the plain loop does,
once with pictures kept in memory. All have the backbone, sizes, batch, augmentation and precision
of the preset. The plain loop is written here from that description. Every row runs in a process of
its own; the first epoch warms up, the last is measured. Memory is that of the process that trains,
without its decoding workers. The plain loop keeps its workers from epoch to epoch, ours starts
them anew. SinGeo shows its network four pictures a pair; images are counted as two a pair for all.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.corruptions import processor
from cvgl_bench.datasets import Pair, load_dataset
from cvgl_bench.models.inputs import DEVIATION, MEAN
from cvgl_bench.models.sample4geo import SharedEncoder
from cvgl_bench.tables import as_markdown
from cvgl_bench.training.loop import Job, train
from cvgl_bench.training.recipes import PRESETS, Recipe
from cvgl_bench.training.run import Run

PLAIN = "plain loop, sample4geo"
EPOCHS = 3
HELD_OUT = 16
Image = NDArray[np.uint8]
# As much as the recipes' own augmentation of that name does, picture by picture.
_COLOURS: dict[str, list[nn.Module]] = {
    "none": [],
    "light": [v2.ColorJitter(0.15, 0.15, 0.15)],
    "paper": [
        v2.RandomApply([v2.JPEG((90, 100))], 0.5),
        v2.RandomApply([v2.ColorJitter(0.15, 0.15, 0.15, 0.15)], 0.5),
        v2.RandomApply([v2.GaussianBlur(3)], 0.3),
        v2.RandomErasing(0.3),
    ],
}


class PlainPairs(Dataset[tuple[Tensor, Tensor]]):
    """Pairs, each decoded, mirrored, resized, varied, turned and normalised by itself."""

    def __init__(self, pairs: Sequence[Pair], recipe: Recipe) -> None:
        self.pairs, self.recipe = pairs, recipe
        self.varied = v2.Compose(
            [
                *_COLOURS[recipe.photometric],
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair, config = self.pairs[index], self.recipe.config
        ground, aerial = (
            np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1]
            for path in (pair.ground, pair.aerial)
        )
        if torch.rand(1) < 0.5:
            ground, aerial = ground[:, ::-1], aerial[:, ::-1]
        tile = self._tensor(aerial, config.aerial_size)
        panorama = self._tensor(ground, config.ground_size)
        quarters = int(torch.randint(4, (1,)))
        turned = torch.rot90(tile, -quarters, (1, 2))
        return panorama.roll(quarters * panorama.shape[2] // 4, 2), turned

    def _tensor(self, image: Image, size: tuple[int, int]) -> Tensor:
        resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
        varied: Tensor = self.varied(
            torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)
        )
        return varied


def plain(recipe: Recipe, pairs: Sequence[Pair], options: argparse.Namespace) -> float:
    """Train with the plain loop; returns images a second of the last epoch."""
    device = torch.device("cpu" if options.cpu or not torch.cuda.is_available() else "cuda")
    network = SharedEncoder(recipe.config).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate)
    loader = DataLoader(
        PlainPairs(pairs, recipe),
        recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    speed = 0.0
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for pictures in loader:
            ground, aerial = (each.to(device, non_blocking=True) for each in pictures)
            is_half = recipe.precision == "bf16"
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half):
                rows = network(ground, "ground"), network(aerial, "aerial")
                logits = network.logit_scale.exp() * rows[0] @ rows[1].T
                truth = torch.arange(len(logits), device=device)
                smoothing = recipe.label_smoothing
                loss = (
                    cross_entropy(logits, truth, label_smoothing=smoothing)
                    + cross_entropy(logits.T, truth, label_smoothing=smoothing)
                ) / 2
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_value_(network.parameters(), recipe.clip_value)
            optimizer.step()
            float(loss.detach())
        speed = 2 * len(loader) * recipe.batch_size / (time.perf_counter() - start)
    return speed


def ours(
    recipe: Recipe, pairs: Sequence[Pair], options: argparse.Namespace, *, kept: bool
) -> float:
    """Train with the toolkit's loop; returns images a second of the last epoch."""
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            Run(Path(folder), recipe, {}),
            pairs[:-HELD_OUT],
            pairs[-HELD_OUT:],
            on_cpu=options.cpu,
            workers=options.workers,
            memory_bytes=sys.maxsize if kept else 0,
        )
        train(job, lambda row: seconds.append(row["seconds"]))
    batches = (len(pairs) - HELD_OUT) // recipe.batch_size
    return 2 * batches * recipe.batch_size / seconds[-1]


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One row: images a second, and the process's peak memory in MiB."""
    method, _, way = options.row.partition(", ")
    is_plain = options.row == PLAIN
    recipe = _recipe("sample4geo" if is_plain else method, options)
    pairs = load_dataset("cvtown", options.data, "any-train").pairs[: options.pairs + HELD_OUT]
    if is_plain:
        speed = plain(recipe, pairs[:-HELD_OUT], options)
    else:
        speed = ours(recipe, pairs, options, kept=way == "kept")
    row = {"images a second": speed, "peak MiB": _peak()}
    if torch.cuda.is_available() and not options.cpu:
        row["peak MiB of the GPU"] = torch.cuda.max_memory_allocated() / 2**20
    return row


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _recipe(method: str, options: argparse.Namespace) -> Recipe:
    changes: dict[str, Any] = {"epochs": EPOCHS, "validate_every": EPOCHS, "pretrained": False}
    if options.batch_size:
        changes["batch_size"] = options.batch_size
    # Looking neighbours up is no part of an epoch of the plain loop.
    return replace(PRESETS[options.preset][method], sampling=None, **changes)


def main() -> None:
    """Measure every row in a process of its own and print the table."""
    options = _options()
    if options.row:
        print(json.dumps(measure(options)))
        return
    rows = [PLAIN] + [f"{name}, {way}" for name in PRESETS["small"] for way in ("decoded", "kept")]
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        words = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--row", row]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        table[row] = json.loads(done.stdout.splitlines()[-1])
        table[row]["ratio"] = table[row]["images a second"] / table[PLAIN]["images a second"]
        print(f"{row}: {table[row]}", file=sys.stderr, flush=True)
    device = "CPU" if options.cpu or not torch.cuda.is_available() else torch.cuda.get_device_name()
    recipe = _recipe("sample4geo", options)
    print(f"{processor()}, {device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(
        f"{recipe.config.backbone}, ground {recipe.config.ground_size}, aerial "
        f"{recipe.config.aerial_size}, batch {recipe.batch_size}, {recipe.precision}\n"
    )
    print(as_markdown(pd.DataFrame.from_dict(table, orient="index").rename_axis("loop")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a town with the area train")
    parser.add_argument("--preset", default="small", choices=[*PRESETS])
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
