"""Frosted glass: a blur that rounds down, and pixels that travel to their neighbours."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.chance import fill
from corruptions.gaussian import blur_row, half_gaussian
from corruptions.pixels import Floats, Image, gaussian, to_bytes

_CHANNELS = 3
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
    softened = np.empty(image.shape, dtype=np.uint8)
    flat = (len(image), -1)
    _soften(image.reshape(flat), half_gaussian(sigma), _losses(sigma), softened.reshape(flat))
    return softened


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
    window = np.empty((2 * reach + 1, size))
    down, blurred = np.empty(size + 2 * _CHANNELS * reach), np.empty(size)
    for row in range(-2 * reach, len(image)):
        blur_row(image, row, _CHANNELS, weights, window, down, blurred)
        if row >= 0:
            _round_down(blurred, losses, softened[row])


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
    height, width = pixels.shape
    even_width = width + width % 2
    words = np.empty(even_width, dtype=np.uint32)
    choices = np.uint32(2 * max_shift)
    for row in range(height - max_shift, max_shift, -1):
        fill(key, row * even_width, words)
        for column in range(width - max_shift, max_shift, -1):
            word = words[column]
            down = np.int64(((word >> np.uint32(16)) * choices) >> np.uint32(16)) - max_shift
            across = np.int64(((word & np.uint32(0xFFFF)) * choices) >> np.uint32(16)) - max_shift
            pixels[row, column] = pixels[np.uint64(row + down), np.uint64(column + across)]
