"""Losses on the way from the camera to the file: contrast, resolution, compression."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.blocks import show_blocks
from corruptions.codecs import PILLOW, Codec
from corruptions.draws import number
from corruptions.pixels import Image, to_bytes, to_unit


def contrast(image: Image, _rng: np.random.Generator, *, factor: float) -> Image:
    """Pull every value towards the mean of its channel over the whole picture.

    floor(255 clip((x - m) factor + m)), x and the channel's mean m in 0..1.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        factor: share of the contrast that is left, 0..1.

    Raises:
        ValueError: it is not.
    """
    factor = number("factor", factor, 0, 1)
    levels = np.arange(256, dtype=np.uint8)[:, None]
    means = np.array(cv2.sumElems(image)[:3]) / (image.shape[0] * image.shape[1]) / 255.0
    table = to_bytes((to_unit(levels) - means) * factor + means)
    offsets = np.asarray(255 * means * (1 - factor), dtype=np.float32)
    if np.array_equal(_scaled(np.repeat(levels, 3, axis=1)[:, None], factor, offsets)[:, 0], table):
        return _scaled(image, factor, offsets)
    return np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)


def _scaled(image: Image, factor: float, offsets: NDArray[np.float32]) -> Image:
    """The same by a multiplication in single precision: faster, and seldom one off."""
    scaled = np.empty(image.shape, dtype=np.uint8)
    flat = (len(image), -1)
    row_of_offsets = np.tile(offsets, image.shape[1])
    _scale(image.reshape(flat), np.float32(factor), row_of_offsets, scaled.reshape(flat))
    return scaled


@numba.njit(cache=True, nogil=True)
def _scale(image: Image, factor: np.float32, offsets: NDArray[np.float32], scaled: Image) -> None:
    for row in range(len(image)):
        values, result = image[row], scaled[row]
        for place in range(values.size):
            value = factor * np.float32(values[place]) + offsets[place]
            result[place] = np.uint8(np.int32(value))


def pixelate(image: Image, _rng: np.random.Generator, *, scale: float) -> Image:
    """Shrink the picture by averaging and enlarge it again in blocks.

    First every row shrinks to floor(scale W) pixels, then every column to floor(scale H); a short
    pixel is the mean, rounded to the nearest byte each time, of the pixels whose centres it covers.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, by way of Pillow's BOX and NEAREST.

    Args:
        image: RGB, (H, W, 3).
        scale: share of the resolution that is left, 0..1; sizes in pixels are rounded down.

    Raises:
        ValueError: it is not, or leaves less than a pixel.
    """
    height, width = image.shape[:2]
    scale = number("scale", scale, 1 / min(height, width), 1)
    return show_blocks(image, int(height * scale), int(width * scale))


def jpeg_compression(
    image: Image, _rng: np.random.Generator, *, quality: int, codec: Codec = PILLOW
) -> Image:
    """Write the picture as a JPEG file of low quality and read it back.

    Which pixels come back depends on the codec; its 4:2:0 chroma halves the colour resolution.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        quality: libjpeg's, 1..95.
        codec: the JPEG library.
    """
    return codec.recode(image, quality)
