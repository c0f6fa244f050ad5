"""A fractal cloud, for fog."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.chance import fill

Grid = NDArray[np.float32]

FIRST_AMPLITUDE = 10_000.0
WHOLE = 256  # grids up to this size are computed whole, finer ones only where they are seen
BEFORE, AFTER = 2, 4  # cells around what is seen: a round keeps that many


def plasma(height: int, width: int, key: np.uint64, *, decay: float) -> Grid:
    """The top left (height, width) of a square cloud of values from 0 to 1 that wraps at its edges.

    The diamond-square algorithm: starting from one value, every round doubles the grid until its
    side is the next power of two from the longer side asked for. A new value is the mean of the
    four old or just set values around it, plus a uniform draw. The whole cloud is then scaled to
    0..1; of the rounds beyond 256 x 256 only the part that is returned counts for the extremes,
    which moves them by less than a hundredth of the range.

    Source: Fournier, Fussell and Carpenter 1982, "Computer rendering of stochastic models"; as in
    ImageNet-C the draws shrink by decay squared from a round to the next.

    Args:
        height: rows.
        width: columns.
        key: of `chance.draw_key`.
        decay: above 1; the nearer to 1, the rougher the cloud.
    """
    size = 1 << (max(height, width) - 1).bit_length()
    side, amplitude = 1, FIRST_AMPLITUDE
    grid = np.zeros((1, 1), dtype=np.float32)
    while side < min(size, WHOLE):
        grid = _finer(_wrapped(grid), side, key, amplitude)
        grid = grid[BEFORE:-AFTER, BEFORE:-AFTER]
        side, amplitude = 2 * side, amplitude / decay**2
    low, high = grid.min(), grid.max()
    grid = _wrapped(grid)
    while side < size:
        factor = size // side
        rows, columns = -(-height // factor), -(-width // factor)
        seen = grid[: BEFORE + rows + AFTER, : BEFORE + columns + AFTER]
        grid = _finer(seen, side, key, amplitude)
        side, amplitude = 2 * side, amplitude / decay**2
    grid = grid[BEFORE:, BEFORE:]
    cloud = np.ascontiguousarray(grid[:height, :width])
    low, high = min(low, cloud.min()), max(high, cloud.max())
    cloud -= low
    cloud /= high - low
    return cloud


def _wrapped(grid: Grid) -> Grid:
    wrapped = cv2.copyMakeBorder(grid, BEFORE, AFTER, BEFORE, AFTER, cv2.BORDER_WRAP)
    return np.asarray(wrapped, dtype=np.float32)


def _finer(corners: Grid, side: int, key: np.uint64, amplitude: float) -> Grid:
    """One round, on a part of a grid that has `side` cells a side and wraps.

    Args:
        corners: (R, C), the old values, from `BEFORE` cells above and left of the grid's origin.
        side: of the whole old grid.
        key: of `chance.draw_key`.
        amplitude: draws are uniform within it.

    Returns:
        (2 R - 6, 2 C - 6), the new grid, again from `BEFORE` cells above and left of its origin.
    """
    rows, columns = corners.shape
    finer = np.empty((2 * rows - 6, 2 * columns - 6), dtype=np.float32)
    _refine(np.ascontiguousarray(corners), side, key, np.float32(2 * amplitude), finer)
    return finer


@numba.njit(cache=True, nogil=True)
def _refine(corners: Grid, side: int, key: np.uint64, span: np.float32, finer: Grid) -> None:
    rows, columns = corners.shape
    centres = np.empty((2, columns), dtype=np.float32)
    draws = np.empty((3, columns), dtype=np.float32)
    words = np.empty(side + side % 2, dtype=np.uint32)
    _set_centres(corners, 0, side, key, span, words, draws[0], centres[0])
    for row in range(1, rows - 2):
        above, below = centres[(row - 1) % 2], centres[row % 2]
        _set_centres(corners, row, side, key, span, words, draws[0], below)
        _draw(1, row, side, key, span, words, draws[1])
        _draw(2, row, side, key, span, words, draws[2])
        old, under = corners[row], corners[row + 1]
        even, odd = finer[2 * row - 2], finer[2 * row - 1]
        quarter = np.float32(0.25)
        for column in range(1, columns - 2):
            place = 2 * column - 2
            even[place] = old[column]
            even[place + 1] = draws[1, column] + quarter * (
                (old[column] + old[column + 1]) + (above[column] + below[column])
            )
            odd[place] = draws[2, column] + quarter * (
                (old[column] + under[column]) + (below[column - 1] + below[column])
            )
            odd[place + 1] = below[column]


@numba.njit(cache=True)
def _set_centres(
    corners: Grid,
    row: int,
    side: int,
    key: np.uint64,
    span: np.float32,
    words: NDArray[np.uint32],
    draws: NDArray[np.float32],
    centres: NDArray[np.float32],
) -> None:
    """Values between four old ones, for the cells right of and below each of a row's corners."""
    _draw(0, row, side, key, span, words, draws)
    upper, lower = corners[row], corners[row + 1]
    for column in range(centres.size - 1):
        four = (upper[column] + upper[column + 1]) + (lower[column] + lower[column + 1])
        centres[column] = draws[column] + np.float32(0.25) * four


@numba.njit(cache=True)
def _draw(
    kind: int,
    row: int,
    side: int,
    key: np.uint64,
    span: np.float32,
    words: NDArray[np.uint32],
    draws: NDArray[np.float32],
) -> None:
    """Uniform draws for a row of new values; their places in the whole grid decide them."""
    # Every grid has places of its own: 3 side^2 of them, after all those of coarser grids. Twice as
    # far apart as need be, so that rows start at even places on the smallest grids, too.
    start = 2 * (3 * side * side + (kind * side + (row - BEFORE) % side) * side)
    needed = min(side, draws.size)
    fill(key, start, words[: needed + needed % 2])
    if needed < side:
        fill(key, start + side - BEFORE, words[side - BEFORE :])
    scale = span * np.float32(2**-24)
    end = min(BEFORE + side, draws.size)
    for column in range(BEFORE):
        draws[column] = _centred(words[(column - BEFORE) % side], scale)
    own = draws[BEFORE:end]
    for column in range(own.size):
        own[column] = _centred(words[column], scale)
    for column in range(end, draws.size):
        draws[column] = _centred(words[(column - BEFORE) % side], scale)


@numba.njit(cache=True)
def _centred(word: np.uint32, scale: np.float32) -> np.float32:
    return (np.float32(np.int32(word >> np.uint32(8))) - np.float32(2**23)) * scale
