"""Losses on the way from the camera to the file, value for value those of `corruptions.digital`."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from corruptions.blocks import HALF, WEIGHT_BITS, boxes_along
from corruptions.draws import number
from corruptions.gpu import tables
from corruptions.gpu.jpeg import recode
from corruptions.gpu.noise import Rngs


def contrast(images: Tensor, _rngs: Rngs, *, factor: float) -> Tensor:
    """Pull every value towards the mean of its channel: `corruptions.digital.contrast`.

    Moves nothing.

    Args:
        images: (B, 3, H, W), uint8.
        factor: share of the contrast that is left, 0..1.
    """
    factor = number("factor", factor, 0, 1)
    device, real = images.device, tables.precise(images.device)
    count, white = images.shape[2] * images.shape[3], tables.number(255, device)
    means = images.sum(dim=(2, 3), dtype=torch.int64).to(real) / tables.number(count, device)
    means = (means / white)[..., None]
    levels = torch.arange(256, device=device, dtype=real) / white
    table = tables.to_bytes((((levels - means) * factor + means) * 255).clamp(min=0))
    values = images.flatten(2).to(torch.int64)
    return table.gather(2, values).view(images.shape)


def pixelate(images: Tensor, _rngs: Rngs, *, scale: float) -> Tensor:
    """Shrink by averaging and enlarge in blocks: `corruptions.digital.pixelate`.

    Moves tables of 32 bytes a row and a column, once a size.

    Args:
        images: (B, 3, H, W), uint8.
        scale: share of the resolution that is left, 0..1.
    """
    height, width = images.shape[2:]
    scale = number("scale", scale, 1 / min(height, width), 1)
    down = _boxes_on(height, int(height * scale), images.device)
    across = _boxes_on(width, int(width * scale), images.device)
    blocks = _shrunk(images, across)
    blocks = _shrunk(blocks.transpose(2, 3), down).transpose(2, 3)
    shown = blocks.to(torch.uint8).index_select(2, down.shown)
    return shown.index_select(3, across.shown).contiguous()


class _Boxes(NamedTuple):
    """`corruptions.blocks._Boxes` on a device, by where a box starts and where it ends."""

    first: Tensor
    stop: Tensor
    weight: Tensor
    shown: Tensor


@lru_cache(maxsize=64)
def _boxes_on(size: int, short: int, device: torch.device) -> _Boxes:
    first, count, weight, shown = (
        tables.place(array, device) for array in boxes_along(size, short)
    )
    return _Boxes(first, first + count, weight.to(torch.int32), shown)


def _shrunk(values: Tensor, boxes: _Boxes) -> Tensor:
    """Means along the last dimension, in whole numbers, rounded to the nearest."""
    sums = torch.nn.functional.pad(values.cumsum(3, dtype=torch.int32), (1, 0))
    total = sums.index_select(3, boxes.stop) - sums.index_select(3, boxes.first)
    return (total * boxes.weight + HALF) >> WEIGHT_BITS


def jpeg_compression(images: Tensor, _rngs: Rngs, *, quality: int) -> Tensor:
    """What a JPEG file of low quality leaves: `corruptions.digital.jpeg_compression` by Pillow.

    Moves nothing: no file is written, since coding what is left of the numbers loses nothing.

    Args:
        images: (B, 3, H, W), uint8.
        quality: libjpeg's, 1..100.
    """
    return recode(images, quality)
