"""Enlarging the middle of a picture, once or many times over, by linear interpolation."""

import math
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.draws import number, whole
from corruptions.pixels import Image
from corruptions.rounding import round_down
from corruptions.vectors import EIGHT, mix_eight

_CHANNELS = 3
_ROUNDING = np.float32(4e-5)  # more than float32 means of 17 bytes are off, in grey levels


Row = NDArray[np.float32]


class Stretch(NamedTuple):
    """How a line of pixels is enlarged: output i is (1 - share) pixel + share (pixel + 1).

    Attributes:
        pixel: (length,), index of the left one of two neighbours.
        share: (length,), of the right one, 0..1.
    """

    pixel: NDArray[np.int64]
    share: NDArray[np.float32]


def kept(size: int, zoom: float) -> int:
    """How many pixels in the middle of a line are enlarged to at least its old length.

    Raises:
        ValueError: the zoom is not 1 to 8.
    """
    return math.ceil(size / number("zoom", zoom, 1, 8))


def stretch(size: int, zoom: float) -> Stretch:
    """Enlarge the middle of a line of pixels to at least its old length.

    Their first pixel comes onto the first of the enlarged line and their last onto the last.

    Args:
        size: length of the line, 2 pixels or more.
        zoom: 1 to 8.

    Raises:
        ValueError: it is not.
    """
    old = kept(size, zoom)
    length = round(old * zoom)
    position = np.arange(length) * ((old - 1) / (length - 1))
    before = np.minimum(position.astype(np.int64), old - 2)
    share = (position - before).astype(np.float32)
    return Stretch((size - old) // 2 + before, share)


def _cut(line: Stretch, size: int) -> Stretch:
    return Stretch(line.pixel[:size], line.share[:size])


class _Plan(NamedTuple):
    """All layers of a zoom blur for one picture size.

    Attributes:
        rows: (layers, H), upper source row of every output row.
        row_shares: (layers, H), of the row below it.
        pieces: (N, 3), runs of output values that have neighbouring source values: where a run
            starts, where it ends, and how much to add for the source.
        ends: (layers + 1,), where the pieces of every layer start and end.
        shares: (layers, 3 W), of the pixel to the right.
    """

    rows: NDArray[np.int64]
    row_shares: NDArray[np.float32]
    pieces: NDArray[np.int64]
    ends: NDArray[np.int64]
    shares: NDArray[np.float32]


@lru_cache(maxsize=10)
def _plan(height: int, width: int, layers: int, step: float) -> _Plan:
    down, across, pieces, ends = [], [], [], [0]
    # arange and not 1 + layer * step: stretch rounds up, where the last bit can add a pixel
    for zoom in np.arange(1, 1 + (layers - 0.5) * step, step)[1:]:
        down.append(_cut(stretch(height, float(zoom)), height))
        across.append(_cut(stretch(width, float(zoom)), width))
        lead = across[-1].pixel - np.arange(width)
        starts = np.flatnonzero(np.diff(lead, prepend=lead[0] + 1))
        stops = np.append(starts[1:], width)
        pieces.append(np.stack([starts, stops, lead[starts]], axis=1) * _CHANNELS)
        ends.append(ends[-1] + len(starts))
    return _Plan(
        np.stack([line.pixel for line in down]),
        np.stack([line.share for line in down]),
        np.concatenate(pieces),
        np.array(ends),
        np.stack([line.share.repeat(_CHANNELS) for line in across]),
    )


def average_of_zooms(image: Image, layers: int, step: float) -> Image:
    """Average of a picture, counted twice, and its versions that are ever closer.

    Args:
        image: (H, W, 3).
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.

    Raises:
        ValueError: layers are not 1 to 100, or the step not 0.001 to 1.
    """
    layers, step = whole("layers", layers, 1, 100), number("step", step, 0.001, 1)
    height, width = image.shape[:2]
    averaged = np.empty(image.shape, dtype=np.uint8)
    plan = _plan(height, width, layers, step)
    flat = (height, -1)
    _average(image.reshape(flat), plan, losses_of_layers(layers), averaged.reshape(flat))
    return averaged


@lru_cache(maxsize=8)
def losses_of_layers(layers: int) -> NDArray[np.uint8]:
    """By how much (0 or 1) the original's float32 sum falls short of every flat grey level."""
    unit = (np.arange(256) / 255.0).astype(np.float32)
    total = unit.copy()
    for _ in range(layers):
        total += unit
    flat = np.clip(total / np.float32(layers + 1), 0, 1) * np.float32(255)
    return np.asarray(np.arange(256) - flat.astype(np.uint8), dtype=np.uint8)


@numba.njit(cache=True, nogil=True)
def _average(image: Image, plan: _Plan, losses: NDArray[np.uint8], averaged: Image) -> None:
    """Widen every source row once a layer; two neighbours make the rows between them."""
    size, layers = image.shape[1], len(plan.rows)
    wide, total = np.empty((layers, 2, size), np.float32), np.empty(size, np.float32)
    widened = np.full(layers, -1)  # the last row of which `wide` has the widened one
    scale = np.float32(1 / (layers + 2))
    for row in range(len(image)):
        for place in range(size):
            total[place] = np.float32(2) * np.float32(image[row, place])
        for layer in range(layers):
            upper = plan.rows[layer, row]
            pieces = plan.pieces[plan.ends[layer] : plan.ends[layer + 1]]
            for source in range(max(upper, widened[layer] + 1), upper + 2):
                _widen(image[source], plan.shares[layer], pieces, wide[layer, source % 2])
            widened[layer] = upper + 1
            above, below = wide[layer, upper % 2], wide[layer, (upper + 1) % 2]
            _add_mix(above, below, plan.row_shares[layer, row], total)
        for place in range(size):
            total[place] *= scale
        round_down(total, _ROUNDING, losses, averaged[row])


@numba.njit(cache=True)
def _widen(line: Image, shares: Row, pieces: NDArray[np.int64], wide: Row) -> None:
    eight, next_pixel = np.uint64(EIGHT), np.uint64(_CHANNELS)
    for piece in range(len(pieces)):
        start, stop, lead = pieces[piece]
        ahead, place = np.uint64(lead), np.uint64(start)
        # Whole eights, as far as they fit. What is too much is overwritten by the next piece.
        limit = np.uint64(min(line.size, line.size - lead - _CHANNELS))
        while place < np.uint64(stop) and place + eight <= limit:
            left = place + ahead
            mix_eight(line, left, left + next_pixel, shares, place, wide)
            place += eight
        for rest in range(place, np.uint64(stop)):
            one = np.float32(line[rest + ahead])
            other = np.float32(line[rest + ahead + next_pixel])
            wide[rest] = one + shares[rest] * (other - one)


@numba.njit(cache=True)
def _add_mix(above: Row, below: Row, share: np.float32, total: Row) -> None:
    for place in range(total.size):
        total[place] += above[place] + share * (below[place] - above[place])
