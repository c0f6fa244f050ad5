"""JPEG in and out, by Pillow (libjpeg-turbo): strict, RGB, no silent repair."""

import io
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as PillowImage

from cvgl_bench.errors import DataError

Image = NDArray[np.uint8]

MAX_PIXELS = 120_000_000
_READABLE = {"RGB", "L"}


def codec_name(quality: int) -> str:
    """Name the encoder, its settings and its version, as manifests record it."""
    return f"pillow-{PIL.__version__} jpeg q{quality} 4:2:0"


def decode(data: bytes, name: str) -> Image:
    """Decode a picture into RGB.

    Grey pictures get three equal channels; anything but 8-bit grey or RGB is refused, because
    every way to squeeze it into RGB is a guess.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.

    Returns:
        RGB uint8, (H, W, 3).

    Raises:
        DataError: the bytes are no picture, truncated, of another kind, or over 120 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            picture = PillowImage.open(io.BytesIO(data))
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(
                    f"{name} has {picture.width} x {picture.height} pixels, more than the "
                    f"{MAX_PIXELS // 1_000_000} megapixels a picture may have."
                )
            if picture.mode not in _READABLE:
                raise DataError(
                    f"{name} is a picture of kind {picture.mode}; only 8-bit RGB and grey ones "
                    "are read. Convert it first."
                )
            return np.array(picture.convert("RGB"))
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise DataError(f"{name} cannot be decoded ({error}). Is the file complete?") from error


def encode(image: Image, quality: int) -> bytes:
    """Encode RGB uint8, (H, W, 3), as baseline JPEG with 4:2:0 chroma.

    Source: quality 75 and 4:2:0 are what the published CVUSA-C and CVACT_val-C files have.
    """
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
