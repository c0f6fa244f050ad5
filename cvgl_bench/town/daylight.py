"""The day on which a picture is taken, and the camera that takes it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import Colour
from cvgl_bench.town.rays import compiled

Light = NDArray[np.float32]
# The camera's curve is a table: so many entries for light of 1, up to so much light.
CURVE_STEPS, BRIGHTEST = 4096, 2.0
BORDER = 4

# What a season multiplies leaves and grass with.
SEASONS: dict[str, Colour] = {
    "spring": (0.98, 1.10, 0.85),
    "summer": (0.85, 0.95, 0.85),
    "late summer": (1.25, 1.08, 0.95),
    "autumn": (1.35, 1.00, 0.75),
    "winter": (1.15, 0.98, 1.15),
}
# Zenith and horizon colour, direct and diffuse light of a clear, a hazy and an overcast day.
SKIES: list[tuple[Colour, Colour, float, float]] = [
    ((0.24, 0.43, 0.74), (0.72, 0.82, 0.92), 0.85, 0.42),
    ((0.42, 0.56, 0.76), (0.84, 0.86, 0.86), 0.60, 0.55),
    ((0.56, 0.59, 0.64), (0.80, 0.81, 0.82), 0.15, 0.85),
]


@dataclass(frozen=True)
class Daylight:
    """The day on which a picture is taken, and the camera that takes it.

    Attributes:
        sun: unit vector to the sun (east, north, up).
        direct: RGB of the light from the sun.
        diffuse: RGB of the light from the sky.
        leaves: RGB factor of the season on everything green.
        zenith: RGB of the sky above.
        horizon: RGB of the sky at the horizon, which distance fades into.
        clouds: share of the sky that is cloud, 0..1.
        visibility: metres after which 63 % of a colour is haze.
        gain: RGB factor of the camera.
        contrast: exponent of the camera; 1 is neutral.
        noise: standard deviation of the sensor, in 0..1.
        blur: standard deviation of the lens and the sensor, in pixels.
    """

    sun: Colour
    direct: Colour
    diffuse: Colour
    leaves: Colour
    zenith: Colour
    horizon: Colour
    clouds: float
    visibility: float
    gain: Colour
    contrast: float
    noise: float
    blur: float


def draw_daylight(rng: np.random.Generator) -> Daylight:
    """Draw a season, a sky, a sun and a camera.

    Args:
        rng: the only source of chance.
    """
    season = np.array([*SEASONS.values()][rng.integers(len(SEASONS))]) * rng.uniform(0.9, 1.1, 3)
    zenith, horizon, direct, diffuse = SKIES[rng.choice(3, p=(0.5, 0.3, 0.2))]
    azimuth, elevation = rng.uniform(0.4, 1.6) * np.pi, np.radians(rng.uniform(28, 62))
    warmth = np.array([1.06, 1.0, 0.90]) ** rng.uniform(0.0, 1.8)
    tint = rng.uniform(0.93, 1.07, 3)
    return Daylight(
        sun=(
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.sin(elevation)),
        ),
        direct=_rgb(direct * warmth),
        diffuse=_rgb(diffuse * np.array([0.94, 1.0, 1.08])),
        leaves=_rgb(season),
        zenith=_rgb(np.array(zenith) * rng.uniform(0.9, 1.1)),
        horizon=_rgb(np.array(horizon) * rng.uniform(0.93, 1.05)),
        clouds=float(rng.uniform(0.0, 0.75)),
        visibility=float(rng.uniform(350, 1200)),
        gain=_rgb(tint * rng.uniform(0.88, 1.12)),
        contrast=float(rng.uniform(0.85, 1.2)),
        noise=float(rng.uniform(0.004, 0.016)),
        blur=float(rng.uniform(0.4, 0.9)),
    )


def _rgb(values: NDArray[np.float64]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


def develop(
    light: Light, daylight: Daylight, rng: np.random.Generator, *, wraps: bool = False
) -> NDArray[np.uint8]:
    """Turn light into a picture as the day's camera gives it, (H, W, 3) RGB.

    Args:
        light: RGB, (H, W, 3), about 0..1.
        daylight: blur, gain, contrast and noise of the camera.
        rng: the only source of chance.
        wraps: whether the left and right edges meet.
    """
    blurred = _blur(light, daylight.blur, wraps)
    entries = np.linspace(0.0, BRIGHTEST, int(BRIGHTEST * CURVE_STEPS) + 1) ** daylight.contrast
    # A soft shoulder instead of clipping keeps white walls in the sun apart from the sky.
    soft = np.where(entries > 0.8, 0.8 + 0.2 * np.tanh((entries - 0.8) / 0.2), entries)
    noise = rng.standard_normal(light.shape[:2], dtype=np.float32)
    curve = (255.0 * soft).astype(np.float32)
    return expose(blurred, np.array(daylight.gain), curve, noise, 255.0 * daylight.noise)


def _blur(light: Light, sigma: float, wraps: bool) -> Light:
    """Blur a picture with a Gaussian of sigma pixels, less than 1."""
    if not wraps:
        return np.asarray(cv2.GaussianBlur(light, (5, 5), sigma), np.float32)
    wide = cv2.copyMakeBorder(light, 0, 0, BORDER, BORDER, cv2.BORDER_WRAP)
    return np.asarray(cv2.GaussianBlur(wide, (5, 5), sigma), np.float32)[:, BORDER:-BORDER]


@compiled
def expose(
    light: Light, gain: NDArray[np.float64], curve: Light, noise: Light, strength: float
) -> NDArray[np.uint8]:
    """Grey levels of light, (H, W, 3).

    Args:
        light: RGB, (H, W, 3).
        gain: RGB factor.
        curve: grey level of light, CURVE_STEPS entries for 1.
        noise: standard normal, (H, W); every channel takes it from another row.
        strength: of the noise in grey levels.
    """
    rows, columns, _ = light.shape
    picture = np.empty(light.shape, np.uint8)
    for row in range(rows):
        for band in range(3):
            own = noise[(row + band * rows // 3) % rows]
            for c in range(columns):
                value = max(np.float32(0.0), light[row, c, band]) * gain[band] * CURVE_STEPS
                level = curve[min(len(curve) - 1, int(value + 0.5))] + strength * own[c]
                picture[row, c, band] = int(min(255.0, max(0.0, level + 0.5)))
    return picture
