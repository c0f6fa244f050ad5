"""Train the small two-branch network on CVTown, to measure how hard the town is.

python -m benchmarks.town_training --data TOWN --minutes 20 --out weights.safetensors

The pictures are decoded once, resized to the network's input and held in memory. Each batch is
drawn from them with turns and mirrorings that both views share, and colours of each view's own. The
loss is symmetric InfoNCE with the batch as negatives. With --views narrow, panoramas are cut to
parts that look in an unknown direction: whole and aligned at first, because that is learnt
sooner, then ever narrower, down to 90 degrees.

--minutes ends in time on any machine, reading included, because the learning rate follows the
clock: two such runs differ. --steps gives the same weights again on one machine with as many
threads (OMP_NUM_THREADS). The last --held-out pairs of the split are not trained on; their R@1, by
the benchmark's own scoring, is printed at the end.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks.town_model import FULL_WIDTH, STRIDE, TownNet, TwoBranch
from benchmarks.town_pictures import Pairs, cut_anywhere, read_pairs, turned_together, varied
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair, load_dataset
from cvgl_bench.embedding import embed, resolve_device
from cvgl_bench.errors import CvglBenchError, DataError
from cvgl_bench.files import read, write_atomically
from cvgl_bench.ranking import rank_all
from cvgl_bench.scores import recall_at
from cvgl_bench.training.losses import info_nce
from cvgl_bench.views import crop, draw_heading

WIDEST, NARROW = FULL_WIDTH - STRIDE, FULL_WIDTH // 4  # 337 and 90 degrees
# Shares of the training: up to the first, views are whole and aligned, from the second on narrow.
WHOLE, NARROWED = 0.05, 0.25


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        seed: of the first weights and of every draw.
        views: "aligned" whole panoramas, or "narrow" parts of them.
        batch: pairs a step.
        rate: the highest learning rate.
        steps: how many; None trains until the deadline.
        deadline: `time.monotonic()` at the end, where steps is None.
        bfloat16: compute in bfloat16 where torch's autocast says it is safe.
        device: where.
    """

    seed: int = 0
    views: Literal["aligned", "narrow"] = "aligned"
    batch: int = 64
    rate: float = 2e-3
    steps: int | None = None
    deadline: float = math.inf
    bfloat16: bool = False
    device: str = "cpu"


def batches(pairs: Pairs, plan: Plan, done: Callable[[], float]) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw batches for ever: views (V, B, 3, H, w) and tiles (B, 3, H, W), float32 in 0..1.

    Args:
        pairs: what from.
        plan: the batch's size and its views.
        done: returns the share of the training that is over. Views become narrow by and by: from
            the start, they are learnt too late. As many are cut from a panorama as would fill it,
            because they share the work on its tile.
    """
    draw = torch.Generator().manual_seed(plan.seed)
    size = min(plan.batch, len(pairs.ground))
    while True:
        order = torch.randperm(len(pairs.ground), generator=draw)
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            both = turned_together(pairs.ground[chosen], pairs.aerial[chosen], draw)
            ground = varied(both.ground.to(plan.device), draw)
            views = ground[None]
            if plan.views == "narrow" and done() > WHOLE:
                width = _width(done())
                cuts = [cut_anywhere(ground, width, draw) for _ in range(FULL_WIDTH // width)]
                views = torch.stack(cuts)
            yield views, varied(both.aerial.to(plan.device), draw)


def _width(done: float) -> int:
    share = min(1.0, (done - WHOLE) / (NARROWED - WHOLE))
    return STRIDE * round((WIDEST - (WIDEST - NARROW) * share) / STRIDE)


class InfoNCE(nn.Module):
    """Symmetric cross-entropy over the batch's similarities, with a learnt temperature.

    Source: Radford et al. 2021, arXiv:2103.00020; the label smoothing of Sample4Geo (Deuser et
        al. 2023, arXiv:2303.11851).
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, ground: Tensor, aerial: Tensor) -> Tensor:
        """Return the loss of unit-length embeddings, (B, D) each, row k of both a pair."""
        return info_nce(ground, aerial, self.log_scale.clamp(max=math.log(100)))


def rate_at(done: float) -> float:
    """Learning rate as a share of the highest: a rise over 8 %, then a cosine to nothing.

    Args:
        done: share of the training, in 0..1.
    """
    if done < 0.08:
        return 0.02 + 0.98 * done / 0.08
    return (1 + math.cos(math.pi * (done - 0.08) / 0.92)) / 2


def train(
    pairs: Pairs, plan: Plan, progress: Callable[[int, float], None] = lambda *_: None
) -> TwoBranch:
    """Train a new network.

    Args:
        pairs: all of them are trained on.
        plan: how.
        progress: told the number of steps done and the loss, after each.

    Raises:
        DataError: neither steps nor a deadline are given.
    """
    if plan.steps is None and math.isinf(plan.deadline):
        raise DataError("a training needs a number of steps or a deadline.")
    torch.manual_seed(plan.seed)
    network, loss_of = TwoBranch().to(plan.device), InfoNCE().to(plan.device)
    optimizer = _optimizer(network, loss_of, plan.rate)
    start, kind, step = time.monotonic(), torch.device(plan.device).type, 0

    def done() -> float:
        if plan.steps is not None:
            return step / plan.steps
        return (time.monotonic() - start) / max(plan.deadline - start, 1e-9)

    drawn = batches(pairs, plan, done)
    while (share := done()) < 1:
        ground, aerial = next(drawn)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * rate_at(share)
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=plan.bfloat16):
            seen = network.encode_ground(ground.flatten(0, 1)).reshape(*ground.shape[:2], -1)
            tiles = network.encode_aerial(aerial)
        loss = torch.stack([loss_of(view, tiles) for view in seen]).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        step += 1
        progress(step, float(loss.detach()))
    return network


def _optimizer(network: nn.Module, loss: nn.Module, rate: float) -> torch.optim.AdamW:
    weights = [*network.parameters(), *loss.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": 0.05},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate)


def write_weights(network: TwoBranch, path: Path) -> None:
    """Write what TownNet reads: the network's tensors, as safetensors."""
    tensors = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    write_atomically(path, save(tensors))


def score(weights: Path, pairs: Sequence[Pair], fov_degrees: float | None) -> float:
    """R@1 of a trained network among these pairs' own tiles.

    Args:
        weights: its file.
        pairs: queries and gallery.
        fov_degrees: the queries' field of view, each looking in its own drawn direction; None for
            whole panoramas, north in the centre.
    """
    model = TownNet(weights)

    def view(pair: Pair) -> NDArray[np.uint8]:
        whole = decode(read(pair.ground), str(pair.ground))
        if fov_degrees is None:
            return whole
        heading = draw_heading(0, "cvtown", pair.id)
        return crop(whole, heading_degrees=heading, fov_degrees=fov_degrees)

    tiles = (decode(read(pair.aerial), str(pair.aerial)) for pair in pairs)
    references = embed(model, tiles, side="aerial", device="auto")
    queries = embed(model, map(view, pairs), side="ground", device="auto")
    return recall_at(rank_all(queries, references, range(len(pairs))).ranks, 1)


def main() -> None:
    """Train, write the weights, print how well they do on the pairs held out."""
    options = _options()
    try:
        _run(options, time.monotonic())
    except CvglBenchError as error:
        raise SystemExit(f"Error: {error}") from error


def _run(options: argparse.Namespace, start: float) -> None:
    device = str(resolve_device(options.device))
    if not options.out.resolve().parent.is_dir():
        raise DataError(f"there is no folder '{options.out.parent}' for the weights.")
    if options.out.suffix != ".safetensors":
        raise DataError(f"the weights' file ends in .safetensors, not as '{options.out}' does.")
    listed = load_dataset("cvtown", options.data, options.split).pairs[: options.pairs]
    training, held_out = listed[: -options.held_out], listed[-options.held_out :]
    pairs = read_pairs(training)
    print(f"{len(training)} pairs read in {time.monotonic() - start:.0f} s", flush=True)
    plan = Plan(
        seed=options.seed,
        views=options.views,
        batch=options.batch,
        steps=options.steps,
        deadline=start + 60 * options.minutes,
        bfloat16=options.bfloat16,
        device=device,
    )
    network = train(pairs, plan, _Report(start))
    write_weights(network, options.out)
    whole, narrow = (score(options.out, held_out, fov) for fov in (None, 90.0))
    print(
        f"R@1 of {len(held_out)} pairs held out: {whole:.1%} whole and aligned, {narrow:.1%} at "
        f"90 degrees in an unknown direction. {options.out} written."
    )


class _Report:
    """Prints the mean loss of every hundred steps."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.losses: list[float] = []

    def __call__(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step % 100 == 0:
            mean = sum(self.losses) / len(self.losses)
            print(
                f"step {step}: loss {mean:.3f}, {time.monotonic() - self.start:.0f} s", flush=True
            )
            self.losses.clear()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--data", type=Path, required=True, help="a town on disk")
    parser.add_argument("--out", type=Path, required=True, help="the weights, FILE.safetensors")
    parser.add_argument(
        "--split", default="train", help="split of the town; train-small for that size (train)"
    )
    parser.add_argument(
        "--pairs", type=_positive, help="only the first so many, held-out ones included"
    )
    parser.add_argument("--held-out", type=_positive, default=500, help="the last so many (500)")
    parser.add_argument("--minutes", type=float, default=20, help="until when to train (20)")
    parser.add_argument("--steps", type=_positive, help="so many steps instead, repeatably")
    parser.add_argument("--views", choices=["aligned", "narrow"], default="aligned")
    parser.add_argument("--batch", type=_positive, default=64, help="pairs a step (64)")
    parser.add_argument("--bfloat16", action="store_true", help="faster where it is in hardware")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


if __name__ == "__main__":
    main()
