"""The brightness of a picture, raised at constant hue and saturation, by table where that is exact.

Raising V multiplies all channels of a pixel by the same number, which a table by (largest channel,
channel) holds. The original goes to HSV and back in doubles, whose last bit decides how a result is
rounded down that is a whole number; such pixels take the original's way.
"""

import math
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.pixels import Image, to_bytes

_UNSURE = 256  # flag of a table's entry: a whole number in exact arithmetic
_NEAR = 1e-6


def raise_value(image: Image, added: float) -> Image:
    """Add to the V of HSV and clip, (H, W, 3) to the same shape.

    Args:
        image: RGB, (H, W, 3).
        added: to V, 0..1.
    """
    raised = np.empty(image.shape, dtype=np.uint8)
    _raise(image.reshape(-1), _table(added), added, raised.reshape(-1))
    return raised


@lru_cache(maxsize=8)
def _table(added: float) -> NDArray[np.uint16]:
    """Results by largest channel and channel, (256, 256), unsure ones flagged."""
    largest, channel = np.arange(256)[:, None], np.arange(256)
    value = np.clip(np.arange(256) / 255.0 + added, 0, 1)[:, None]
    exact = 255 * value * channel / np.maximum(largest, 1)
    table = np.floor(np.minimum(exact + _NEAR / 2, 255)).astype(np.uint16)
    table[np.abs(exact - np.round(exact)) < _NEAR] |= _UNSURE
    np.fill_diagonal(table, to_bytes(value[:, 0]))  # the largest channel is V itself
    return table


@numba.njit(cache=True, nogil=True)
def _raise(values: Image, table: NDArray[np.uint16], added: float, raised: Image) -> None:
    for place in range(0, values.size, 3):
        red, green, blue = values[place], values[place + 1], values[place + 2]
        row = table[max(red, green, blue)]
        new_red, new_green, new_blue = row[red], row[green], row[blue]
        if (new_red | new_green | new_blue) & _UNSURE:
            new_red, new_green, new_blue = _by_way_of_hsv(red, green, blue, added)
        raised[place] = np.uint8(new_red)
        raised[place + 1] = np.uint8(new_green)
        raised[place + 2] = np.uint8(new_blue)


@numba.njit(cache=True)
def _by_way_of_hsv(
    red_byte: int, green_byte: int, blue_byte: int, added: float
) -> tuple[np.uint16, np.uint16, np.uint16]:
    """One pixel, in the order of operations of scikit-image's conversions."""
    red, green, blue = red_byte / 255.0, green_byte / 255.0, blue_byte / 255.0
    value = max(red, green, blue)
    spread = value - min(red, green, blue)
    divisor = spread if spread > 0 else 1.0
    hue = (green - blue) / divisor
    if green == value:
        hue = 2 + (blue - red) / divisor
    if blue == value:
        hue = 4 + (red - green) / divisor
    hue = (hue / 6) % 1 * 6  # by way of turns, 0..1
    saturation = spread / value if value > 0 else 0.0
    value = min(max(value + added, 0.0), 1.0)
    sextant = math.floor(hue)
    fraction = hue - sextant
    low = _byte(value * (1 - saturation))
    falling = _byte(value * (1 - fraction * saturation))
    rising = _byte(value * (1 - (1 - fraction) * saturation))
    high = _byte(value)
    which = sextant % 6
    if which == 0:
        return high, rising, low
    if which == 1:
        return falling, high, low
    if which == 2:
        return low, high, rising
    if which == 3:
        return low, falling, high
    if which == 4:
        return rising, low, high
    return high, low, falling


@numba.njit(cache=True)
def _byte(unit: float) -> np.uint16:
    return np.uint16(min(max(unit * 255, 0.0), 255.0))
