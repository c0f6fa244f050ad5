"""What a picture may be when it comes in: RGB bytes by a stated rule, or a sentence that says no.

- an array of uint8 (H, W, 3) and Pillow's "RGB" stay what they are;
- grey, an array of uint8 (H, W) or (H, W, 1) and Pillow's "L" and "1", gets three equal channels;
- a palette, Pillow's "P", becomes its colours;
- alpha, an array of uint8 (H, W, 2) or (H, W, 4), Pillow's "LA", "PA" and "RGBA" and a transparent
  colour, is dropped where all is opaque, and else the picture is refused;
- 16-bit, float, bool, CMYK, YCbCr, LAB, HSV and all else is refused with a word on how to convert,
  because every way to bytes is a choice.

An orientation in a picture's metadata is not applied.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from corruptions.pixels import Image

SMALLEST_SIDE = 16
LARGEST_SIDE = 65_500  # libjpeg's limit
MOST_PIXELS = 100_000_000

_MODES = ("RGB", "L", "1", "P", "LA", "PA", "RGBA")
_BACKGROUND = "put it on a background of your choice first, as Pillow's alpha_composite does."
_CHANNELS_LAST = "The image must be (H, W, 3) for RGB or (H, W) for grey, not {shape}.{hint}"
# What to do with values that are not bytes, by numpy's kind of dtype.
_TO_BYTES = {
    "b": " Convert it: image.astype(numpy.uint8) * 255.",
    "f": " Convert it: if its range is 0..1, (image * 255).round().astype(numpy.uint8).",
    "u": " Convert it: if its range is 0..65535, (image >> 8).astype(numpy.uint8).",
    "i": " Convert it: if its range is 0..255, image.astype(numpy.uint8).",
}
_TO_RGB = 'Convert it: picture.convert("RGB").'
_BY_HAND = (
    "Pillow would clip it to 0..255, so scale its values to 0..255 as your data need it, and pass "
    "them as a uint8 array."
)
_OTHER_MODES = {"I": _BY_HAND, "F": _BY_HAND} | dict.fromkeys(
    ("I;16", "I;16L", "I;16B", "I;16N"),
    "Convert it: if its range is 0..65535, (numpy.asarray(picture) >> 8).astype(numpy.uint8).",
)


def as_rgb(image: object) -> Image:
    """RGB bytes of a picture, by the rules above.

    Args:
        image: a numpy array or a Pillow picture, 16 pixels a side to 100 million in all, and no
            side over 65,500.

    Returns:
        RGB, uint8, (H, W, 3), contiguous. An array that is all that already is returned itself and
        not copied.

    Raises:
        ValueError: the image is none of what the rules take, or too small or too large.
    """
    if isinstance(image, PillowImage.Image):
        check_size(image.height, image.width)
        return _from_pillow(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"The image must be a numpy array or a Pillow picture, not {type(image).__name__}."
        )
    return _from_array(image)


def _from_array(image: NDArray[Any]) -> Image:
    if image.dtype != np.uint8:
        how = _TO_BYTES.get(image.dtype.kind, "")
        raise ValueError(f"The image must hold uint8 values 0..255, not {image.dtype}.{how}")
    if isinstance(image, np.ma.MaskedArray):
        raise ValueError("The image is a masked array: fill what is masked, as .filled(0) does.")
    channels = (1, *image.shape[2:])[-1] if image.ndim in (2, 3) else 0
    if channels not in (1, 2, 3, 4):
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        hint = " Put the channels last: numpy.moveaxis(image, 0, -1)." if first else ""
        raise ValueError(_CHANNELS_LAST.format(shape=image.shape, hint=hint))
    check_size(*image.shape[:2])
    colours = np.asarray(image)
    if channels in (2, 4):
        _check_opaque(colours[..., -1])
        colours = colours[..., :-1]
    if channels in (1, 2):
        grey = colours.reshape(*colours.shape[:2], 1)
        return np.repeat(grey, 3, axis=2)
    return np.ascontiguousarray(colours)


def _from_pillow(picture: PillowImage.Image) -> Image:
    if any(";16" in str(tile) for tile in getattr(picture, "tile", ())):
        # Pillow reads 16-bit colour as 8 bits and does not say so.
        _refuse_mode(f"16-bit {picture.mode}", _BY_HAND)
    try:
        picture.load()
    except (OSError, SyntaxError) as error:
        raise ValueError(f"The picture cannot be decoded ({error}). Is it complete?") from error
    if picture.mode not in _MODES:
        _refuse_mode(picture.mode, _OTHER_MODES.get(picture.mode, _TO_RGB))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        _check_opaque(np.asarray(picture.getchannel("A")))
    return np.array(picture.convert("RGB"))


def _refuse_mode(mode: str, how: str) -> None:
    raise ValueError(f"The picture is of Pillow's kind {mode}, not RGB, grey or palette. {how}")


def _check_opaque(alpha: Image) -> None:
    if alpha.min() < 255:
        raise ValueError(f"The image is transparent in places: {_BACKGROUND}")


def check_size(height: int, width: int) -> None:
    """Refuse a picture that is too small or too large.

    Raises:
        ValueError: it is.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"The image must be at least {SMALLEST_SIDE} pixels high and wide, "
            f"not {height} x {width}."
        )
    if max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise ValueError(
            f"The image may have {LARGEST_SIDE} pixels a side and {MOST_PIXELS // 1_000_000} "
            f"million in all, not {height} x {width}: resize it or cut it first."
        )
