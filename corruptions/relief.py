"""How far the pixels around a drop's outline are from it, smoothed: a drop's relief."""

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.pixels import Image

Row = NDArray[np.int32]

# To the next pixel, diagonally and like a knight at chess, in 1/10,000 pixel: those of OpenCV's
# 5 x 5 mask, after Borgefors 1986, "Distance transformations in digital images".
STEP = np.int32(10_000)
DIAGONAL = np.int32(14_000)
KNIGHT = np.int32(21_969)
REACH = np.int32(200_000)  # 20 pixels; farther away, water is evenly lit
_PAD = 2
# Unsigned indices, because numba checks signed ones for counting from the end, which keeps the
# compiler from handling several values at once.
_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)


def relief(outlines: Image) -> Image:
    """Distance to the nearest outline, at most 20 pixels; the mean of 3 x 3 pixels, rounded down.

    Args:
        outlines: (H, W), 2 pixels or more either way, not 0 on an outline; reflected at the edges.
    """
    smoothed = np.empty_like(outlines)
    _relief(outlines, smoothed)
    return smoothed


@numba.njit(cache=True, nogil=True)
def _relief(outlines: Image, smoothed: Image) -> None:
    """Sweep down the picture, then up, with the mean following behind."""
    height, width = outlines.shape
    distance = np.full((height + 2 * _PAD, width + 2 * _PAD), REACH, dtype=np.int32)
    spread, column = np.empty((2, width), dtype=np.int32), np.empty(width + 2, dtype=np.int32)
    for row in range(height):
        own, line = distance[row + _PAD], outlines[row]
        for place in range(np.uint64(width)):
            own[place + _TWO] = np.int32(0) if line[place] else REACH
        _from_rows(own, distance[row + 1], distance[row], spread[0])
        _along_row(spread, 1, own[_PAD : width + _PAD])
    for row in range(height - 1, -1, -1):
        own = distance[row + _PAD]
        _from_rows(own, distance[row + 3], distance[row + 4], spread[0])
        _along_row(spread, -1, own[_PAD : width + _PAD])
        if row + 2 < height:
            _mean(distance, row + 1, row, row + 2, column, smoothed[row + 1])
    _mean(distance, 0, 1, 1, column, smoothed[0])
    _mean(distance, height - 1, height - 2, height - 2, column, smoothed[height - 1])


@numba.njit(cache=True)
def _from_rows(own: Row, near: Row, far: Row, nearest: Row) -> None:
    """What a row's distances are at most, given those one and two rows away."""
    for place in range(np.uint64(nearest.size)):
        straight = min(own[place + _TWO], near[place + _TWO] + STEP)
        diagonal = min(near[place + _ONE], near[place + _THREE]) + DIAGONAL
        flat = min(near[place], near[place + _FOUR])
        steep = min(far[place + _ONE], far[place + _THREE])
        nearest[place] = min(straight, diagonal, min(flat, steep) + KNIGHT)


@numba.njit(cache=True)
def _along_row(spread: Row, direction: int, nearest: Row) -> None:
    """Let the distances of spread[0] grow along the row: by 1, 2, 4, 8 and 16 steps."""
    _spread(spread[0], 1 * direction, spread[1])
    _spread(spread[1], 2 * direction, spread[0])
    _spread(spread[0], 4 * direction, spread[1])
    _spread(spread[1], 8 * direction, spread[0])
    _spread(spread[0], 16 * direction, nearest)


@numba.njit(cache=True)
def _spread(source: Row, steps: int, result: Row) -> None:
    size = source.size
    reached = np.uint64(max(size - abs(steps), 0))
    ahead, behind = np.uint64(max(steps, 0)), np.uint64(max(-steps, 0))
    added = np.int32(abs(steps)) * STEP
    for place in range(reached):
        result[place + ahead] = min(source[place + ahead], source[place + behind] + added)
    first = reached if steps < 0 else np.uint64(0)
    for place in range(np.uint64(size) - reached):
        result[first + place] = source[first + place]


@numba.njit(cache=True)
def _mean(distance: Row, row: int, above: int, below: int, column: Row, smoothed: Image) -> None:
    """Mean of three rows of distances, in which row 0 is at _PAD, by three columns."""
    one, two, three = distance[row + _PAD], distance[above + _PAD], distance[below + _PAD]
    width = np.uint64(smoothed.size)
    for place in range(width):
        column[place + _ONE] = one[place + _TWO] + two[place + _TWO] + three[place + _TWO]
    column[0], column[width + _ONE] = column[2], column[width - _ONE]
    for place in range(width):
        nine = column[place] + column[place + _ONE] + column[place + _TWO]
        smoothed[place] = np.uint8(np.int32(np.float32(nine) / np.float32(90_000)))
