"""Fractal clouds for fog, value for value those of `corruptions.plasma`, many at once."""

import numpy as np
import torch
from torch import Tensor

from corruptions.gpu.chance import words_at
from corruptions.plasma import AFTER, BEFORE, FIRST_AMPLITUDE, WHOLE


def plasma(height: int, width: int, keys: Tensor, *, decay: float) -> Tensor:
    """The top left (height, width) of a square cloud for each key, 0..1, (B, height, width).

    Args:
        height: rows.
        width: columns.
        keys: of `chance.draw_keys`, (B,).
        decay: above 1; the nearer to 1, the rougher the cloud.
    """
    size = 1 << (max(height, width) - 1).bit_length()
    side, amplitude = 1, FIRST_AMPLITUDE
    grid = torch.zeros((len(keys), 1, 1), dtype=torch.float32, device=keys.device)
    while side < min(size, WHOLE):
        grid = _finer(_wrapped(grid), side, keys, amplitude)
        grid = grid[:, BEFORE:-AFTER, BEFORE:-AFTER]
        side, amplitude = 2 * side, amplitude / decay**2
    low, high = grid.amin((1, 2)), grid.amax((1, 2))
    grid = _wrapped(grid)
    while side < size:
        factor = size // side
        rows, columns = -(-height // factor), -(-width // factor)
        seen = grid[:, : BEFORE + rows + AFTER, : BEFORE + columns + AFTER]
        grid = _finer(seen, side, keys, amplitude)
        side, amplitude = 2 * side, amplitude / decay**2
    cloud = grid[:, BEFORE : BEFORE + height, BEFORE : BEFORE + width]
    low = torch.minimum(low, cloud.amin((1, 2)))[:, None, None]
    high = torch.maximum(high, cloud.amax((1, 2)))[:, None, None]
    return (cloud - low).div_(high - low)


def _wrapped(grid: Tensor) -> Tensor:
    side = grid.shape[1]
    index = torch.arange(-BEFORE, side + AFTER, device=grid.device) % side
    return grid.index_select(1, index).index_select(2, index)


def _finer(corners: Tensor, side: int, keys: Tensor, amplitude: float) -> Tensor:
    """One round on a part of grids that have `side` cells a side and wrap.

    Args:
        corners: (B, R, C), the old values, from `BEFORE` cells above and left of the origin.
        side: of a whole old grid.
        keys: (B,).
        amplitude: draws are uniform within it.

    Returns:
        (B, 2 R - 6, 2 C - 6), the new grid, again from `BEFORE` cells above and left of the
        origin.
    """
    _, rows, columns = corners.shape
    span = float(np.float32(2 * amplitude))
    across = corners[:, :, :-1] + corners[:, :, 1:]
    four = across[:, :-1] + across[:, 1:]
    centres = _draws(0, range(rows - 1), range(columns - 1), side, keys, span).add_(four * 0.25)
    inner_rows, inner_columns = range(1, rows - 2), range(1, columns - 2)
    old, beneath = corners[:, 1:-2, 1:-2], corners[:, 2:-1, 1:-2]
    here = centres[:, 1:-1, 1:-1]
    pairs = across[:, 1:-2, 1:-1] + (centres[:, :-2, 1:-1] + here)
    right = _draws(1, inner_rows, inner_columns, side, keys, span).add_(pairs * 0.25)
    pairs = (old + beneath) + (centres[:, 1:-1, :-2] + here)
    under = _draws(2, inner_rows, inner_columns, side, keys, span).add_(pairs * 0.25)
    even, odd = torch.stack([old, right], dim=-1), torch.stack([under, here], dim=-1)
    return torch.stack([even.flatten(2), odd.flatten(2)], dim=2).flatten(1, 2)


def _draws(kind: int, rows: range, columns: range, side: int, keys: Tensor, span: float) -> Tensor:
    """Uniform draws; their places in the whole grid decide them. (B, rows, columns), float32."""
    row, column = (
        torch.arange(run.start, run.stop, device=keys.device).sub_(BEFORE) % side
        for run in (rows, columns)
    )
    start = 2 * (3 * side * side + (kind * side + row) * side)
    top = words_at(keys, start[:, None] + column) >> 8
    return (top.to(torch.float32) - float(2**23)).mul_(float(np.float32(span) * np.float32(2**-24)))
