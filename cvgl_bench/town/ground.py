"""What the ground looks like: the town's rasters, and a texture of each kind close by."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import ASPHALT, FIELD, GRASS, GRAVEL, MARKING, PAVING, WATER
from cvgl_bench.town.rays import Vector, compiled, grain

# Albedo levels, kinds and metres a pixel of a Town.
Levels = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
Rasters = tuple[Levels, NDArray[np.uint8], float]
# RGB albedo, outward normal, and how much the season colours it (0..1).
Surface = tuple[float, float, float, float, float, float, float]
LEVEL_STEP = 4
SLAB_METRES, JOINT_METRES = 0.6, 0.02


@compiled
def smooth_grain(x: float, y: float) -> float:
    """Bilinear mixture of the `grain` of four neighbouring cells, 0..1."""
    i, j = float(math.floor(x)), float(math.floor(y))
    u, v = x - i, y - j
    low = grain(i, j, 3.0) * (1 - u) + grain(i + 1, j, 3.0) * u
    high = grain(i, j + 1, 3.0) * (1 - u) + grain(i + 1, j + 1, 3.0) * u
    return low * (1 - v) + high * v


@compiled
def folded(position: float, size: int) -> float:
    """Reflect a raster coordinate into the raster, so that the land goes on beyond its edge."""
    if 0.0 <= position <= size - 1:
        return position
    period = 2.0 * (size - 1)
    rest = position % period
    return rest if rest <= size - 1 else period - rest


@compiled
def mixture(raster: NDArray[np.uint8], row: float, column: float) -> Vector:
    """Colour of a raster between its pixels, RGB in 0..1.

    Args:
        raster: (H, W, 3).
        row: row, 0 being the centre of the first.
        column: column likewise.
    """
    i, j = min(int(row), len(raster) - 2), min(int(column), len(raster) - 2)
    v, u = (row - i) / 255.0, column - j
    upper, lower = 1.0 / 255.0 - v, v
    a, b, c, d = upper * (1.0 - u), upper * u, lower * (1.0 - u), lower * u
    # Single numbers, because a slice would be counted as an array of its own.
    red = a * raster[i, j, 0] + b * raster[i, j + 1, 0]
    green = a * raster[i, j, 1] + b * raster[i, j + 1, 1]
    blue = a * raster[i, j, 2] + b * raster[i, j + 1, 2]
    return (
        red + c * raster[i + 1, j, 0] + d * raster[i + 1, j + 1, 0],
        green + c * raster[i + 1, j, 1] + d * raster[i + 1, j + 1, 1],
        blue + c * raster[i + 1, j, 2] + d * raster[i + 1, j + 1, 2],
    )


@compiled
def sample(raster: NDArray[np.uint8], scale: float, south: float, east: float) -> Vector:
    """Colour of a level whose pixels are so many times wider than the finest ones."""
    size = len(raster)
    row, column = (south + 0.5) / scale - 0.5, (east + 0.5) / scale - 0.5
    return mixture(raster, folded(row, size), folded(column, size))


@compiled
def texture(kind: int, x: float, y: float, footprint: float) -> float:
    """How much lighter or darker the ground is at a place: tufts, chippings, joints of slabs.

    Args:
        kind: of ground.
        x: metres east.
        y: metres north.
        footprint: metres of ground under one ray; what is finer fades away.
    """
    if footprint > 0.5 or kind == WATER:
        return 1.0
    coarse, fine = 1.0 - footprint / 0.5, max(0.0, 1.0 - footprint / 0.09)
    rough, chips = 0.10, 0.10
    if kind in (GRASS, FIELD):
        rough, chips = 0.30, 0.28
    elif kind == GRAVEL:
        rough, chips = 0.12, 0.24
    elif kind == MARKING:
        rough, chips = 0.05, 0.06
    tone = 1.0 + rough * coarse * (smooth_grain(3.0 * x, 3.0 * y) - 0.5)
    if fine > 0.0:
        tone += chips * fine * (grain(23.0 * x, 23.0 * y, 5.0) - 0.5)
        if kind == ASPHALT:
            tone += 0.08 * fine * (smooth_grain(0.9 * x, 0.9 * y) - 0.5)
    if kind == PAVING:
        u, v = x / SLAB_METRES, y / SLAB_METRES
        gap = max(JOINT_METRES, footprint) / SLAB_METRES
        if min(u - math.floor(u), v - math.floor(v)) < gap:
            tone -= 0.22 * min(1.0, JOINT_METRES / footprint) * coarse
    return tone


@compiled
def ground_surface(
    levels: Levels, kinds: NDArray[np.uint8], step: float, point: Vector, footprint: float
) -> Surface:
    """What the ground is like, from the level whose pixels are about as wide as the ray.

    Args:
        levels: of albedo, each LEVEL_STEP times coarser than the one before.
        kinds: of ground, (H, W).
        step: metres a pixel of it.
        point: metres east, north and up.
        footprint: metres of ground under one ray.
    """
    size = len(kinds)
    south, east = size - 0.5 - point[1] / step, point[0] / step - 0.5
    kind = kinds[int(folded(south, size) + 0.5), int(folded(east, size) + 0.5)]
    if footprint < 2.0 * step:
        red, green, blue = sample(levels[0], 1.0, south, east)
    elif footprint < 2.0 * step * LEVEL_STEP:
        red, green, blue = sample(levels[1], LEVEL_STEP, south, east)
    else:
        red, green, blue = sample(levels[2], LEVEL_STEP**2, south, east)
    leafy = 0.0
    if kind in (GRASS, FIELD):
        # At its edge a lawn's raster is mixed with what lies beside it, which knows no season.
        leafy = (1.0 if kind == GRASS else 0.4) * min(1.0, max(0.0, 4.0 * (1.0 - blue / green)))
    tone = texture(kind, point[0], point[1], footprint)
    return tone * red, tone * green, tone * blue, 0.0, 0.0, 1.0, leafy
