"""Losses on the way from the camera to the file: contrast, resolution, compression."""

from io import BytesIO

import numpy as np
from PIL import Image as PillowImage

from corruptions.pixels import Image, to_bytes, to_unit


def contrast(image: Image, _rng: np.random.Generator, *, factor: float) -> Image:
    """Pull every value towards the mean of its channel over the whole picture.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        factor: share of the contrast that is left, 0..1.
    """
    levels = np.arange(256, dtype=np.uint8)[:, None]
    means = image.mean(axis=(0, 1)) / 255.0
    table = to_bytes((to_unit(levels) - means) * factor + means)
    return np.stack([table[image[..., channel], channel] for channel in range(3)], axis=-1)


def pixelate(image: Image, _rng: np.random.Generator, *, scale: float) -> Image:
    """Shrink the picture by averaging and enlarge it again in blocks.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        scale: share of the resolution that is left, 0..1; sizes in pixels are rounded down.
    """
    height, width = image.shape[:2]
    small = PillowImage.fromarray(image).resize(
        (int(width * scale), int(height * scale)), PillowImage.Resampling.BOX
    )
    return np.array(small.resize((width, height), PillowImage.Resampling.NEAREST))


def jpeg_compression(image: Image, _rng: np.random.Generator, *, quality: int) -> Image:
    """Write the picture as a JPEG file of low quality and read it back.

    The bytes depend on the libjpeg inside Pillow; its 4:2:0 default halves the colour resolution.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        quality: libjpeg's, 1..95.
    """
    file = BytesIO()
    PillowImage.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(PillowImage.open(file))
