"""Shrinking a picture by averaging and enlarging it again in blocks, to the bit like Pillow.

Pillow (from version 13 on) chooses by shape which way it shrinks first, and the two ways round
differently. Here it is always across first, as in every version before.
"""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.pixels import Image

_CHANNELS = 3
WEIGHT_BITS = 22  # of Pillow's fixed-point weights
HALF = 1 << (WEIGHT_BITS - 1)


class _Boxes(NamedTuple):
    """How a line shrinks, and which short pixel each long one shows afterwards.

    Attributes:
        first: (short,), first pixel that is averaged.
        pixels: (short,), how many are.
        weight: (short,), of each of them, 2 ** 22 for 1.
        shown: (long,).
    """

    first: NDArray[np.int64]
    pixels: NDArray[np.int64]
    weight: NDArray[np.int64]
    shown: NDArray[np.int64]


@lru_cache(maxsize=32)
def boxes_along(size: int, short: int) -> _Boxes:
    """The boxes that `size` pixels in a row are averaged in, to become `short` ones."""
    scale = size / short
    centre = (np.arange(short) + 0.5) * scale
    first = np.maximum((centre - scale / 2 + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + scale / 2 + 0.5).astype(np.int64), size)
    # A pixel belongs to a box if its own centre does, the box's upper edge included.
    middle = (np.stack([first, stop - 1]) - centre + 0.5) / scale
    first += middle[0] <= -0.5
    stop -= middle[1] > 0.5
    count = stop - first
    weight = ((1 / count) * (1 << WEIGHT_BITS) + 0.5).astype(np.int64)
    # Summed up one by one, as Pillow does: the last bit decides at the edge of a block.
    steps = np.full(size, short / size)
    steps[0] /= 2
    return _Boxes(first, count, weight, np.add.accumulate(steps).astype(np.int64))


def show_blocks(image: Image, height: int, width: int) -> Image:
    """The picture as (height, width) blocks, in its own size.

    Args:
        image: (H, W, 3).
        height: in blocks, at most H.
        width: in blocks, at most W.
    """
    down, across = boxes_along(image.shape[0], height), boxes_along(image.shape[1], width)
    shown = np.empty(image.shape, dtype=np.uint8)
    _show(image, down, across, shown)
    return shown


@numba.njit(cache=True, nogil=True)
def _show(image: Image, down: _Boxes, across: _Boxes, shown: Image) -> None:
    size = len(across.first) * _CHANNELS
    total, blocks = np.empty(size, dtype=np.uint32), np.empty(size, dtype=np.uint8)
    lines = shown.reshape(len(shown), -1)
    made = -1
    for row in range(len(shown)):
        wanted = down.shown[row]
        if wanted == made:
            for place in range(lines.shape[1]):
                lines[row, place] = lines[row - 1, place]
            continue
        made = wanted
        total[:] = 0
        for source in range(down.first[made], down.first[made] + down.pixels[made]):
            _add_averages(image[source], across, total)
        weight = np.uint32(down.weight[made])
        for place in range(size):
            blocks[place] = np.uint8(
                (total[place] * weight + np.uint32(HALF)) >> np.uint32(WEIGHT_BITS)
            )
        line = shown[row]
        for column in range(len(line)):
            block = np.uint64(across.shown[column] * _CHANNELS)
            for channel in range(np.uint64(_CHANNELS)):
                line[column, channel] = blocks[block + channel]


@numba.njit(cache=True)
def _add_averages(line: Image, boxes: _Boxes, total: NDArray[np.uint32]) -> None:
    for block in range(len(boxes.first)):
        red = green = blue = np.int64(0)
        first = np.uint64(boxes.first[block])
        for pixel in range(first, first + np.uint64(boxes.pixels[block])):
            red += line[pixel, 0]
            green += line[pixel, 1]
            blue += line[pixel, 2]
        place, weight = block * _CHANNELS, boxes.weight[block]
        total[place] += np.uint32((red * weight + HALF) >> WEIGHT_BITS)
        total[place + 1] += np.uint32((green * weight + HALF) >> WEIGHT_BITS)
        total[place + 2] += np.uint32((blue * weight + HALF) >> WEIGHT_BITS)
