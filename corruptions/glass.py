"""Frosted glass: a blur that rounds down, and pixels that travel to their neighbours."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.chance import fill
from corruptions.gaussian import blur_along, half_gaussian
from corruptions.pixels import Floats, Image, gaussian, to_bytes
from corruptions.rounding import round_down

_CHANNELS = 3
_ROUNDING = np.float64(1e-10)  # more than sums of doubles are off, in grey levels


def soften(image: Image, sigma: float) -> Image:
    """A Gaussian blur, rounded down; edge pixels repeat beyond the edge.

    In doubles: whether a nearly white sky comes out as 255 or 254 hangs on differences far below
    single precision.

    Args:
        image: (H, W, 3).
        sigma: in pixels; the kernel ends at four sigma.
    """
    softened = np.empty(image.shape, dtype=np.uint8)
    flat = (len(image), -1)
    _soften(
        image.reshape(flat), half_gaussian(sigma), losses_of_blur(sigma), softened.reshape(flat)
    )
    return softened


@lru_cache(maxsize=8)
def losses_of_blur(sigma: float) -> NDArray[np.uint8]:
    """By how much (0 or 1) the original's sum of doubles falls short of every flat grey level."""
    side = 2 * int(4 * sigma + 0.5) + 1
    flat = np.broadcast_to(np.arange(256)[:, None, None] / 255.0, (256, side, side))
    middle = np.stack([gaussian(level, sigma)[side // 2, side // 2] for level in flat])
    return (np.arange(256) - to_bytes(middle)).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _soften(image: Image, weights: Floats, losses: NDArray[np.uint8], softened: Image) -> None:
    (height, size), reach = image.shape, len(weights) - 1
    pad = _CHANNELS * reach
    down, blurred = np.empty(size + 2 * pad), np.empty(size)
    before, after = np.empty(reach + 1, dtype=np.uint64), np.empty(reach + 1, dtype=np.uint64)
    for row in range(height):
        for tap in range(reach + 1):
            before[tap] = np.uint64(max(row - tap, 0) * size)
            after[tap] = np.uint64(min(row + tap, height - 1) * size)
        _mix_rows(image.reshape(-1), before, after, weights, down[pad : pad + size])
        blur_along(down, _CHANNELS, weights, blurred)
        round_down(blurred, _ROUNDING, losses, softened[row])


@numba.njit(cache=True)
def _mix_rows(
    values: Image,
    before: NDArray[np.uint64],
    after: NDArray[np.uint64],
    weights: Floats,
    total: Floats,
) -> None:
    """Weighted sum of a row (at before[0]) and, in pairs, four or more above and below it."""
    a0, a1, a2, a3, a4 = before[0], before[1], before[2], before[3], before[4]
    b1, b2, b3, b4 = after[1], after[2], after[3], after[4]
    w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
    for place in range(np.uint64(total.size)):
        near = w1 * _both(values, a1 + place, b1 + place)
        near += w2 * _both(values, a2 + place, b2 + place)
        far = w3 * _both(values, a3 + place, b3 + place)
        far += w4 * _both(values, a4 + place, b4 + place)
        total[place] = w0 * np.float64(values[a0 + place]) + (near + far)
    for tap in range(5, len(weights), 2):
        a1, a2, b1, b2 = before[tap], before[tap + 1], after[tap], after[tap + 1]
        w1, w2 = weights[tap], weights[tap + 1]
        for place in range(np.uint64(total.size)):
            near = w1 * _both(values, a1 + place, b1 + place)
            total[place] += near + w2 * _both(values, a2 + place, b2 + place)


@numba.njit(cache=True, inline="always")
def _both(values: Image, one: np.uint64, other: np.uint64) -> np.float64:
    return np.float64(np.int32(values[one]) + np.int32(values[other]))


def shuffle_pixels(image: Image, keys: Sequence[np.uint64], max_shift: int) -> Image:
    """Let every inner pixel be overwritten by one near it, once for each key.

    ImageNet-C walks from the bottom right to the top left and means to swap each pixel with its
    partner, but its swap works on views and so copies the partner, which may be a copy itself.
    Of the pixels at the edge, max_shift + 1 stay in place at the top and left and max_shift - 1 at
    the bottom and right.

    Args:
        image: (H, W, 3).
        keys: of `chance.draw_key`; 16 bits of the hash at a pixel choose the row of its partner,
            16 the column.
        max_shift: partners are -max_shift..max_shift - 1 away on both axes.
    """
    # With a fourth byte a pixel is one number.
    wide = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), dtype=np.uint8)
    pixels = wide.reshape(-1).view(np.uint32).reshape(image.shape[:2])
    for key in keys:
        _shuffle(pixels, key, max_shift)
    return np.asarray(cv2.cvtColor(wide, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


@numba.njit(cache=True, nogil=True)
def _shuffle(pixels: NDArray[np.uint32], key: np.uint64, max_shift: int) -> None:
    (height, width), flat = pixels.shape, pixels.reshape(-1)
    even_width = width + width % 2
    words, partners = np.empty(even_width, np.uint32), np.empty(width, np.uint32)
    for row in range(height - max_shift, max_shift, -1):
        fill(key, row * even_width, words)
        _choose(words, max_shift, row * width, width, partners)
        line = pixels[row]
        for column in range(np.uint64(width - max_shift), np.uint64(max_shift), -1):
            line[column] = flat[np.uint64(partners[column])]


@numba.njit(cache=True)
def _choose(
    words: NDArray[np.uint32], max_shift: int, start: int, width: int, partners: NDArray[np.uint32]
) -> None:
    """Where the partners of a row's pixels are; the first pixel of the row is at `start`."""
    choices, row = np.uint32(2 * max_shift), np.uint32(width)
    first = np.uint32(start - max_shift * width - max_shift)
    for column in range(width):
        word = words[column]
        down = np.uint32(((word >> np.uint32(16)) * choices) >> np.uint32(16))
        across = np.uint32(((word & np.uint32(0xFFFF)) * choices) >> np.uint32(16))
        partners[column] = np.uint32(first + np.uint32(column) + down * row + across)
