"""The town all around a place on a street, on another day than the tile's."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import Daylight, develop, draw_daylight, mottle
from cvgl_bench.town.rays import SKY, Hits, cast_around
from cvgl_bench.town.scene import Town
from cvgl_bench.town.shading import as_light, colour_hits, rasters

OVERSAMPLING = 2
CAMERA_METRES = 2.5
ELEVATION_DEGREES = (-32.6, 32.6)


def look_around(
    town: Town,
    x: float,
    y: float,
    *,
    size: tuple[int, int] = (112, 616),
    elevation_degrees: tuple[float, float] = ELEVATION_DEGREES,
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
    low, high = np.radians(elevation_degrees).tolist()
    camera = (float(x), float(y), CAMERA_METRES)
    return cast_around((town.solids, town.crowns), camera, size, (low, high))


def render_panorama(
    town: Town,
    x: float,
    y: float,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = (112, 616),
    elevation_degrees: tuple[float, float] = ELEVATION_DEGREES,
) -> NDArray[np.uint8]:
    """A panorama of 360 degrees, north in the centre and east right of it, (H, W, 3) RGB.

    Args:
        town: what to look at.
        x: metres east of the camera, which is CAMERA_METRES above the ground.
        y: metres north.
        rng: chance of this picture: its season, light, sky, camera and noise.
        size: rows and columns.
        elevation_degrees: lower and upper edge of the picture.

    Raises:
        DataError: the camera is outside the town.
    """
    daylight = draw_daylight(rng)
    fine = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    hits = look_around(town, x, y, size=fine, elevation_degrees=elevation_degrees)
    is_sky = (hits[1] == SKY)[..., None]
    distance = np.where(is_sky[..., 0], 0.0, hits[0])
    azimuth, elevation = _directions(fine, elevation_degrees)
    points = (
        x + distance * np.sin(azimuth),
        y + distance * np.cos(azimuth),
        CAMERA_METRES + distance * np.tan(elevation),
    )
    # Along the ray the ground is foreshortened: the geometric mean of length and width.
    footprint = 2 * np.pi / fine[1] * distance * np.sqrt(distance / CAMERA_METRES)
    light = colour_hits(
        (town.solids, town.crowns), rasters(town), hits, points, (footprint, as_light(daylight))
    )
    clear = np.exp(-distance / daylight.visibility)[..., None]
    hazy = clear * light + (1 - clear) * np.array(daylight.horizon)
    sky = _sky(*_directions(size, elevation_degrees), daylight, rng)
    whole = np.where(is_sky, cv2.resize(sky, fine[::-1]), hazy)
    picture = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
    return develop(picture, daylight, rng)


def _directions(
    size: tuple[int, int], elevation_degrees: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Azimuth of every column, (W,), and elevation of every row, (H, 1), in radians."""
    low, high = np.radians(elevation_degrees)
    azimuth = ((np.arange(size[1]) + 0.5) / size[1] - 0.5) * 2 * np.pi
    elevation = high - (np.arange(size[0]) + 0.5) * (high - low) / size[0]
    return azimuth, elevation[:, None]


def _sky(
    azimuth: NDArray[np.float64],
    elevation: NDArray[np.float64],
    daylight: Daylight,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A gradient, clouds and the glow around the sun, (H, W, 3)."""
    rise = np.clip(np.sin(elevation) / np.sin(np.radians(40)), 0, 1)[..., None]
    horizon, zenith = np.array(daylight.horizon), np.array(daylight.zenith)
    clear = horizon + rise**0.6 * (zenith - horizon)
    banks = mottle(rng, (len(elevation), len(azimuth)), len(elevation) / 2.2, 4)
    # The left and right edges meet in the south, so the clouds are faded into each other there.
    seam = np.clip(np.abs(azimuth) / np.pi * 8 - 7, 0, 1)
    joined = banks * (1 - 0.5 * seam) + 0.5 * seam * banks[:, ::-1]
    cover = 0.85 * np.clip(0.9 * joined + 3.2 * daylight.clouds - 1.6, 0, 1)[..., None] * rise**0.3
    cloudy = clear + cover * (0.55 * horizon + 0.45 - clear)
    east, north, up = daylight.sun
    level = np.cos(elevation) * (np.sin(azimuth) * east + np.cos(azimuth) * north)
    angle = np.arccos(np.clip(level + np.sin(elevation) * up, -1, 1))
    glow = np.exp(-angle / 0.25)[..., None] * np.array(daylight.direct)
    return np.asarray(cloudy + 0.55 * glow * (1 - 0.6 * cover), np.float64)
