"""The town from straight above, on a day of its own."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import develop, draw_daylight
from cvgl_bench.town.rays import cast_down
from cvgl_bench.town.scene import Town
from cvgl_bench.town.shading import as_light, colour_hits, rasters

OVERSAMPLING = 2
HAZE = 0.06


def render_aerial(
    town: Town,
    x: float,
    y: float,
    rng: np.random.Generator,
    *,
    size: int = 256,
    metres_per_pixel: float = 0.3,
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
    fine, step = size * OVERSAMPLING, metres_per_pixel / OVERSAMPLING
    half = 0.5 * size * metres_per_pixel
    west, north = float(x - half), float(y + half)
    hits = cast_down((town.solids, town.crowns), (west, north), (fine, fine), step)
    across = (np.arange(fine) + 0.5) * step
    easts, norths = np.meshgrid(west + across, north - across)
    light = colour_hits(
        (town.solids, town.crowns),
        rasters(town),
        hits,
        (easts, norths, hits[0]),
        (np.full((fine, fine), step), as_light(daylight)),
    )
    hazy = (1 - HAZE) * light + HAZE * np.array(daylight.horizon)
    picture = cv2.resize(hazy, (size, size), interpolation=cv2.INTER_AREA)
    return develop(picture, daylight, rng)
