"""Frosted glass: a blur that rounds down, and pixels that travel to their neighbours."""

import math
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.chance import fill
from corruptions.pixels import Floats, Image, gaussian, to_bytes

_CHANNELS = 3
_LEAST_REACH = 4  # a narrower kernel gets weights of 0
_BLOCK = 64  # values rounded at once; few blocks have a whole number among them
_ROUNDING = 1e-10  # more than sums of doubles are off, in grey levels


def soften(image: Image, sigma: float) -> Image:
    """A Gaussian blur, rounded down; edge pixels repeat beyond the edge.

    In doubles: whether a nearly white sky comes out as 255 or 254 hangs on differences far below
    single precision.

    Args:
        image: (H, W, 3).
        sigma: in pixels; the kernel ends at four sigma.
    """
    kernel = gaussian_kernel(sigma)
    half = kernel[len(kernel) // 2 :]
    weights = np.pad(half, (0, max(_LEAST_REACH + 1 - len(half), (len(half) - 1) % 2)))
    softened = np.empty(image.shape, dtype=np.uint8)
    flat = (len(image), -1)
    _soften(image.reshape(flat), weights, _losses(sigma), softened.reshape(flat))
    return softened


def gaussian_kernel(sigma: float) -> NDArray[np.float64]:
    """Weights of a Gaussian that ends at four sigma; they sum to 1."""
    reach = int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(-reach, reach + 1)]
    return np.array(weights) / math.fsum(weights)


@lru_cache(maxsize=8)
def _losses(sigma: float) -> NDArray[np.uint8]:
    """By how much (0 or 1) the original's sum of doubles falls short of every flat grey level."""
    side = 2 * int(4 * sigma + 0.5) + 1
    flat = np.broadcast_to(np.arange(256)[:, None, None] / 255.0, (256, side, side))
    middle = np.stack([gaussian(level, sigma)[side // 2, side // 2] for level in flat])
    return (np.arange(256) - to_bytes(middle)).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _soften(image: Image, weights: Floats, losses: NDArray[np.uint8], softened: Image) -> None:
    size, reach = image.shape[1], len(weights) - 1
    pad = reach * _CHANNELS
    window = np.empty((2 * reach + 1, size))
    down, across = np.empty(size + 2 * pad), np.empty(size)
    inner = down[pad : pad + size]
    above, below = np.empty(reach + 1, dtype=np.uint64), np.empty(reach + 1, dtype=np.uint64)
    left, right = np.empty(reach + 1, dtype=np.uint64), np.empty(reach + 1, dtype=np.uint64)
    for tap in range(reach + 1):
        left[tap] = np.uint64(pad - tap * _CHANNELS)
        right[tap] = np.uint64(pad + tap * _CHANNELS)
    for row in range(-2 * reach, len(image)):
        lowest = window[(row + reach) % len(window)]
        lowest[:] = image[min(max(row + reach, 0), len(image) - 1)]
        if row < 0:
            continue
        for tap in range(reach + 1):
            above[tap] = np.uint64((row - tap) % len(window) * size)
            below[tap] = np.uint64((row + tap) % len(window) * size)
        _mix(window.reshape(-1), above, below, weights, inner)
        for place in range(pad):
            down[place] = inner[place % _CHANNELS]
            down[pad + size + place] = inner[size - _CHANNELS + place % _CHANNELS]
        _mix(down, left, right, weights, across)
        _round_down(across, losses, softened[row])


@numba.njit(cache=True)
def _mix(
    values: Floats,
    before: NDArray[np.uint64],
    after: NDArray[np.uint64],
    weights: Floats,
    total: Floats,
) -> None:
    """Weighted sum of a line (at before[0]) and, in pairs, four or more on either side of it."""
    # Unsigned indices, because numba checks signed ones for counting from the end, which keeps the
    # compiler from handling several values at once.
    a0, a1, a2, a3, a4 = before[0], before[1], before[2], before[3], before[4]
    b1, b2, b3, b4 = after[1], after[2], after[3], after[4]
    w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
    for place in range(np.uint64(total.size)):
        near = w1 * (values[a1 + place] + values[b1 + place])
        near += w2 * (values[a2 + place] + values[b2 + place])
        far = w3 * (values[a3 + place] + values[b3 + place])
        far += w4 * (values[a4 + place] + values[b4 + place])
        total[place] = w0 * values[a0 + place] + (near + far)
    for tap in range(5, len(weights), 2):
        a1, a2, b1, b2 = before[tap], before[tap + 1], after[tap], after[tap + 1]
        w1, w2 = weights[tap], weights[tap + 1]
        for place in range(np.uint64(total.size)):
            near = w1 * (values[a1 + place] + values[b1 + place])
            total[place] += near + w2 * (values[a2 + place] + values[b2 + place])


@numba.njit(cache=True)
def _round_down(values: Floats, losses: NDArray[np.uint8], rounded: Image) -> None:
    """Round down; whole numbers, as flat areas have them, like the original does."""
    for first in range(0, values.size, _BLOCK):
        part, result = values[first : first + _BLOCK], rounded[first : first + _BLOCK]
        exact = np.int32(0)
        for place in range(part.size):
            value = part[place] + _ROUNDING
            level = np.int32(value)
            result[place] = np.uint8(level)
            exact += np.int32(value - np.float64(level) < 2 * _ROUNDING)
        if exact:
            for place in range(part.size):
                if part[place] + _ROUNDING - np.float64(result[place]) < 2 * _ROUNDING:
                    result[place] -= losses[result[place]]


@numba.njit(cache=True, nogil=True)
def shuffle_pixels(image: Image, key: np.uint64, max_shift: int) -> None:
    """One round of travelling, in place: every inner pixel is overwritten by one near it.

    ImageNet-C walks from the bottom right to the top left and means to swap each pixel with its
    partner, but its swap works on views and so copies the partner, which may be a copy itself.
    Of the pixels at the edge, max_shift + 1 stay in place at the top and left and max_shift - 1 at
    the bottom and right.

    Args:
        image: (H, W, 3).
        key: of `chance.draw_key`; 16 bits of the hash at a pixel choose the row of its partner,
            16 the column.
        max_shift: partners are -max_shift..max_shift - 1 away on both axes.
    """
    height, width = image.shape[:2]
    even_width = width + width % 2
    words = np.empty(even_width, dtype=np.uint32)
    choices = np.uint32(2 * max_shift)
    for row in range(height - max_shift, max_shift, -1):
        fill(key, row * even_width, words)
        for column in range(width - max_shift, max_shift, -1):
            word = words[column]
            down = np.int64(((word >> np.uint32(16)) * choices) >> np.uint32(16)) - max_shift
            across = np.int64(((word & np.uint32(0xFFFF)) * choices) >> np.uint32(16)) - max_shift
            for channel in range(3):
                image[row, column, channel] = image[row + down, column + across, channel]
