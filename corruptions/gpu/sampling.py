"""Places beyond a picture's edge, and weighted sums of samples, in the CPU functions' order.

Sums are added up in the same order as there, each product and each sum rounded by itself, so that
they come out to the same bit.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.dragging import Line, padded_line
from corruptions.gpu.tables import place


@lru_cache(maxsize=128)
def within(size: int, before: int, after: int, *, device: torch.device) -> Tensor:
    """Indices from -before to size + after - 1 with those beyond an edge at it, int64."""
    return place(np.arange(-before, size + after).clip(0, size - 1), device)


@lru_cache(maxsize=128)
def reflected(size: int, reach: int, *, device: torch.device) -> Tensor:
    """Indices from -reach to size + reach - 1, mirrored at the edge values, which appear once."""
    index = np.abs(np.arange(-reach, size + reach))
    return place(np.minimum(index, 2 * (size - 1) - index), device)


def take(values: Tensor, dim: int, index: Tensor) -> Tensor:
    """Slices of a dimension, by index; the values themselves where all are wanted in order."""
    return values if len(index) == values.shape[dim] else values.index_select(dim, index)


def mix_pairs(values: Tensor, dim: int, weights: NDArray[np.floating]) -> Tensor:
    """A symmetric blur along a dimension; edge values repeat beyond the edge.

    Args:
        values: floats.
        dim: which dimension.
        weights: of `corruptions.gaussian.half_gaussian`, (reach + 1,).
    """
    reach, size = len(weights) - 1, values.shape[dim]
    padded = take(values, dim, within(size, reach, reach, device=values.device))

    def pair(tap: int) -> Tensor:
        both = padded.narrow(dim, reach - tap, size) + padded.narrow(dim, reach + tap, size)
        return both.mul_(float(weights[tap]))

    near = pair(1).add_(pair(2))
    near += pair(3).add_(pair(4))
    total = (values * float(weights[0])).add_(near)
    for tap in range(5, len(weights), 2):
        total += pair(tap).add_(pair(tap + 1))
    return total


def mix_inwards(values: Tensor, dim: int, weights: NDArray[np.floating]) -> Tensor:
    """The same, added up from the farthest pair to the nearest, as SciPy does."""
    reach, size = len(weights) - 1, values.shape[dim]
    padded = take(values, dim, within(size, reach, reach, device=values.device))
    total = values * float(weights[0])
    for tap in range(reach, 0, -1):
        both = padded.narrow(dim, reach - tap, size) + padded.narrow(dim, reach + tap, size)
        total += both.mul_(float(weights[tap]))
    return total


def sum_along(values: Tensor, lines: Sequence[Line]) -> Tensor:
    """Weighted sums of samples along a line a picture, in doubles, from the first to the last.

    Args:
        values: (B, C, H, W), bytes.
        lines: B of them, all of the same number of samples.
    """
    rows, columns, weights = (
        place(np.stack(parts, axis=1), values.device) for parts in zip(*lines, strict=True)
    )
    total = torch.zeros(values.shape, dtype=weights.dtype, device=values.device)
    for tap in range(len(weights)):
        sample = moved(values, rows[tap], columns[tap]).to(weights.dtype)
        total += sample.mul_(weights[tap][:, None, None, None])
    return total


def moved(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Every picture seen from another place: as many rows down and columns to the right.

    Args:
        values: (B, C, H, W); edge values repeat beyond the edge.
        rows: (B,), int64.
        columns: (B,), int64.
    """
    device, (pictures, channels, height, width) = values.device, values.shape
    picture, channel, row, column = (
        torch.arange(size, device=device) for size in (pictures, channels, height, width)
    )
    row = (row + rows[:, None]).clamp(0, height - 1)[:, None, :, None]
    column = (column + columns[:, None]).clamp(0, width - 1)[:, None, None, :]
    return values[picture[:, None, None, None], channel[:, None, None], row, column]


class Taps:
    """Lines to take samples along, one a picture, all of the same number of samples."""

    def __init__(self, lines: Sequence[Line], device: torch.device) -> None:
        filled = [padded_line(line) for line in lines]
        # Samples first, then pictures.
        self.rows = place(np.stack([rows for rows, _, _ in filled], axis=1), device)
        self.columns = place(np.stack([columns for _, columns, _ in filled], axis=1), device)
        self.weights = place(np.stack([weights for _, _, weights in filled], axis=1), device)

    def changes(self, values: Tensor) -> Tensor:
        """Weighted sums of (sample minus the value itself), float32; edge values repeat.

        Args:
            values: (B, C, H, W), bytes or float32.
        """
        own = values.to(torch.float32)

        def product(tap: int) -> Tensor:
            sample = moved(values, self.rows[tap], self.columns[tap]).to(torch.float32)
            return (sample - own).mul_(self.weights[tap][:, None, None, None])

        total = torch.zeros_like(own)
        for tap in range(0, len(self.weights), 10):
            near = product(tap).add_(product(tap + 1))
            near += product(tap + 2).add_(product(tap + 3))
            far = product(tap + 4).add_(product(tap + 5))
            far += product(tap + 6).add_(product(tap + 7))
            near += far
            del far
            total += near.add_(product(tap + 8).add_(product(tap + 9)))
        return total
