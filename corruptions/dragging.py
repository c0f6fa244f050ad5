"""Averages along a line: the blur of movement, in pictures and in falling snow."""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.draws import number, whole
from corruptions.pixels import Image

Plane = NDArray[np.float32]
Row = NDArray[np.float32]

_TILE = 1024  # values of a row handled at once; they stay in the fastest cache
_TAPS_AT_ONCE = 10  # every severity of motion_blur has a multiple of ten


class Line(NamedTuple):
    """Where to take samples from, relative to a pixel, and their weights, which sum to 1."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float64]


def line(radius: int, sigma: float, angle_degrees: float) -> Line:
    """2 radius + 1 samples along a line, weighted by half a Gaussian, so that it has a direction.

    Args:
        radius: 2 radius + 1 samples are taken, the first from the pixel itself.
        sigma: how slowly their weights fall, in pixels.
        angle_degrees: direction of the line, 0 to the right and 90 downwards.

    Raises:
        ValueError: the radius is not 1 to 1000, or sigma not 0.01 to 10,000.
    """
    radius = whole("radius", radius, 1, 1000)
    sigma = number("sigma", sigma, 0.01, 10_000)
    distances = np.arange(2 * radius + 1)
    # math.exp and not numpy's, whose last bit depends on its version and on the processor
    weights = np.array([math.exp(-(distance**2) / (2 * sigma**2)) for distance in distances])
    weights /= math.fsum(weights)
    angle = math.radians(angle_degrees)
    rows = np.ceil(distances * math.sin(angle) - 0.5).astype(np.int64)
    columns = np.ceil(distances * math.cos(angle) - 0.5).astype(np.int64)
    return Line(rows, columns, weights)


def drag_picture(image: Image, along: Line) -> Image:
    """Average of samples from every pixel along a line, rounded down; edge pixels repeat beyond.

    Args:
        image: (H, W, 3).
        along: of `line`.
    """
    dragged = np.empty(image.shape, dtype=np.uint8)
    flat = (len(image), -1)
    _drag(image.reshape(flat), 3, *padded_line(along), True, dragged.reshape(flat))
    return dragged


def drag_plane(values: Plane, along: Line) -> NDArray[np.uint8]:
    """The same of numbers 0..1, (H, W), times 255 and rounded to the nearest byte."""
    dragged = np.empty(values.shape, dtype=np.uint8)
    _drag(values, 1, *padded_line(along), False, dragged)
    return dragged


def padded_line(along: Line) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The line but its first sample, filled up with samples of no weight to a multiple of ten."""
    missing = -(len(along.rows) - 1) % _TAPS_AT_ONCE
    rows, columns = (np.pad(places[1:], (0, missing)) for places in (along.rows, along.columns))
    return rows, columns, np.pad(along.weights[1:], (0, missing)).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _drag(
    values: NDArray[np.generic],
    step: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float32],
    are_bytes: bool,
    dragged: NDArray[np.uint8],
) -> None:
    window, left = _window(values, step, rows, columns)
    change = np.empty(_TILE, dtype=np.float32)
    for row in range(len(values)):
        _advance(values, step, row, rows, left, window)
        for first in range(0, values.shape[1], _TILE):
            part = dragged[row, first : first + _TILE]
            own = window[row % len(window), left + first : left + first + part.size]
            _sum_changes(window, step, row, left + first, rows, columns, weights, own, change)
            if are_bytes:
                for place in range(part.size):
                    part[place] = np.uint8(np.int32(own[place] + np.floor(change[place])))
            else:
                for place in range(part.size):
                    level = np.rint((own[place] + change[place]) * np.float32(255))
                    part[place] = np.uint8(np.int32(level))


@numba.njit(cache=True)
def _window(
    values: NDArray[np.generic], step: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[Plane, int]:
    """Room for the rows that a line touches, side by side with their edges repeated."""
    left = -step * min(0, columns.min())
    width = left + values.shape[1] + step * max(0, columns.max())
    height = 1 + max(0, rows.max()) - min(0, rows.min())
    return np.zeros((height, width), dtype=np.float32), left


@numba.njit(cache=True)
def _advance(
    values: NDArray[np.generic],
    step: int,
    row: int,
    rows: NDArray[np.int64],
    left: int,
    window: Plane,
) -> None:
    """Bring the rows that the lines from `row` touch into the window, row r at place r % height."""
    last = row + max(0, rows.max())
    first = last if row else row + min(0, rows.min())
    for wanted in range(first, last + 1):
        source = values[min(max(wanted, 0), len(values) - 1)]
        padded = window[wanted % len(window)]
        inner = padded[left : left + source.size]
        for place in range(source.size):
            inner[place] = np.float32(source[place])
        for place in range(left):
            padded[place] = inner[place % step]
        for place in range(left + source.size, padded.size):
            padded[place] = inner[source.size - step + (place - left - source.size) % step]


@numba.njit(cache=True)
def _sum_changes(
    window: Plane,
    step: int,
    row: int,
    start: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float32],
    own: Plane,
    change: Plane,
) -> None:
    """Weighted sum of (sample minus the pixel itself).

    A sum of differences, and not of samples, stays exact where the picture is flat or nearly so:
    then the last bit decides what rounding down makes of a white sky.
    """
    height = len(window)
    flat = window.reshape(-1)
    total = change[: own.size]
    total[:] = 0
    starts = np.empty(len(rows), dtype=np.uint64)
    for tap in range(len(rows)):
        slot = (row + rows[tap]) % height
        starts[tap] = np.uint64(slot * window.shape[1] + start + step * columns[tap])
    for tap in range(0, len(rows), _TAPS_AT_ONCE):
        _add_ten(flat, starts[tap:], weights[tap:], own, total)


@numba.njit(cache=True)
def _add_ten(
    flat: Row, starts: NDArray[np.uint64], weights: NDArray[np.float32], own: Row, total: Row
) -> None:
    """Add ten weighted changes at once, so that the total is read and written once for all."""
    # Unsigned indices, because numba checks signed ones for counting from the end, which keeps the
    # compiler from handling eight values at once.
    at0, at1, at2, at3, at4 = starts[0], starts[1], starts[2], starts[3], starts[4]
    at5, at6, at7, at8, at9 = starts[5], starts[6], starts[7], starts[8], starts[9]
    w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
    w5, w6, w7, w8, w9 = weights[5], weights[6], weights[7], weights[8], weights[9]
    for place in range(np.uint64(own.size)):
        mine = own[place]
        near = (w0 * (flat[at0 + place] - mine) + w1 * (flat[at1 + place] - mine)) + (
            w2 * (flat[at2 + place] - mine) + w3 * (flat[at3 + place] - mine)
        )
        far = (w4 * (flat[at4 + place] - mine) + w5 * (flat[at5 + place] - mine)) + (
            w6 * (flat[at6 + place] - mine) + w7 * (flat[at7 + place] - mine)
        )
        rest = w8 * (flat[at8 + place] - mine) + w9 * (flat[at9 + place] - mine)
        total[place] += (near + far) + rest
