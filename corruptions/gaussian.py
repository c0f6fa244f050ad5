"""Gaussian blur in a fixed order of operations, so that it comes out alike on any processor."""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.draws import number

_LEAST_REACH = 4  # a narrower kernel gets weights of 0

Numbers = NDArray[np.floating[Any]]


def half_gaussian(sigma: float) -> NDArray[np.float64]:
    """Weights at 0, 1, ... pixels of a Gaussian that ends at four sigma and sums to 1.

    At its end are as many zeros as mixing four pairs, and then two at a time, needs.

    Raises:
        ValueError: sigma is not 0.01 to 1000.
    """
    sigma = number("sigma", sigma, 0.01, 1000)
    reach = int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(reach + 1)]
    total = 2 * math.fsum(weights[1:]) + weights[0]
    missing = max(_LEAST_REACH - reach, reach % 2)
    return np.pad(np.array(weights) / total, (0, missing))


def blur(plane: NDArray[np.float32], sigma: float) -> None:
    """A Gaussian blur of (H, W), in place; edge values repeat beyond the edge."""
    _blur(plane, half_gaussian(sigma).astype(np.float32))


@numba.njit(cache=True, nogil=True)
def _blur(plane: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    (height, width), reach = plane.shape, len(weights) - 1
    # Rows as they were, because those above are overwritten.
    window = np.empty((2 * reach + 1, width), dtype=np.float32)
    down = np.empty(width + 2 * reach, dtype=np.float32)
    before, after = np.empty(reach + 1, dtype=np.uint64), np.empty(reach + 1, dtype=np.uint64)
    for row in range(-2 * reach, height):
        window[(row + reach) % len(window)] = plane[min(max(row + reach, 0), height - 1)]
        if row >= 0:
            for tap in range(reach + 1):
                before[tap] = np.uint64((row - tap) % len(window) * width)
                after[tap] = np.uint64((row + tap) % len(window) * width)
            _mix_pairs(window.reshape(-1), before, after, weights, down[reach : reach + width])
            blur_along(down, 1, weights, plane[row])


@numba.njit(cache=True)
def blur_along(line: Numbers, step: int, weights: Numbers, blurred: Numbers) -> None:
    """Blur a row; its edges repeat.

    Args:
        line: (N + 2 step reach,); the row is in the middle, the edges are filled in.
        step: values from a pixel to the next; 3 for RGB.
        weights: of `half_gaussian`, (reach + 1,), in the precision to work in.
        blurred: (N,); receives the row.
    """
    pad, size = (len(weights) - 1) * step, blurred.size
    for place in range(pad):
        line[place] = line[pad + place % step]
        line[pad + size + place] = line[pad + size - step + place % step]
    before, after = np.empty(len(weights), np.uint64), np.empty(len(weights), np.uint64)
    for tap in range(len(weights)):
        before[tap] = np.uint64(pad - tap * step)
        after[tap] = np.uint64(pad + tap * step)
    _mix_pairs(line, before, after, weights, blurred)


@numba.njit(cache=True)
def _mix_pairs(
    values: Numbers,
    before: NDArray[np.uint64],
    after: NDArray[np.uint64],
    weights: Numbers,
    total: Numbers,
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
