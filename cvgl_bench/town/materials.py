"""Colours of the ground and of things, and the light of the day on which a picture is taken."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[float, float, float]
Raster = NDArray[np.float32]

GRASS, FIELD, ASPHALT, PAVING, MARKING, GRAVEL, WATER = range(7)
VEGETATION = (GRASS, FIELD)

# Albedo in 0..1 as a camera's RGB shows it, without light.
ASPHALTS: list[Colour] = [(0.30, 0.30, 0.31), (0.40, 0.39, 0.38), (0.52, 0.50, 0.47)]
PAVINGS: list[Colour] = [(0.62, 0.60, 0.57), (0.55, 0.54, 0.53), (0.66, 0.57, 0.50)]
GRASSES: list[Colour] = [(0.34, 0.44, 0.20), (0.42, 0.47, 0.24), (0.28, 0.39, 0.19)]
FIELDS: list[Colour] = [
    (0.56, 0.48, 0.30),
    (0.45, 0.36, 0.26),
    (0.46, 0.52, 0.22),
    (0.66, 0.60, 0.36),
]
GRAVELS: list[Colour] = [(0.60, 0.56, 0.50), (0.52, 0.50, 0.48)]
WATERS: list[Colour] = [(0.20, 0.29, 0.33), (0.24, 0.31, 0.27)]
WALLS: list[Colour] = [
    (0.86, 0.83, 0.76),
    (0.80, 0.70, 0.55),
    (0.62, 0.34, 0.27),
    (0.70, 0.72, 0.74),
    (0.88, 0.86, 0.84),
    (0.55, 0.60, 0.64),
    (0.76, 0.58, 0.48),
    (0.58, 0.62, 0.48),
]
TILES: list[Colour] = [
    (0.55, 0.27, 0.20),
    (0.34, 0.32, 0.33),
    (0.44, 0.36, 0.31),
    (0.27, 0.29, 0.34),
    (0.62, 0.38, 0.27),
]
FLAT_ROOFS: list[Colour] = [
    (0.62, 0.61, 0.60),
    (0.45, 0.45, 0.46),
    (0.80, 0.79, 0.77),
    (0.38, 0.36, 0.35),
]
LEAVES: list[Colour] = [
    (0.32, 0.42, 0.20),
    (0.40, 0.48, 0.24),
    (0.26, 0.36, 0.21),
    (0.45, 0.46, 0.24),
]
PAINTS: list[Colour] = [
    (0.85, 0.85, 0.86),
    (0.12, 0.12, 0.13),
    (0.60, 0.61, 0.63),
    (0.62, 0.12, 0.11),
    (0.16, 0.26, 0.48),
]
GLASS: Colour = (0.16, 0.19, 0.23)

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


def pick(rng: np.random.Generator, palette: list[Colour], spread: float = 0.06) -> Colour:
    """Draw a colour of a palette, a little lighter or darker and a little off its hue.

    Args:
        rng: the only source of chance.
        palette: RGB in 0..1.
        spread: how far it may be off, as a share.
    """
    base = np.array(palette[rng.integers(len(palette))])
    shifted = (
        base * rng.uniform(1 - 2 * spread, 1 + 2 * spread) * rng.uniform(1 - spread, 1 + spread, 3)
    )
    red, green, blue = np.clip(shifted, 0.02, 0.98).tolist()
    return red, green, blue


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
    )


def _rgb(values: NDArray[np.float64]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


def mottle(
    rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 3
) -> Raster:
    """Smooth random patches, mean 0 and standard deviation 1, (H, W).

    Args:
        rng: the only source of chance.
        shape: height and width.
        cell: size of the largest patches in pixels.
        octaves: how often finer patches of half the size and half the strength are added.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        grid = (int(np.ceil(shape[0] / size)) + 3, int(np.ceil(shape[1] / size)) + 3)
        coarse = rng.standard_normal(grid, dtype=np.float32)
        wide = (round(grid[1] * size), round(grid[0] * size))
        fine = cv2.resize(coarse, wide, interpolation=cv2.INTER_CUBIC)
        total += fine[: shape[0], : shape[1]] * np.float32(0.5**octave)
    spread: Raster = (total - total.mean()) / np.maximum(total.std(), 1e-6)
    return spread


def develop(light: ArrayLike, daylight: Daylight, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn light into a picture as the day's camera gives it, (H, W, 3) RGB.

    Args:
        light: RGB, (H, W, 3), about 0..1.
        daylight: gain, contrast and sensor noise.
        rng: the only source of chance.
    """
    exposed = np.maximum(np.asarray(light) * daylight.gain, 0.0) ** daylight.contrast
    # A soft shoulder instead of clipping keeps white walls in the sun apart from the sky.
    soft = np.where(exposed > 0.8, 0.8 + 0.2 * np.tanh((exposed - 0.8) / 0.2), exposed)
    grainy = soft + rng.normal(0.0, daylight.noise, soft.shape)
    picture: NDArray[np.uint8] = np.clip(np.rint(grainy * 255.0), 0, 255).astype(np.uint8)
    return picture
