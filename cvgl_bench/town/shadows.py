"""Shadows of the sun, by a sweep along its direction, and of the sky, near what stands around."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.rays import Vector, compiled

# How high a shadow reaches on a grid that is turned to the sun: row 0 lies nearest to it. Then the
# direction to the sun on the ground (east, north), metres along it to row 0 and across it to column
# 0, and metres a cell.
Turn = tuple[float, float, float, float, float]
Shadow = tuple[NDArray[np.float32], Turn]
# Heights of what stands there, up to SHELTERING_METRES, smoothed; and metres a pixel.
Shelter = tuple[NDArray[np.float32], float]
FARTHEST_SHADOW_METRES = 90.0
SHELTERING_METRES, SHELTER_BLUR_METRES, DARKEST = 6.0, 1.5, 0.5
# What stands less than this before a point is the point's own wall or roof.
OWN_METRES = 0.5
BIAS_METRES = 0.15


@compiled
def cast_shadow(
    height: NDArray[np.float32],
    step: float,
    place: tuple[float, float],
    reach: tuple[float, float],
    sun: Vector,
) -> Shadow:
    """Find how high the shadows reach around a place.

    Args:
        height: of whatever stands there, metres, (H, W), row 0 in the north.
        step: metres a pixel of it.
        place: metres east and north of the middle.
        reach: metres from the middle to know the shadows, and metres a cell.
        sun: unit vector to the sun.
    """
    run = math.hypot(sun[0], sun[1])
    ue, un, cell = sun[0] / run, sun[1] / run, reach[1]
    drop = np.float32(cell * sun[2] / run)
    lag = max(1, int(OWN_METRES / cell + 0.5))
    columns = int(2.0 * reach[0] / cell)
    rows = int((2.0 * reach[0] + FARTHEST_SHADOW_METRES) / cell)
    size = len(height)
    first_along = place[0] * ue + place[1] * un + reach[0] + FARTHEST_SHADOW_METRES
    first_across = place[1] * ue - place[0] * un - reach[0]
    stands, shadow = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for row in range(rows):
        along = first_along - (row + 0.5) * cell
        for column in range(columns):
            across = first_across + (column + 0.5) * cell
            i = math.floor(size - (along * un + across * ue) / step)
            j = math.floor((along * ue - across * un) / step)
            if 0 <= i < size and 0 <= j < size:
                stands[row, column] = height[i, j]
        if row >= lag:
            for column in range(columns):
                shadow[row, column] = max(
                    shadow[row - 1, column] - drop, stands[row - lag, column] - lag * drop
                )
    return shadow, (ue, un, first_along, first_across, cell)


@compiled
def sunlit(raster: NDArray[np.float32], turn: Turn, point: Vector) -> float:
    """Share of the sun that reaches a point, 0..1; -1 where the shadows are not known.

    Args:
        raster: of a Shadow.
        turn: of a Shadow.
        point: metres east, north and up.
    """
    ue, un, first_along, first_across, cell = turn
    down = (first_along - point[0] * ue - point[1] * un) / cell - 0.5
    right = (point[1] * ue - point[0] * un - first_across) / cell - 0.5
    rows, columns = raster.shape
    if not (0.0 <= down < rows - 1 and 0.0 <= right < columns - 1):
        return -1.0
    i, j = int(down), int(right)
    up = np.float32(point[2] + BIAS_METRES)
    first, second = raster[i, j] < up, raster[i, j + 1] < up
    third, fourth = raster[i + 1, j] < up, raster[i + 1, j + 1] < up
    if first == second and third == fourth and first == third:
        return 1.0 if first else 0.0
    v, u = down - i, right - j
    upper, lower = first * (1.0 - u) + second * u, third * (1.0 - u) + fourth * u
    return float(upper * (1.0 - v) + lower * v)


def find_shelter(height: NDArray[np.float32], step: float, factor: int) -> Shelter:
    """Smooth the heights of a town for `opening`.

    Args:
        height: metres, (H, W).
        step: metres a pixel of it.
        factor: how many times coarser the result is.
    """
    size = len(height) // factor
    low = np.minimum(height, np.float32(SHELTERING_METRES))
    coarse = cv2.resize(low, (size, size), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(coarse, (0, 0), SHELTER_BLUR_METRES / (step * factor))
    return np.asarray(smooth, np.float32), step * factor


@compiled
def opening(raster: NDArray[np.float32], step: float, point: Vector) -> float:
    """Share of the sky's light that reaches a point beside, under or on what stands around.

    Args:
        raster: of a Shelter.
        step: metres a pixel of it.
        point: metres east, north and up.
    """
    if point[2] >= SHELTERING_METRES:
        return 1.0
    size = len(raster)
    down, right = size - 0.5 - point[1] / step, point[0] / step - 0.5
    if not (0.0 <= down < size - 1 and 0.0 <= right < size - 1):
        return 1.0
    i, j = int(down), int(right)
    v, u = down - i, right - j
    upper = raster[i, j] * (1.0 - u) + raster[i, j + 1] * u
    lower = raster[i + 1, j] * (1.0 - u) + raster[i + 1, j + 1] * u
    above = (upper * (1.0 - v) + lower * v - point[2]) / SHELTERING_METRES
    return float(1.0 - DARKEST * min(1.0, max(0.0, 1.4 * above)))
