"""Colours of the ground and of things, as a camera shows them without light."""

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Raster = NDArray[np.float32]

GRASS, FIELD, ASPHALT, PAVING, MARKING, GRAVEL, WATER = range(7)

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
DRY_GRASSES: list[Colour] = [(0.50, 0.48, 0.30), (0.44, 0.44, 0.25), (0.57, 0.53, 0.37)]
DRY_FIELDS: list[Colour] = [
    (0.70, 0.60, 0.40),
    (0.60, 0.46, 0.32),
    (0.36, 0.42, 0.22),
    (0.78, 0.70, 0.50),
]
DRY_WALLS: list[Colour] = [
    (0.92, 0.89, 0.83),
    (0.88, 0.80, 0.66),
    (0.84, 0.70, 0.56),
    (0.93, 0.92, 0.90),
    (0.76, 0.60, 0.46),
    (0.80, 0.78, 0.70),
]
DRY_TILES: list[Colour] = [(0.72, 0.46, 0.32), (0.66, 0.52, 0.42), (0.60, 0.36, 0.26)]
DRY_PAVINGS: list[Colour] = [(0.74, 0.68, 0.58), (0.68, 0.62, 0.54), (0.72, 0.70, 0.66)]
DRY_LEAVES: list[Colour] = [(0.38, 0.44, 0.24), (0.44, 0.46, 0.30), (0.32, 0.40, 0.22)]
SIGNS: list[Colour] = [
    (0.70, 0.16, 0.14),
    (0.14, 0.30, 0.55),
    (0.16, 0.42, 0.26),
    (0.85, 0.66, 0.18),
    (0.22, 0.22, 0.24),
    (0.78, 0.42, 0.16),
]
WHITE: Colour = (0.88, 0.88, 0.86)
YELLOW: Colour = (0.82, 0.66, 0.24)
BARK: Colour = (0.30, 0.25, 0.20)
BRICK: Colour = (0.50, 0.33, 0.28)
STEEL: Colour = (0.50, 0.51, 0.52)
WOOD: Colour = (0.46, 0.36, 0.26)
GLASS: Colour = (0.16, 0.19, 0.23)


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
