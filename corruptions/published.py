"""The blurs of the released CVUSA-C and CVACT_val-C that the standard ones stray from.

Bytes come first here and speed second: the arithmetic is 64-bit wherever the last bit can turn a
grey level, in the order of additions of ImageNet-C's code. With the codec "ijg9d" for reading and
writing, defocus_blur and zoom_blur give the released files byte for byte, and so do frost and
motion_blur once they are told what was drawn, and glass_blur outside the pixels that it shuffles.

Each takes its parameters from severities.toml, like the standard one of the same name.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.blur import MOTION_BLUR_MAX_DEGREES
from corruptions.disk_kernel import disk_kernel
from corruptions.draws import number
from corruptions.pixels import Image, gaussian, row_bands, to_bytes, to_unit
from corruptions.published_lines import Stretch, closer, drag

GLASS_WINDOW = 224  # ImageNet-C's pictures have that many pixels a side, and its loop says so


def defocus_blur(
    image: Image, _rng: np.random.Generator, *, radius: int, alias_sigma: float
) -> Image:
    """Average over a disk, as a lens out of focus does.

    floor(255 clip(sum_ij k_ij x_ij, 0, 1)), x in 0..1 and k the disk of `disk_kernel`, 64-bit.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. Every released file is this one to the
    byte.

    Args:
        image: RGB, (H, W, 3).
        radius: of the disk, in pixels.
        alias_sigma: softens the disk's edge, in pixels.
    """
    kernel = disk_kernel(radius, alias_sigma)
    blurred = np.empty_like(image)
    for channel in range(3):
        blurred[..., channel] = to_bytes(
            np.asarray(cv2.filter2D(to_unit(image[..., channel]), -1, kernel), np.float64)
        )
    return blurred


def glass_blur(
    image: Image, rng: np.random.Generator, *, sigma: float, max_shift: int, iterations: int
) -> Image:
    """Blur, let pixels near the top left corner travel to their neighbours, and blur again.

    Only pixels in the first 224 rows and columns travel, whatever the picture's size: the released
    sets kept the numbers of ImageNet-C's pictures. That is 18 % of a panorama of CVUSA and under
    4 % of one of CVACT; the rest is two Gaussian blurs.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. The window was measured on released
    files; outside it they are this one to the byte, but for stray blocks of 8 x 8 pixels.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        sigma: of both Gaussian blurs, in pixels; kernels end at four sigma, edges are repeated.
        max_shift: how far a pixel travels, in pixels.
        iterations: how often the pixels travel.
    """
    blurred = _softened(image, sigma)
    window = np.ascontiguousarray(blurred[:GLASS_WINDOW, :GLASS_WINDOW])
    shape = (window.shape[0] - 2 * max_shift, window.shape[1] - 2 * max_shift)
    for _ in range(iterations):
        row_shifts = rng.integers(-max_shift, max_shift, shape, dtype=np.int8)
        column_shifts = rng.integers(-max_shift, max_shift, shape, dtype=np.int8)
        window = shuffle_pixels(window, row_shifts, column_shifts, max_shift=max_shift)
    blurred[:GLASS_WINDOW, :GLASS_WINDOW] = window
    return _softened(blurred, sigma)


def _softened(image: Image, sigma: float) -> Image:
    """Gaussian blur of bytes, rounded down; channel by channel, for the memory's sake."""
    blurred = np.empty_like(image)
    for channel in range(3):
        unit = gaussian(to_unit(image[..., channel]), sigma)
        blurred[..., channel] = to_bytes(np.asarray(unit, np.float64))
    return blurred


def shuffle_pixels(
    image: Image, row_shifts: NDArray[np.int8], column_shifts: NDArray[np.int8], *, max_shift: int
) -> Image:
    """One round of glass_blur: every inner pixel is overwritten by one near it, the last one first.

    ImageNet-C walks from the bottom right to the top left and means to swap each pixel with its
    partner, but its swap works on views and so copies the partner. A partner that the walk has
    already passed (it has a larger index) holds a copy itself. Rather than walk, we follow these
    chains: each `leader[leader]` doubles the number of links taken, so that a few rounds do.

    Args:
        image: RGB, (H, W, 3).
        row_shifts: where the partner is, -max_shift..max_shift - 1, (H - 2 max_shift,
            W - 2 max_shift). Entry (i, j) is for pixel (i + max_shift + 1, j + max_shift + 1).
        column_shifts: the same for columns.
        max_shift: of the pixels at the edge, max_shift + 1 stay in place at the top and left and
            max_shift - 1 at the bottom and right.
    """
    height, width = image.shape[:2]
    first, (rows, columns) = max_shift + 1, row_shifts.shape
    index = np.arange(height * width)
    shift = np.zeros((height, width), dtype=np.intp)
    inner = shift[first : first + rows, first : first + columns]
    np.multiply(row_shifts, width, out=inner, dtype=np.intp)
    inner += column_shifts
    leader = index + np.maximum(shift, 0).ravel()
    partner = index + shift.ravel()
    further = leader.take(leader)
    while not np.array_equal(further, leader):
        leader.take(leader, out=further, mode="clip")
        leader, further = further, leader
    shuffled: Image = image.reshape(-1, 3).take(partner[leader], axis=0).reshape(image.shape)
    return shuffled


def motion_blur(
    image: Image,
    rng: np.random.Generator,
    *,
    radius: int,
    sigma: float,
    angle_degrees: float | None = None,
) -> Image:
    """Drag the picture along a line, as a moving camera does, in ImageMagick's 16 bits a channel.

    floor(floor(257 s + 0.5) / 257), s = sum_i k_i x_i over 2 radius + 1 samples of the line; see
    `published_lines.drag` for the weights and places.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, which leaves it to ImageMagick. Every
    released file whose angle was found is this one to the byte.

    Args:
        image: RGB, (H, W, 3).
        rng: draws the angle, if it is not given.
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
        angle_degrees: of the line, 0 to the right and 90 downwards; else uniform in -45..45.

    Raises:
        ValueError: the angle is no number from -360 to 360.
    """
    if angle_degrees is None:
        angle_degrees = rng.uniform(-MOTION_BLUR_MAX_DEGREES, MOTION_BLUR_MAX_DEGREES)
    degrees = number("angle_degrees", angle_degrees, -360, 360)
    return drag(image, radius=radius, sigma=sigma, angle_degrees=degrees)


def zoom_blur(image: Image, _rng: np.random.Generator, *, layers: int, step: float) -> Image:
    """Average the picture with versions of it that are ever closer, as in driving towards it.

    floor(255 (x + x + z_1 + ... + z_n) / (n + 2)) in 32-bit, n = layers - 1 and z_i the middle of
    the picture zoomed by 1 + i step, bilinear, cut at the right and bottom to the old size.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. Every released file is this one to the
    byte.

    Args:
        image: RGB, (H, W, 3).
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.
    """
    height, width = image.shape[:2]
    # arange and not 1 + layer * step: lengths are rounded, where the last bit can add a pixel
    zooms = np.arange(1, 1 + (layers - 0.5) * step, step)[1:]
    versions = [(Stretch.of(height, zoom), Stretch.of(width, zoom, channels=3)) for zoom in zooms]
    flat = image.reshape(height, -1)
    blurred = np.empty_like(flat)
    for rows in row_bands(height, flat.shape[1]):
        unit = to_unit(flat[rows]).astype(np.float32)
        # The order of the additions is ImageNet-C's: the zooms first, the picture itself last.
        total = unit.copy()
        for down, across in versions:
            total += closer(flat, rows, down, across)
        blurred[rows] = to_bytes((unit + total) / np.float32(layers + 1))
    return blurred.reshape(image.shape)
