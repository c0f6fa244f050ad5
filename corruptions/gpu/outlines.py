"""Outlines of drops: Canny's edges (1986, "A computational approach to edge detection").

In whole numbers, with OpenCV's thresholds and comparisons, so that they are its edges to the pixel.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from corruptions.gpu.sampling import within

_WEAK, _STRONG = 50, 150
_BITS = 15
_STEEP = 13573  # tangent of 22.5 degrees times 2 ** 15; that of 67.5 is larger by 2
_ROUNDS = 16  # of growing edges between two questions whether they still grow


def outlines(planes: Tensor) -> Tensor:
    """Where edges are, (B, H, W), bool.

    Args:
        planes: (B, H, W), int32, 0..255.
    """
    across, down = _slopes(planes)
    size = across.abs() + down.abs()
    ridge = _ridges(across, down, size) & (size > _WEAK)
    return _grown(ridge & (size > _STRONG), ridge)


def _slopes(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's slopes to the right and downwards; edge pixels repeat beyond the edge."""
    height, width = planes.shape[1:]
    rows, columns = (within(size, 1, 1, device=planes.device) for size in (height, width))
    padded = planes.index_select(1, rows).index_select(2, columns)
    tall = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    wide = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return tall[:, :, 2:] - tall[:, :, :-2], wide[:, 2:] - wide[:, :-2]


def _ridges(across: Tensor, down: Tensor, size: Tensor) -> Tensor:
    """Where the slope is steeper than beside it in its own direction; no slope beyond the edge."""
    height, width = size.shape[1:]
    padded = pad(size, (1, 1, 1, 1))

    def beside(row: int, column: int) -> Tensor:
        return padded.narrow(1, 1 + row, height).narrow(2, 1 + column, width)

    flat, steep = across.abs() * _STEEP, down.abs() << _BITS
    to_sides = (size > beside(0, -1)) & (size >= beside(0, 1))
    to_ends = (size > beside(-1, 0)) & (size >= beside(1, 0))
    falling = (size > beside(-1, -1)) & (size > beside(1, 1))
    rising = (size > beside(-1, 1)) & (size > beside(1, -1))
    slanted = torch.where((across ^ down) < 0, rising, falling)
    upright = steep > flat + (across.abs() << (_BITS + 1))
    return torch.where(steep < flat, to_sides, torch.where(upright, to_ends, slanted))


def _grown(strong: Tensor, ridge: Tensor) -> Tensor:
    """Strong edges and the ridges that hang together with them."""
    grown = strong.to(torch.float32)[:, None]
    allowed = ridge.to(torch.float32)[:, None]
    while True:
        before = grown
        for _ in range(_ROUNDS):
            grown = torch.nn.functional.max_pool2d(grown, 3, stride=1, padding=1) * allowed
        if torch.equal(before, grown):
            return grown[:, 0].bool()
