"""Drops of water and stains of mud on the lens, value for value those of `corruptions.splashes`."""

import numpy as np
import torch
from torch import Tensor

from corruptions.gpu.outlines import outlines
from corruptions.gpu.relief import neighbours, relief
from corruptions.gpu.tables import look_up, number, place, precise, to_bytes, units
from corruptions.splashes import EMBOSS, MUD_COLOUR, MUD_EDGE, WATER_COLOUR

_MOST_RELIEF = 20


def splash_water(images: Tensor, liquid: Tensor, *, threshold: float, strength: float) -> Tensor:
    """Light the pictures up where there are drops, clipped and rounded down.

    Args:
        images: (B, 3, H, W), uint8.
        liquid: (B, H, W), float32.
        threshold: less liquid is no drop.
        strength: brightness of the water where it is brightest, 0..1.
    """
    device, real = images.device, precise(images.device)
    level = (liquid * 255).to(torch.int32) & 255
    layer = torch.where(liquid >= float(np.float32(threshold)), level, 0)
    lit = _lit(_equalised(relief(outlines(layer))))
    water = layer * lit
    brightest = water.amax((1, 2)).clamp(min=1).to(real)
    light = torch.full_like(brightest, 255 * strength) / brightest
    light = (light[:, None] * place(WATER_COLOUR, device)).to(torch.float32)
    added = water.to(torch.float32)[:, None] * light[:, :, None, None]
    return to_bytes(added.add_(images))


def _equalised(planes: Tensor) -> Tensor:
    """Histogram equalisation as OpenCV's, (B, H, W), of whole numbers up to 20."""
    device, total = planes.device, planes[0].numel()
    levels = range(_MOST_RELIEF + 1)
    counts = torch.stack([(planes == level).sum((1, 2)) for level in levels], dim=1)
    running = counts.cumsum(1)
    # The lowest level that occurs becomes 0; a plane of one level stays as it is.
    least = (running == 0).sum(1, keepdim=True)
    lowest = counts.gather(1, least)
    rest = (total - lowest).clamp(min=1)
    scale = torch.full_like(rest, 255, dtype=torch.float32) / rest
    table = ((running - lowest).clamp(min=0) * scale).round().clamp(max=255).to(torch.int32)
    own = torch.arange(len(levels), dtype=torch.int32, device=device)
    table = torch.where(lowest == total, own, table)
    return table.gather(1, planes.flatten(1).to(torch.int64)).view(planes.shape)


def _lit(planes: Tensor) -> Tensor:
    """Embossed, so that drops have a light and a dark side, and the mean of 3 x 3 of that."""
    around = neighbours(planes)
    embossed = torch.zeros_like(planes)
    for row in range(3):
        for column in range(3):
            if EMBOSS[row, column]:
                embossed += around(row - 1, column - 1) * int(EMBOSS[row, column])
    around = neighbours(embossed.clamp(0, 255))
    nine = torch.zeros_like(planes)
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            nine += around(row, column)
    return torch.div(2 * nine + 9, 18, rounding_mode="floor")


def splash_mud(images: Tensor, mud: Tensor) -> Tensor:
    """Cover the pictures with mud, clipped and rounded down.

    Args:
        images: (B, 3, H, W), uint8.
        mud: how much of a pixel is covered, (B, H, W), float32, 0..1.
    """
    device, real = images.device, precise(images.device)
    covered = mud.to(real)
    muddy = (covered >= number(MUD_EDGE, device))[:, None]
    clear = look_up(units(device), images) * (1 - mud)[:, None]
    brown = covered[:, None] * place(MUD_COLOUR, device)[:, None, None]
    return torch.where(muddy, to_bytes(brown.add_(clear).clamp_(max=1).mul_(255)), images)
