"""A town's pairs as a training reads them: small, in memory, varied alike on both sides."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.town_model import FULL_WIDTH, aerial_input, ground_input
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.errors import DataError
from cvgl_bench.files import read
from cvgl_bench.training.photometry import recoloured, saturation_mixing

READERS = 4


@dataclass(frozen=True)
class Pairs:
    """Both pictures of all pairs at the network's size, uint8, (N, 3, H, W) each."""

    ground: Tensor
    aerial: Tensor


def read_pairs(pairs: Sequence[Pair]) -> Pairs:
    """Decode and resize all pictures, a few at a time in threads.

    Raises:
        DataError: there is no pair, a picture cannot be read, or panoramas differ in shape.
    """
    if not pairs:
        raise DataError("there is no pair to train on.")
    with ThreadPoolExecutor(READERS) as pool:
        ground = list(pool.map(lambda pair: _small(pair.ground, ground_input), pairs))
        aerial = list(pool.map(lambda pair: _small(pair.aerial, aerial_input), pairs))
    if {picture.shape[2] for picture in ground} != {FULL_WIDTH}:
        raise DataError(
            "the network trains on panoramas of CVUSA's shape (5.5 times as wide as high), and "
            "these are of another."
        )
    return Pairs(torch.stack(ground), torch.stack(aerial))


def _small(path: Path, resize: Callable[[Tensor], Tensor]) -> Tensor:
    picture = torch.from_numpy(decode(read(path), str(path))).permute(2, 0, 1)[None]
    return resize(picture.float()).round_().clamp_(0, 255).byte()[0]


def turned_together(ground: Tensor, aerial: Tensor, draw: torch.Generator) -> Pairs:
    """Turn each pair by any angle and mirror half of them, the panorama as the unrolled tile.

    Args:
        ground: whole panoramas, (B, 3, H, W).
        aerial: tiles, unrolled alike, (B, 3, H, W).
        draw: chance.
    """
    count, _, _, width = ground.shape
    first = torch.randint(width, (count, 1), generator=draw)
    index = (first + torch.arange(width)) % width
    mirrored = torch.rand(count, 1, generator=draw) < 0.5
    index = torch.where(mirrored, index.flip(1), index)[:, None, None]
    turned = (views.gather(3, index.expand_as(views)) for views in (ground, aerial))
    return Pairs(*turned)


def cut_anywhere(ground: Tensor, columns: int, draw: torch.Generator) -> Tensor:
    """Cut `columns` columns out of each panorama, (B, 3, H, W), looking anywhere."""
    count, _, height, width = ground.shape
    first = torch.randint(width, (count, 1), generator=draw)
    index = (first + torch.arange(columns)) % width
    return ground.gather(3, index[:, None, None].expand(-1, 3, height, -1))


def varied(images: Tensor, draw: torch.Generator) -> Tensor:
    """Vary brightness, contrast, saturation and colour cast of each picture; uint8 to 0..1."""
    chances = 2 * torch.rand(len(images), 6, generator=draw) - 1
    brightness, contrast, saturation = (1 + chances[:, :3] * torch.tensor([0.2, 0.3, 0.4])).unbind(
        1
    )
    cast = 1 + 0.1 * chances[:, 3:, None]
    mixing = cast * saturation_mixing(saturation)
    return recoloured(images.float().div_(255), brightness, contrast, mixing)
