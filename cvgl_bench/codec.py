"""JPEG in and out, by Pillow (libjpeg-turbo): strict, RGB, no silent repair."""

import io
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from cvgl_bench.errors import DataError

Image = NDArray[np.uint8]

MAX_PIXELS = 120_000_000
MAX_SIDE = 16_384
_FORMATS = ("JPEG", "PNG")
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
        DataError: the bytes are no JPEG or PNG, cut short, of another kind, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            picture = PillowImage.open(io.BytesIO(data), formats=_FORMATS)
            _refuse_unusable(picture, name)
            return np.array(picture.convert("RGB"))
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} cannot be decoded: it is neither JPEG nor PNG. Is the file complete?"
        ) from error
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise DataError(f"{name} cannot be decoded ({error}). Is the file complete?") from error


def _refuse_unusable(picture: ImageFile.ImageFile, name: str) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise DataError(
            f"{name} has {width} x {height} pixels; a picture may have {MAX_SIDE} a side and "
            f"{MAX_PIXELS // 1_000_000} million in all."
        )
    kind = picture.mode
    if "transparency" in picture.info:
        kind += " with transparency"
    elif any(";16" in str(tile) for tile in picture.tile):
        kind = "16-bit " + kind
    if kind not in _READABLE:
        raise DataError(
            f"{name} is a picture of kind {kind}; only 8-bit RGB and grey ones are read. "
            "Convert it first."
        )


def encode(image: Image, quality: int) -> bytes:
    """Encode RGB uint8, (H, W, 3), as baseline JPEG with 4:2:0 chroma.

    Source: quality 75 and 4:2:0 are what the published CVUSA-C and CVACT_val-C files have.
    """
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
