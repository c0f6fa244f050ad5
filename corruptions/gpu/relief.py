"""How far pixels are from a drop's outline, to the bit that of `corruptions.relief`.

There, two sweeps over the rows find the cheapest way of steps to a neighbour, diagonally or like a
knight at chess. The cheapest way takes steps of at most two kinds, next to each other among the
sixteen directions, and stays between its ends; so here each direction in turn takes 1, 2, 4, ...
steps for all pixels at once, which finds the same ways.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from corruptions.gpu.sampling import reflected
from corruptions.relief import DIAGONAL, KNIGHT, REACH, STEP

_KINDS = (
    ((0, 1), int(STEP)),
    ((1, 1), int(DIAGONAL)),
    ((1, 2), int(KNIGHT)),
    ((2, 1), int(KNIGHT)),
)
_FARTHEST = int(REACH)
_NINE_PIXELS = 90_000  # nine times a pixel's length


def relief(outlines: Tensor) -> Tensor:
    """Distance to the nearest outline, at most 20 pixels; the mean of 3 x 3 pixels, rounded down.

    Args:
        outlines: (B, H, W), bool.

    Returns:
        (B, H, W), int32.
    """
    distance = torch.where(outlines, 0, _FARTHEST).to(torch.int32)
    for (row, column), cost in _KINDS:
        for down, across in _turned(row, column):
            steps = 1
            while steps * cost <= _FARTHEST:
                _step(distance, steps * down, steps * across, steps * cost)
                steps *= 2
    around = neighbours(distance)
    nine = torch.zeros_like(distance)
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            nine += around(row, column)
    return torch.div(nine, _NINE_PIXELS, rounding_mode="floor")


def _turned(row: int, column: int) -> tuple[tuple[int, int], ...]:
    """A step and what quarter turns make of it."""
    return (row, column), (column, -row), (-row, -column), (-column, row)


def _step(distance: Tensor, down: int, across: int, cost: int) -> None:
    """Let every pixel be reached from the one that many rows above and columns to the left."""
    height, width = distance.shape[1:]
    rows, columns = height - abs(down), width - abs(across)
    if rows <= 0 or columns <= 0:
        return
    source = distance.narrow(1, max(-down, 0), rows).narrow(2, max(-across, 0), columns)
    target = distance.narrow(1, max(down, 0), rows).narrow(2, max(across, 0), columns)
    target.copy_(torch.minimum(target, source + cost))


def neighbours(planes: Tensor) -> Callable[[int, int], Tensor]:
    """A function that gives the planes as seen one row and column on, mirrored at the edges.

    Args:
        planes: (B, H, W).
    """
    height, width = planes.shape[1:]
    rows, columns = (reflected(size, 1, device=planes.device) for size in (height, width))
    padded = planes.index_select(1, rows).index_select(2, columns)

    def at(row: int, column: int) -> Tensor:
        return padded.narrow(1, 1 + row, height).narrow(2, 1 + column, width)

    return at
