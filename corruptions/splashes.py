"""Drops of water and stains of mud on the lens, from blurred noise."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.gaussian import blur
from corruptions.pixels import Image, unit_table
from corruptions.relief import relief

Plane = NDArray[np.float32]

WATER_COLOUR = np.array([175, 238, 238]) / 255  # pale turquoise
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
MUD_COLOUR = np.array([63, 42, 20]) / 255  # brown
MUD_EDGE = 0.8  # thinner mud is not seen


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
    equalised = cv2.equalizeHist(relief(np.asarray(cv2.Canny(layer, 50, 150), dtype=np.uint8)))
    embossed = cv2.filter2D(equalised, cv2.CV_8U, EMBOSS)
    lit = np.asarray(cv2.blur(embossed, (3, 3)), dtype=np.uint8)
    brightest = max(int(_brightest(layer.reshape(-1), lit.reshape(-1))), 1)
    splashed = image.copy()
    light = (255 * strength / brightest * WATER_COLOUR).astype(np.float32)
    _add_water(layer, lit, light, splashed.reshape(len(image), -1))
    return splashed


@numba.njit(cache=True, nogil=True)
def _pour(noise: Plane, law: Plane, layer: Image) -> None:
    mean, deviation, threshold = law
    for place in range(noise.size):
        liquid = noise[place] * deviation + mean
        level = np.int32(liquid * np.float32(255)) & 255
        layer[place] = np.uint8(level if liquid >= threshold else 0)


@numba.njit(cache=True, nogil=True)
def _brightest(layer: Image, lit: Image) -> np.int32:
    most = np.int32(0)
    for place in range(layer.size):
        most = max(most, np.int32(layer[place]) * np.int32(lit[place]))
    return most


@numba.njit(cache=True, nogil=True)
def _add_water(layer: Image, lit: Image, light: Plane, splashed: Image) -> None:
    added = np.empty(splashed.shape[1], dtype=np.float32)
    for row in range(len(splashed)):
        for column in range(layer.shape[1]):
            water = np.float32(np.int32(layer[row, column]) * np.int32(lit[row, column]))
            for channel in range(3):
                added[3 * column + channel] = water * light[channel]
        values = splashed[row]
        for place in range(values.size):
            wet = np.float32(values[place]) + added[place]
            values[place] = np.uint8(np.int32(min(wet, np.float32(255))))


def splash_mud(image: Image, noise: Plane, threshold: float, sigma: float) -> Image:
    """Cover the picture with mud where there are drops, clipped and rounded down.

    Args:
        image: RGB, (H, W, 3).
        noise: (H, W); used up.
        threshold: less of it is no drop.
        sigma: softness of the mud's edges, in pixels.
    """
    mud = np.greater(noise, np.float32(threshold), out=noise)
    blur(mud, sigma)
    splashed = image.copy()
    _add_mud(mud, MUD_COLOUR, unit_table(), splashed)
    return splashed


@numba.njit(cache=True, nogil=True)
def _add_mud(mud: Plane, colour: NDArray[np.float64], units: Plane, splashed: Image) -> None:
    for row in range(splashed.shape[0]):
        for column in range(splashed.shape[1]):
            covered = mud[row, column]
            if covered >= MUD_EDGE:
                for channel in range(3):
                    clear = units[splashed[row, column, channel]] * (np.float32(1) - covered)
                    value = np.float64(clear) + np.float64(covered) * colour[channel]
                    splashed[row, column, channel] = np.uint8(min(value, 1.0) * 255)
