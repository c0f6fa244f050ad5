"""Which pictures are read, and by which codec: strict, RGB, no silent repair."""

import functools
import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from corruptions.codecs import CODECS, PILLOW, Codec
from corruptions.inputs import MOST_PIXELS
from cvgl_bench.errors import DataError

Image = NDArray[np.uint8]

MAX_PIXELS = MOST_PIXELS
MAX_SIDE = 16_384
_FORMATS = ("JPEG", "PNG")
_READABLE = {"RGB", "L"}


def usable_codec(name: str) -> Codec:
    """The codec by that name, if this installation has what it needs.

    Args:
        name: a key of `corruptions.codecs.CODECS`.

    Raises:
        DataError: a package that it needs is missing.
    """
    try:
        _ = CODECS[name].version
    except ValueError as error:
        raise DataError(str(error)) from error
    return CODECS[name]


@functools.cache
def codec_name(name: str, quality: int) -> str:
    """Name the encoder, its version and its settings, as manifests record them."""
    return f"{name} ({CODECS[name].version}) jpeg q{quality} 4:2:0"


def decode(data: bytes, name: str, codec: Codec = PILLOW) -> Image:
    """Decode a picture into RGB.

    Grey pictures get three equal channels; anything but 8-bit grey or RGB is refused, because
    every way to squeeze it into RGB is a guess.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        codec: what decodes a JPEG; a PNG is always decoded by Pillow.

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
            if picture.format == "PNG":
                return np.array(picture.convert("RGB"))
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} cannot be decoded: it is neither JPEG nor PNG. Is the file complete?"
        ) from error
    except PillowImage.DecompressionBombError as error:
        raise DataError(
            f"{name} has more pixels than the {MAX_PIXELS // 1_000_000} million that are read."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{name} cannot be decoded ({error}). Is the file complete?") from error
    # A JPEG, or what Pillow calls MPO: a JPEG behind which a camera has put a preview.
    try:
        return codec.decode(data)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error


def look_at(path: Path) -> tuple[tuple[int, int], str]:
    """Read the header of a picture's file and nothing else.

    Args:
        path: the file.

    Returns:
        Width and height in pixels, and the format: "JPEG", "MPO" or "PNG".

    Raises:
        DataError: it cannot be read, or `decode` would refuse it by its header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            with PillowImage.open(path, formats=_FORMATS) as picture:
                _refuse_unusable(picture, path.name)
                return picture.size, picture.format or ""
    except UnidentifiedImageError as error:
        raise DataError(f"{path.name} cannot be decoded: it is neither JPEG nor PNG.") from error
    except PillowImage.DecompressionBombError as error:
        raise DataError(
            f"{path.name} has more pixels than the {MAX_PIXELS // 1_000_000} million that are read."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read ({error}).") from error


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
