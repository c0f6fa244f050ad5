"""Enlarging the middle of pictures, with the shares and roundings of `corruptions.zooming`."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import number, whole
from corruptions.gpu.tables import look_up, place
from corruptions.zooming import Stretch, losses_of_layers, stretch

_ROUNDING = 4e-5  # more than float32 means of 17 bytes are off, in grey levels


class Enlarged(NamedTuple):
    """`corruptions.zooming.Stretch` on a device, cut to a length."""

    pixel: Tensor
    share: Tensor


@lru_cache(maxsize=256)
def enlarged(size: int, zoom: float, length: int | None, device: torch.device) -> Enlarged:
    """How the middle of a line is enlarged.

    Args:
        size: of the line, in pixels.
        zoom: 1 to 8.
        length: of what is kept, from the start; None for all.
        device: to put it on.
    """
    line: Stretch = stretch(size, zoom)
    return Enlarged(place(line.pixel[:length], device), place(line.share[:length], device))


def across(values: Tensor, line: Enlarged) -> Tensor:
    """Enlarge rows, the last dimension; float32."""
    left = values.index_select(-1, line.pixel).to(torch.float32)
    right = values.index_select(-1, line.pixel + 1).to(torch.float32)
    return right.sub_(left).mul_(line.share).add_(left)


def down(values: Tensor, line: Enlarged) -> Tensor:
    """Enlarge columns, the last dimension but one; float32."""
    upper = values.index_select(-2, line.pixel)
    lower = values.index_select(-2, line.pixel + 1)
    return lower.sub_(upper).mul_(line.share[:, None]).add_(upper)


def average_of_zooms(images: Tensor, layers: int, step: float) -> Tensor:
    """Average of pictures, counted twice, and their versions that are ever closer, rounded down.

    Args:
        images: (B, 3, H, W), uint8.
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.

    Raises:
        ValueError: layers are not 1 to 100, or the step not 0.001 to 1.
    """
    layers, step = whole("layers", layers, 1, 100), number("step", step, 0.001, 1)
    height, width = images.shape[2:]
    total = images.to(torch.float32) * 2
    # arange and not 1 + layer * step: stretch rounds up, where the last bit can add a pixel
    zooms = np.arange(1, 1 + (layers - 0.5) * step, step)[1:]
    for zoom in zooms:
        wide = across(images, enlarged(width, float(zoom), width, images.device))
        total += down(wide, enlarged(height, float(zoom), height, images.device))
    total *= float(np.float32(1 / (len(zooms) + 2)))
    return round_down(total, _ROUNDING, _losses_on(layers, images.device))


@lru_cache(maxsize=16)
def _losses_on(layers: int, device: torch.device) -> Tensor:
    return place(losses_of_layers(layers), device)


def round_down(values: Tensor, error: float, losses: Tensor) -> Tensor:
    """Round down to bytes, whole numbers as the original does: `corruptions.rounding.round_down`.

    Args:
        values: 0..255; used up.
        error: more than they are off.
        losses: (256,), uint8, by how much the original falls short of every whole number.
    """
    values += error
    rounded = values.to(torch.uint8)
    whole_numbers = (values - rounded) < 2 * error
    return rounded - look_up(losses, rounded) * whole_numbers
