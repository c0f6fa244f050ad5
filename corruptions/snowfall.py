"""Flakes of snow: cut from noise, dragged by their fall, added to a whitened picture."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.dragging import drag_plane, line
from corruptions.pixels import Image, row_bands, unit_table
from corruptions.zooming import kept, stretch

Plane = NDArray[np.float32]


def noise_shape(height: int, width: int, zoom: float) -> tuple[int, int]:
    """How much noise the flakes of a picture are cut from."""
    return kept(height, zoom), kept(width, zoom)


def falling_flakes(
    noise: Plane,
    height: int,
    width: int,
    *,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    angle_degrees: float,
) -> NDArray[np.uint8]:
    """How bright the flakes are, (height, width), 0..255.

    Args:
        noise: of `noise_shape`, 0..1.
        height: of the picture.
        width: of the picture.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        angle_degrees: of the fall, 0 to the right and 90 downwards.
    """
    down, across = stretch(height, zoom), stretch(width, zoom)
    flakes = np.empty((len(down.pixel), len(across.pixel)), dtype=np.float32)
    _cut_out(noise, *down, *across, np.float32(threshold), flakes)
    return drag_plane(flakes, line(radius, sigma, angle_degrees))[:height, :width]


@numba.njit(cache=True, nogil=True)
def _cut_out(
    noise: Plane,
    rows: NDArray[np.int64],
    row_shares: Plane,
    columns: NDArray[np.int64],
    column_shares: Plane,
    threshold: np.float32,
    flakes: Plane,
) -> None:
    """Enlarge the noise and keep what is above the threshold, at most 1."""
    mixed = np.empty(noise.shape[1], dtype=np.float32)
    for row in range(len(flakes)):
        upper, share = rows[row] - rows[0], row_shares[row]
        for place in range(mixed.size):
            above = noise[upper, place]
            mixed[place] = above + share * (noise[upper + 1, place] - above)
        for column in range(flakes.shape[1]):
            left = np.uint64(columns[column] - columns[0])
            value = mixed[left] + column_shares[column] * (mixed[left + np.uint64(1)] - mixed[left])
            flakes[row, column] = 0 if value < threshold else min(value, np.float32(1))


def add_flakes(image: Image, flakes: NDArray[np.uint8], image_weight: float) -> Image:
    """Whiten a picture and add the flakes twice, the second time turned by 180 degrees.

    Args:
        image: RGB, (H, W, 3).
        flakes: of `falling_flakes`, (H, W).
        image_weight: share of the picture as it was.
    """
    snowy = np.empty(image.shape, dtype=np.uint8)
    light = cv2.add(flakes, flakes[::-1, ::-1])
    own, white = np.float32(image_weight), np.float32(1 - image_weight)
    for rows in row_bands(len(image), image[0].size):
        unit = np.asarray(cv2.LUT(image[rows], unit_table()), dtype=np.float32)
        grey = np.asarray(
            cv2.cvtColor(cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.float32
        )
        _whiten(unit.reshape(-1), grey.reshape(-1), own, white, snowy[rows].reshape(-1))
        cv2.add(snowy[rows], cv2.cvtColor(light[rows], cv2.COLOR_GRAY2RGB), dst=snowy[rows])
    return snowy


@numba.njit(cache=True, nogil=True)
def _whiten(
    unit: NDArray[np.float32],
    grey: NDArray[np.float32],
    own: np.float32,
    white: np.float32,
    whitened: Image,
) -> None:
    """The picture before the flakes, rounded down.

    In float32 and then doubles, as in the original, because a grey pixel often gives a whole
    number. Flakes are whole numbers, so they can be added after rounding down.
    """
    for place in range(unit.size):
        value = unit[place]
        pale = grey[place] * np.float32(1.5) + np.float32(0.5)
        picture = np.float64(own * value + white * max(value, pale))
        whitened[place] = np.uint8(np.int32(min(picture * 255, 255.0)))
