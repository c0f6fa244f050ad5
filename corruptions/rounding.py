"""Rounding means down to bytes where many are whole numbers, give or take a last bit."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.pixels import Image

_BLOCK = 64  # values rounded at once; few blocks have a whole number among them


@numba.njit(cache=True)
def round_down(
    values: NDArray[np.floating[Any]],
    error: np.floating[Any],
    losses: NDArray[np.uint8],
    rounded: Image,
) -> None:
    """Round down; whole numbers, as flat areas have them, like the original does.

    Args:
        values: (N,), 0..255, float32 or float64.
        error: more than they are off, of the same type.
        losses: (256,), by how much (0 or 1) the original falls short of every whole number.
        rounded: (N,); receives the bytes.
    """
    for first in range(0, values.size, _BLOCK):
        part, result = values[first : first + _BLOCK], rounded[first : first + _BLOCK]
        whole = np.int32(0)
        for place in range(part.size):
            value = part[place] + error
            level = np.int32(value)
            result[place] = np.uint8(level)
            whole += np.int32(value - level < error + error)
        if whole:
            for place in range(part.size):
                if part[place] + error - result[place] < error + error:
                    result[place] -= losses[result[place]]
