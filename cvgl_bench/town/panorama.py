"""The town all around a place on a street, on another day than the tile's."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.casting import Pair, Rays, View, cast_around, view_around
from cvgl_bench.town.daylight import develop, draw_daylight
from cvgl_bench.town.edges import soften
from cvgl_bench.town.rays import Hits
from cvgl_bench.town.scene import Town
from cvgl_bench.town.shading import as_light, light_up
from cvgl_bench.town.shadows import cast_shadow
from cvgl_bench.town.sky import paint_sky

CAMERA_METRES = 2.5
PANORAMA_SIZE = (224, 1232)
ELEVATION_DEGREES = (-32.6, 32.6)
# How far the shadows are known finely and coarsely, and how finely, in metres.
NEAR_SHADOWS: Pair = (48.0, 0.25)
FAR_SHADOWS: Pair = (200.0, 1.0)


def look_around(
    town: Town,
    x: float,
    y: float,
    *,
    size: tuple[int, int] = PANORAMA_SIZE,
    elevation_degrees: Pair = ELEVATION_DEGREES,
) -> Hits:
    """What a panorama's pixels show: one ray through the centre of each, four arrays (H, W).

    Args:
        town: what to look at.
        x: metres east of the camera.
        y: metres north.
        size: rows and columns.
        elevation_degrees: lower and upper edge of the picture.

    Raises:
        DataError: the camera is outside the town.
    """
    town.check_inside(x, y)
    return cast_around((town.solids, town.crowns), _view(x, y, size, elevation_degrees))


def render_panorama(
    town: Town,
    x: float,
    y: float,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = PANORAMA_SIZE,
    elevation_degrees: Pair = ELEVATION_DEGREES,
) -> NDArray[np.uint8]:
    """A panorama of 360 degrees, north in the centre and east right of it, (H, W, 3) RGB.

    Args:
        town: what to look at.
        x: metres east of the camera, which is CAMERA_METRES above the ground.
        y: metres north.
        rng: chance of this picture: its season, light, sky, camera and noise.
        size: rows and columns.
        elevation_degrees: lower and upper edge of the picture; (-90, 90) is the whole sphere.

    Raises:
        DataError: the camera is outside the town.
    """
    hits = look_around(town, x, y, size=size, elevation_degrees=elevation_degrees)
    daylight = draw_daylight(rng)
    things, place = (town.solids, town.crowns), (float(x), float(y))
    shadows = tuple(
        cast_shadow(town.height, town.metres_per_pixel, place, reach, daylight.sun)
        for reach in (NEAR_SHADOWS, FAR_SHADOWS)
    )
    low, high = np.radians(elevation_degrees).tolist()
    light = paint_sky(size, (low, high), daylight, rng)
    scene = (things, town.ground, town.shelter, (shadows[0], shadows[1]))
    # The four rays of a pixel are half as far apart, but together as wide.
    spread = (0.0, 2 * math.pi / size[1])
    day = as_light(daylight, daylight.visibility)
    light_up(scene, _rays(_view(x, y, size, elevation_degrees), spread), hits, day, light)
    finer = _view(x, y, (2 * size[0], 2 * size[1]), elevation_degrees)
    smooth = soften(things, _rays(finer, spread), hits, light, True)
    return develop(smooth, daylight, rng, wraps=True)


def _rays(view: View, spread: Pair) -> Rays:
    camera, level, slopes, _, _ = view
    east, north = np.full(len(level), camera[0]), np.full(len(slopes), camera[1])
    return east, north, camera[2], level, slopes, spread, camera[2]


def _view(x: float, y: float, size: tuple[int, int], elevation_degrees: Pair) -> View:
    low, high = np.radians(elevation_degrees).tolist()
    return view_around((float(x), float(y), CAMERA_METRES), size, (low, high))
