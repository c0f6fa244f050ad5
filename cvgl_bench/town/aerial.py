"""The town from straight above, on a day of its own."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.casting import Line, Pair, Rays
from cvgl_bench.town.daylight import develop, draw_daylight
from cvgl_bench.town.edges import soften
from cvgl_bench.town.overhead import cast_down
from cvgl_bench.town.scene import Town
from cvgl_bench.town.shading import as_light, light_up
from cvgl_bench.town.shadows import cast_shadow

TILE_PIXELS = 384
TILE_METRES_PER_PIXEL = 0.2
HAZE = 0.06
CEILING_METRES = 1000.0


def render_aerial(
    town: Town,
    x: float,
    y: float,
    rng: np.random.Generator,
    *,
    size: int = TILE_PIXELS,
    metres_per_pixel: float = TILE_METRES_PER_PIXEL,
) -> NDArray[np.uint8]:
    """An orthographic tile around a place, north up, (size, size, 3) RGB.

    Args:
        town: what to look at.
        x: metres east of the tile's centre.
        y: metres north.
        rng: chance of this picture: its season, light, camera and noise.
        size: pixels each way.
        metres_per_pixel: of the tile.

    Raises:
        DataError: the place is outside the town.
    """
    town.check_inside(x, y)
    daylight = draw_daylight(rng)
    step, half = float(metres_per_pixel), 0.5 * size * metres_per_pixel
    corner = (float(x - half), float(y + half))
    things = (town.solids, town.crowns)
    hits = cast_down(things, corner, (size, size), step)
    reach = (math.sqrt(2) * half + 1.0, max(0.25, step))
    shadow = cast_shadow(
        town.height, town.metres_per_pixel, (float(x), float(y)), reach, daylight.sun
    )
    scene = (things, town.ground, town.shelter, (shadow, shadow))
    light = np.empty((size, size, 3), np.float32)
    day = as_light(daylight, math.inf)
    light_up(scene, _rays(corner, size, step, (0.0, 1.0)), hits, day, light)
    finer = _rays(corner, 2 * size, 0.5 * step, (CEILING_METRES, -1.0))
    smooth = soften(things, finer, hits, light, False)
    hazy = np.float32(1 - HAZE) * smooth + HAZE * np.array(daylight.horizon, np.float32)
    return develop(hazy, daylight, rng)


def _rays(corner: Pair, size: int, step: float, start: Pair) -> Rays:
    """Rays along the vertical: so many metres up, and the slope, up or down."""
    along: Line = ((np.arange(size) + 0.5) * step).astype(np.float64)
    up, slope = start
    east: Line = corner[0] + along
    north: Line = corner[1] - along
    slopes: Line = np.full(size, slope)
    return east, north, up, np.zeros((size, 2)), slopes, (step, 0.0), math.inf
