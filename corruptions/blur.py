"""Blurs of lens, glass and movement."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from corruptions.pixels import Floats, Image, gaussian, to_bytes, to_unit

_MOTION_BLUR_MAX_DEGREES = 45
_ROWS_AT_ONCE = 8  # that many rows of a panorama stay in the processor's cache


def defocus_blur(
    image: Image, _rng: np.random.Generator, *, radius: int, alias_sigma: float
) -> Image:
    """Average over a disk, as a lens out of focus does.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        radius: of the disk, in pixels.
        alias_sigma: softens the disk's edge, in pixels.
    """
    blurred = cv2.filter2D(to_unit(image), -1, disk_kernel(radius, alias_sigma))
    return to_bytes(np.asarray(blurred, dtype=np.float64))


def disk_kernel(radius: int, alias_sigma: float) -> NDArray[np.float32]:
    """Weights of a disk with a softened edge, (2 reach + 1, 2 reach + 1), reach 8 or more.

    They are deliberately not normalized after softening: at radius 8 and 10 the disk touches the
    window, the softening reflects there, and the sum is 1.013 and 1.011. ImageNet-C, and so every
    published number, brightens the picture by that much.
    """
    reach = max(8, radius)
    softening_size = 3 if radius <= 8 else 5
    offsets = np.arange(-reach, reach + 1)
    inside = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
    disk = inside.astype(np.float32) / np.float32(inside.sum())
    kernel = cv2.GaussianBlur(disk, (softening_size, softening_size), sigmaX=alias_sigma)
    return np.asarray(kernel, dtype=np.float32)


def glass_blur(
    image: Image, rng: np.random.Generator, *, sigma: float, max_shift: int, iterations: int
) -> Image:
    """Blur, let pixels travel to their neighbours, and blur again, as frosted glass does.

    The pixels travel everywhere but in a frame of `max_shift`; the released CVUSA-C and CVACT_val-C
    let them travel in the top left 224 x 224 pixels only.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        sigma: of both Gaussian blurs, in pixels.
        max_shift: how far a pixel travels, in pixels.
        iterations: how often all pixels travel.
    """
    blurred = to_bytes(gaussian(to_unit(image), sigma))
    for _ in range(iterations):
        shape = (image.shape[0] - 2 * max_shift, image.shape[1] - 2 * max_shift)
        row_shifts = rng.integers(-max_shift, max_shift, shape, dtype=np.int8)
        column_shifts = rng.integers(-max_shift, max_shift, shape, dtype=np.int8)
        blurred = shuffle_pixels(blurred, row_shifts, column_shifts, max_shift=max_shift)
    return to_bytes(gaussian(to_unit(blurred), sigma))


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


def motion_blur(image: Image, rng: np.random.Generator, *, radius: int, sigma: float) -> Image:
    """Drag the picture along a line at -45..45 degrees, as a moving camera does.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261; OpenCV variant of imagecorruptions.

    Args:
        image: RGB, (H, W, 3).
        rng: draws the angle.
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
    """
    angle_degrees = rng.uniform(-_MOTION_BLUR_MAX_DEGREES, _MOTION_BLUR_MAX_DEGREES)
    dragged = drag(image, radius=radius, sigma=sigma, angle_degrees=angle_degrees)
    # The slack keeps a white sky white whichever way the last bit of the weights' sum falls.
    return np.clip(dragged + 1e-9, 0, 255).astype(np.uint8)


def drag(values: NDArray[np.generic], *, radius: int, sigma: float, angle_degrees: float) -> Floats:
    """Average of samples from every pixel along a line, in the units of the values.

    The weights are half a Gaussian, so that the drag has a direction. Edge pixels repeat beyond the
    edge, for any size; imagecorruptions drops samples once the line is longer than the picture,
    which darkens pictures of fewer than 2 radius + 1 pixels.

    Args:
        values: (H, W) or (H, W, C).
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
        angle_degrees: direction of the line, 0 to the right and 90 downwards.
    """
    distances = np.arange(2 * radius + 1)
    # math.exp and not numpy's, whose last bit depends on its version and on the processor
    weights = np.array([math.exp(-(distance**2) / (2 * sigma**2)) for distance in distances])
    weights /= math.fsum(weights)
    angle = math.radians(angle_degrees)
    rows = np.ceil(distances * math.sin(angle) - 0.5).astype(int)
    columns = np.ceil(distances * math.cos(angle) - 0.5).astype(int)
    top, left = -int(rows.min()), -int(columns.min())
    frame = [(top, int(rows.max())), (left, int(columns.max()))] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, frame, mode="edge").astype(np.float64)

    height, width = values.shape[:2]
    dragged = np.zeros(values.shape)
    for first in range(0, height, _ROWS_AT_ONCE):
        band = dragged[first : first + _ROWS_AT_ONCE]
        for weight, row, column in zip(weights, rows + top + first, columns + left, strict=True):
            band += weight * padded[row : row + len(band), column : column + width]
    return dragged


def zoom_blur(image: Image, _rng: np.random.Generator, *, layers: int, step: float) -> Image:
    """Average the picture with versions of it that are ever closer, as in driving towards it.

    Each closer version is the enlarged middle, cut at the right and bottom to the old size, as in
    ImageNet-C: it zooms towards a point within about a pixel of the centre, on both axes by itself.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.
    """
    height, width = image.shape[:2]
    unit = to_unit(image).astype(np.float32)
    total = unit * 2  # the picture is counted once for itself and once as the zoom by 1
    columns_first = unit.transpose(1, 0, 2).reshape(width, -1).astype(np.float64)
    # arange and not 1 + layer * step: zoom_matrix rounds up, where the last bit can add a pixel
    for zoom in np.arange(1, 1 + (layers - 0.5) * step, step)[1:]:
        across = zoom_matrix(width, zoom)[:width] @ columns_first
        across = cv2.transpose(across.reshape(width, height, 3)).reshape(height, -1)
        zoomed = zoom_matrix(height, zoom)[:height] @ across
        total += zoomed.reshape(image.shape).astype(np.float32)
    return to_bytes(total / np.float32(layers + 1))


def zoom_matrix(size: int, zoom: float) -> sparse.csr_array:
    """Weights that enlarge the middle of a line of pixels to at least its old length.

    The middle `ceil(size / zoom)` pixels are stretched linearly, first onto first and last onto
    last.

    Args:
        size: length of the line, in pixels.
        zoom: 1 or more.

    Returns:
        (M, size), M >= size; every row sums to 1.
    """
    kept = math.ceil(size / zoom)
    first = (size - kept) // 2
    length = round(kept * zoom)
    position = np.arange(length) * ((kept - 1) / (length - 1))
    before = np.minimum(position.astype(np.int64), kept - 2)
    share = position - before
    weights = np.stack([1 - share, share], axis=1)
    columns = first + np.stack([before, before + 1], axis=1)
    starts = np.arange(0, 2 * length + 1, 2)
    return sparse.csr_array((weights.ravel(), columns.ravel(), starts), shape=(length, size))
