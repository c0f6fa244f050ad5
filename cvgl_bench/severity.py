"""How much worse a picture is than the clean one: PSNR and SSIM, natively and at model sizes.

Models resize what they are given, and most of a fine noise is gone then, so a picture is measured
at its own size and at two sizes at which published models look at a panorama. PSNR is that of the
RGB values; SSIM is that of the luma (ITU-R BT.601), with scikit-image's window of 7 x 7.

Source of SSIM: Wang, Bovik, Sheikh and Simoncelli 2004, doi:10.1109/TIP.2003.819861.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

Image = NDArray[np.uint8]
Measures = dict[str, float | None]

# Suffix of a column -> height and width; None is the picture's own size. 140 x 768 is what
# Sample4Geo makes of a panorama, 384 x 384 what models with square inputs do.
SIZES: dict[str, tuple[int, int] | None] = {
    "": None,
    "_140x768": (140, 768),
    "_384x384": (384, 384),
}
COLUMNS = tuple(f"{name}{size}" for size in SIZES for name in ("psnr_db", "ssim"))
# Never None in a row that was measured: the picture is large enough there, equal or not.
ALWAYS_MEASURED = "ssim_384x384"

_WINDOW = 7
_RANGE = 255


@dataclass(frozen=True)
class _AtSize:
    pixels: Image
    luma: NDArray[np.float32]


class CleanPicture:
    """A clean picture, resized once for all that is compared with it."""

    def __init__(self, pixels: Image) -> None:
        """Resize it; `pixels` is RGB, (H, W, 3)."""
        self._sizes = {suffix: _at_size(pixels, size) for suffix, size in SIZES.items()}

    def measure(self, pixels: Image) -> Measures:
        """Compare a picture with this one.

        Args:
            pixels: RGB, (H, W, 3), as large as the clean one.

        Returns:
            A value a column: decibels to two decimals, SSIM (at most 1) to four, so that machines
            agree. PSNR is None where the pictures are equal, SSIM where a side is under 7 pixels.

        Raises:
            ValueError: the pictures differ in size.
        """
        result: Measures = {}
        for suffix, clean in self._sizes.items():
            worse = _at_size(pixels, SIZES[suffix])
            if worse.pixels.shape != clean.pixels.shape:
                raise ValueError(
                    f"a picture of {worse.pixels.shape} cannot be compared with one of "
                    f"{clean.pixels.shape}"
                )
            result[f"psnr_db{suffix}"] = _psnr_db(clean, worse)
            result[f"ssim{suffix}"] = _ssim(clean, worse)
        return result


def sample(count: int, wanted: int) -> list[int]:
    """Numbers in 0..count-1, spread evenly: the middles of `wanted` equal parts; all if fewer."""
    if wanted >= count:
        return list(range(count))
    return [(2 * part + 1) * count // (2 * wanted) for part in range(wanted)]


def means(rows: Iterable[Mapping[str, float | None]]) -> Measures:
    """The mean of every column over the rows that have it; None if none does."""
    listed = list(rows)
    result: Measures = {}
    for column in COLUMNS:
        values = [value for row in listed if (value := row[column]) is not None]
        digits = 2 if column.startswith("psnr") else 4
        # An exact sum, so that the order of the rows changes no digit.
        result[column] = round(math.fsum(values) / len(values), digits) if values else None
    return result


def _at_size(pixels: Image, size: tuple[int, int] | None) -> _AtSize:
    """Resize as models do: bilinear, widened where it shrinks so that nothing aliases."""
    if size is not None:
        height, width = size
        picture = PillowImage.fromarray(pixels)
        pixels = np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR))
    return _AtSize(pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32))


def _psnr_db(clean: _AtSize, worse: _AtSize) -> float | None:
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(clean.pixels, worse.pixels):
        return None
    value = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
        clean.pixels, worse.pixels, data_range=_RANGE
    )
    return round(float(value), 2)


def _ssim(clean: _AtSize, worse: _AtSize) -> float | None:
    from skimage.metrics import structural_similarity

    if min(clean.luma.shape) < _WINDOW:
        return None
    value = structural_similarity(  # type: ignore[no-untyped-call]
        clean.luma, worse.luma, win_size=_WINDOW, data_range=_RANGE
    )
    return round(float(value), 4)
