"""Conversions between bytes and the unit range, and the Gaussian filter all corruptions share."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

_BAND_VALUES = 1 << 16  # that many 64-bit numbers stay in the processor's cache


def to_unit(image: Image) -> Floats:
    """Bytes 0..255 as numbers 0..1, same shape."""
    unit: Floats = image / 255.0
    return unit


def row_bands(height: int, values_a_row: int) -> Iterator[slice]:
    """Cut a picture's rows into bands that are small enough for the cache."""
    rows = max(4, _BAND_VALUES // values_a_row)
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))


@lru_cache(maxsize=1)
def unit_table() -> NDArray[np.float32]:
    """Bytes 0..255 as numbers 0..1 in single precision, for cv2.LUT."""
    return (np.arange(256) / 255.0).astype(np.float32)


def to_bytes(unit: NDArray[np.float32] | Floats) -> Image:
    """Numbers clipped to 0..1 as bytes 0..255, rounded down, same shape.

    ImageNet-C rounds down, which darkens every float corruption by half a grey level on average.
    """
    scaled = unit * 255
    np.clip(scaled, 0, 255, out=scaled)
    rounded_down: Image = scaled.astype(np.uint8)
    return rounded_down


def gaussian(values: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Blurred values, (H, W) or (H, W, 3), in the precision they came in.

    The kernel ends at four sigma and the outermost pixels repeat beyond the edge: scikit-image's
    defaults, which ImageNet-C relies on. SciPy's own weights are numpy's exponentials, whose last
    digits hang on numpy's version and on the processor.
    """
    reach = int(4 * sigma + 0.5)
    places = range(-reach, reach + 1)
    weights = np.array([math.exp(-0.5 / (sigma * sigma) * place**2) for place in places])
    weights /= weights.sum()
    for axis in (0, 1):
        values = ndimage.correlate1d(values, weights, axis=axis, mode="nearest")
    return values
