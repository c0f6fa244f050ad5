"""A fractal cloud, for fog."""

import numpy as np
from numpy.typing import NDArray

_FIRST_AMPLITUDE = 10_000.0


def plasma(size: int, rng: np.random.Generator, *, decay: float) -> NDArray[np.float32]:
    """A cloud of values from exactly 0 to exactly 1, (size, size), that wraps at its edges.

    The diamond-square algorithm: starting from one value, every round doubles the grid. A new value
    is the mean of the four old or just set values around it, plus a uniform draw.

    Source: Fournier, Fussell and Carpenter 1982, "Computer rendering of stochastic models"; as in
    ImageNet-C the draws shrink by decay squared from a round to the next.

    Args:
        size: a power of two.
        rng: the only source of chance.
        decay: above 1; the nearer to 1, the rougher the cloud.
    """
    grid = np.zeros((1, 1), dtype=np.float32)
    amplitude = _FIRST_AMPLITUDE
    while len(grid) < size:
        grid = _doubled(grid, rng, amplitude)
        amplitude /= decay**2
    grid -= grid.min()
    grid /= grid.max()
    return grid


def _doubled(
    corners: NDArray[np.float32], rng: np.random.Generator, amplitude: float
) -> NDArray[np.float32]:
    """One round: the old values at the even places, new ones between them."""
    size = len(corners)
    # Uniform in +-amplitude; times 4 because the sums below become means at the end, in place.
    new = rng.random((3, size, size), dtype=np.float32)
    new -= 0.5
    new *= 8 * amplitude
    centres, between_columns, between_rows = new

    corner = np.pad(corners, ((0, 1), (0, 1)), mode="wrap")
    for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]):
        centres += part
    centres /= 4

    centre = np.pad(centres, ((1, 0), (1, 0)), mode="wrap")
    for part in (corner[:-1, :-1], corner[:-1, 1:], centre[:-1, 1:], centre[1:, 1:]):
        between_columns += part
    for part in (corner[:-1, :-1], corner[1:, :-1], centre[1:, :-1], centre[1:, 1:]):
        between_rows += part
    new[1:] /= 4

    finer = np.empty((2 * size, 2 * size), dtype=np.float32)
    finer[::2, ::2] = corners
    finer[1::2, 1::2] = centres
    finer[::2, 1::2] = between_columns
    finer[1::2, ::2] = between_rows
    return finer
