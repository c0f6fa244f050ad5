"""The sky of a panorama: a gradient, clouds on a layer overhead, and the glow around the sun."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.daylight import Daylight
from cvgl_bench.town.materials import mottle

COARSER = 4
CLOUD_PIXELS = 256


def paint_sky(
    size: tuple[int, int], edges: tuple[float, float], daylight: Daylight, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The sky in every direction of a panorama, the ground being ignored, (H, W, 3).

    Args:
        size: rows and columns.
        edges: elevation of the lower and the upper edge in radians.
        daylight: of the day.
        rng: chance of the clouds.
    """
    banks = mottle(rng, (CLOUD_PIXELS, CLOUD_PIXELS), CLOUD_PIXELS / 5, 5)
    rows, columns = (max(2, -(-length // COARSER)) for length in size)
    azimuth = (((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi).astype(np.float32)
    steps = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / rows
    elevation = np.float32(edges[1]) - steps * np.float32(edges[1] - edges[0])
    up = np.sin(np.clip(elevation, 0, None))
    rise = ((1 - np.exp(-2.5 * up)) / (1 - np.exp(-2.5)))[..., None]
    horizon, zenith = (np.array(c, np.float32) for c in (daylight.horizon, daylight.zenith))
    clear = np.broadcast_to(horizon + rise * (zenith - horizon), (rows, columns, 3))
    cover = _cover(banks, azimuth, up, daylight.clouds)[..., None] * rise**0.3
    cloudy = clear + cover * (0.55 * horizon + 0.45 - clear)
    east, north, high = daylight.sun
    level = np.cos(elevation) * (np.sin(azimuth) * east + np.cos(azimuth) * north)
    angle = np.arccos(np.clip(level + np.sin(elevation) * high, -1, 1))[..., None]
    glow = (0.5 * np.exp(-angle / 0.25) + 0.6 * np.exp(-angle / 0.05)) * np.array(daylight.direct)
    whole = np.asarray(cloudy + glow * (1 - 0.6 * cover), np.float32)
    return np.asarray(cv2.resize(whole, size[::-1]), np.float32)


def _cover(
    banks: NDArray[np.float32],
    azimuth: NDArray[np.float32],
    up: NDArray[np.float32],
    clouds: float,
) -> NDArray[np.float32]:
    """How much cloud there is, (H, W), where rays meet a layer that bends down to the horizon."""
    away = CLOUD_PIXELS / 9 * np.sqrt(1 - up**2) / (up + 0.12)
    layer = cv2.remap(
        np.asarray(banks, np.float32),
        (away * np.sin(azimuth) + CLOUD_PIXELS / 2).astype(np.float32),
        (CLOUD_PIXELS / 2 - away * np.cos(azimuth)).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(0.85 * np.clip(0.7 * layer + 3.0 * clouds - 1.5, 0, 1), np.float32)
