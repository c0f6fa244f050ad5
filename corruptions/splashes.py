"""Drops of water and stains of mud on the lens, from blurred noise."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.gaussian import blurred
from corruptions.pixels import Image, unit_table

Plane = NDArray[np.float32]

_WATER_COLOUR = np.array([175, 238, 238]) / 255  # pale turquoise
_WATER_REACH = 20  # pixels from an outline beyond which water is evenly lit
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_MUD_COLOUR = np.array([63, 42, 20]) / 255  # brown
_MUD_EDGE = 0.8  # thinner mud is not seen


def splash_water(
    image: Image, noise: Plane, *, mean: float, deviation: float, threshold: float, strength: float
) -> Image:
    """Light the picture up where there are drops, clipped and rounded down.

    An embossed distance to the drops' outlines gives them a light and a dark side. A layer without
    any drop, as chance has it in pictures of a few pixels, stays 0, where imagecorruptions divides
    by zero.

    Args:
        image: RGB, (H, W, 3).
        noise: (H, W), blurred, with mean 0; unblurred it has deviation 1.
        mean: of the liquid.
        deviation: of the liquid before it is blurred.
        threshold: less liquid is no drop.
        strength: brightness of the water where it is brightest, 0..1.
    """
    layer = np.empty(noise.shape, dtype=np.uint8)
    _pour(noise.reshape(-1), np.array([mean, deviation, threshold], np.float32), layer.reshape(-1))
    outlines = cv2.Canny(layer, 50, 150)
    distance = cv2.distanceTransform(cv2.bitwise_not(outlines), cv2.DIST_L2, 5)
    relief = np.empty(layer.shape, dtype=np.uint8)
    _smooth(np.asarray(distance, dtype=np.float32), np.float32(_WATER_REACH), relief)
    embossed = cv2.filter2D(cv2.equalizeHist(relief), cv2.CV_8U, _EMBOSS)
    lit = np.asarray(
        cv2.multiply(layer, cv2.blur(embossed, (3, 3)), dtype=cv2.CV_32F), dtype=np.float32
    )
    brightest = max(float(lit.max()), 1.0)
    splashed = image.copy()
    _add_water(lit, (255 * strength / brightest * _WATER_COLOUR).astype(np.float32), splashed)
    return splashed


@numba.njit(cache=True, nogil=True)
def _pour(noise: Plane, law: Plane, layer: Image) -> None:
    mean, deviation, threshold = law
    for place in range(noise.size):
        liquid = noise[place] * deviation + mean
        level = np.int32(liquid * np.float32(255)) & 255
        layer[place] = np.uint8(level if liquid >= threshold else 0)


@numba.njit(cache=True, nogil=True)
def _smooth(distance: Plane, reach: np.float32, relief: NDArray[np.uint8]) -> None:
    """Mean of the distances, cut at the reach, of 3 x 3 pixels, reflected at the edges."""
    height, width = distance.shape
    column = np.empty(width + 2, dtype=np.float32)
    for row in range(height):
        above, own = distance[abs(row - 1)], distance[row]
        below = distance[row + 1 if row + 1 < height else height - 2]
        for place in range(width):
            two = min(above[place], reach) + min(below[place], reach)
            column[place + 1] = min(own[place], reach) + two
        column[0], column[width + 1] = column[2], column[width - 1]
        result = relief[row]
        for place in range(width):
            nine = column[place] + column[place + 1] + column[place + 2]
            result[place] = np.uint8(np.int32(nine / np.float32(9)))


@numba.njit(cache=True, nogil=True)
def _add_water(lit: Plane, light: Plane, splashed: Image) -> None:
    white = np.float32(255)
    for row in range(splashed.shape[0]):
        for column in range(splashed.shape[1]):
            water = lit[row, column]
            if water > 0:
                for channel in range(3):
                    wet = np.float32(splashed[row, column, channel]) + water * light[channel]
                    splashed[row, column, channel] = np.uint8(np.int32(min(wet, white)))


def splash_mud(image: Image, noise: Plane, threshold: float, sigma: float) -> Image:
    """Cover the picture with mud where there are drops, clipped and rounded down.

    Args:
        image: RGB, (H, W, 3).
        noise: (H, W).
        threshold: less of it is no drop.
        sigma: softness of the mud's edges, in pixels.
    """
    mud = blurred((noise > np.float32(threshold)).astype(np.float32), sigma)
    splashed = image.copy()
    _add_mud(mud, _MUD_COLOUR, unit_table(), splashed)
    return splashed


@numba.njit(cache=True, nogil=True)
def _add_mud(mud: Plane, colour: NDArray[np.float64], units: Plane, splashed: Image) -> None:
    for row in range(splashed.shape[0]):
        for column in range(splashed.shape[1]):
            covered = mud[row, column]
            if covered >= _MUD_EDGE:
                for channel in range(3):
                    clear = units[splashed[row, column, channel]] * (np.float32(1) - covered)
                    value = np.float64(clear) + np.float64(covered) * colour[channel]
                    splashed[row, column, channel] = np.uint8(min(value, 1.0) * 255)
