"""Lines of pixels stretched and dragged, as the published profile needs them: to the last bit."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corruptions.dragging import line
from corruptions.pixels import Floats, Image, row_bands, to_unit

SIXTEEN_BITS = 257  # 65535 / 255, by which ImageMagick enlarges bytes


@dataclass(frozen=True, eq=False)
class Stretch:
    """A line of pixels whose middle is enlarged to at least its old length.

    The middle `ceil(size / zoom)` pixels are stretched linearly, first onto first and last onto
    last, to `round(kept * zoom)` pixels; of these the first `size` are kept. Where rounding puts
    the last of them behind the end of the line, by a fraction of 1e-15, it is black: SciPy's zoom,
    which ImageNet-C calls, takes it for outside. It depends on size and zoom alone.

    Attributes:
        before: index of the pixel at or before each of the new ones, (size,).
        after: index of the one behind.
        before_share: weight of the pixel before.
        after_share: weight of the pixel behind.
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    before_share: Floats
    after_share: Floats

    @staticmethod
    @lru_cache(maxsize=64)  # the lines of two sizes at two severities
    def of(size: int, zoom: float, channels: int = 1) -> "Stretch":
        """Enlarge a line.

        Args:
            size: length of the line, in pixels.
            zoom: 1 or more.
            channels: values a pixel that lie side by side; with more than one, indices and weights
                are given for every value, (size * channels,).
        """
        kept = math.ceil(size / zoom)
        first = (size - kept) // 2
        length = round(kept * zoom)
        position = np.arange(length)[:size] * ((kept - 1) / (length - 1))
        before = np.minimum(position.astype(np.intp), kept - 2)
        nearness = np.repeat(1 - (position - before), channels)
        farness = 1 - nearness  # not position - before, whose last bit differs
        inside = np.repeat(position <= kept - 1, channels)
        values = (first + before)[:, None] * channels + np.arange(channels)
        return Stretch(
            values.ravel(), values.ravel() + channels, nearness * inside, farness * inside
        )


def closer(flat: Image, rows: slice, down: Stretch, across: Stretch) -> NDArray[np.float32]:
    """Some rows of a picture that both stretches enlarge, brightness 0..1.

    Args:
        flat: the picture, (H, values a row).
        rows: which rows of the enlarged picture.
        down: for the columns of the picture.
        across: for its rows, one index a value.
    """
    unit = to_unit(flat[down.before[rows.start] : down.after[rows.stop - 1] + 1])
    layer: NDArray[np.float32] = _stretched(
        unit.astype(np.float32).astype(np.float64), rows, down, across
    ).astype(np.float32)
    return layer


def stretch_plane(plane: Floats, zoom: float) -> Floats:
    """The enlarged middle of a plane, cut at the right and bottom to the old size, (H, W)."""
    height, width = plane.shape
    down, across = Stretch.of(height, zoom), Stretch.of(width, zoom)
    enlarged = np.empty_like(plane)
    for rows in row_bands(height, width):
        part = plane[down.before[rows.start] : down.after[rows.stop - 1] + 1]
        enlarged[rows] = _stretched(part, rows, down, across)
    return enlarged


def _stretched(part: Floats, rows: slice, down: Stretch, across: Stretch) -> Floats:
    """Some rows of an enlarged plane, from the part of it that they need.

    Each value is the sum of its four neighbours' products in the order in which SciPy's zoom takes
    them, so that the last bit is SciPy's.
    """
    first = down.before[rows.start]
    total: Floats = np.zeros((rows.stop - rows.start, across.before.size))
    for near, near_share in ((down.before, down.before_share), (down.after, down.after_share)):
        tall = part.take(near[rows] - first, axis=0)
        tall *= near_share[rows, None]
        for beside, beside_share in (
            (across.before, across.before_share),
            (across.after, across.after_share),
        ):
            product = tall.take(beside, axis=1)
            product *= beside_share
            total += product
    return total


def drag(image: Image, *, radius: int, sigma: float, angle_degrees: float) -> Image:
    """Average of samples from every pixel along a line, by ImageMagick at 16 bits a channel.

    Sample i is weighted by exp(-i^2 / (2 sigma^2)), over the sum of all, so that the drag has a
    direction. It comes from ceil(i sin a - 0.5) rows below and ceil(i cos a - 0.5) columns to the
    right, a being the angle; edge pixels repeat beyond the edge. The sum is rounded to 16 bits, and
    those are rounded down to 8.

    Args:
        image: (H, W) or (H, W, C).
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
        angle_degrees: direction of the line, 0 to the right and 90 downwards.
    """
    rows, columns, weights = line(radius, sigma, angle_degrees)
    above, before = -int(rows.min()), -int(columns.min())
    frame = [(above, int(rows.max())), (before, int(columns.max()))] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, frame, mode="edge")

    height, width = image.shape[:2]
    dragged = np.empty_like(image, order="C")
    reach = int(rows.max()) + above
    for band in row_bands(height, image[0].size):
        source = padded[band.start : band.stop + reach].astype(np.float64)
        sums = np.zeros((band.stop - band.start, *image.shape[1:]))
        for weight, row, column in zip(weights, rows + above, columns + before, strict=True):
            sums += weight * source[row : row + len(sums), column : column + width]
        sixteen = np.floor(sums * SIXTEEN_BITS + 0.5)
        dragged[band] = (sixteen / SIXTEEN_BITS).astype(np.uint8)
    return dragged
