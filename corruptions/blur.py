"""Blurs of lens, glass and movement."""

import numpy as np

from corruptions.chance import draw_key
from corruptions.disks import average_over_disk, soft_disk
from corruptions.dragging import drag_picture, line
from corruptions.draws import number, whole
from corruptions.glass import shuffle_pixels, soften
from corruptions.pixels import Image
from corruptions.zooming import average_of_zooms

MOTION_BLUR_MAX_DEGREES = 45.0


def defocus_blur(
    image: Image, _rng: np.random.Generator, *, radius: int, alias_sigma: float
) -> Image:
    """Average over a disk, as a lens out of focus does.

    floor(255 clip(K * x / 255)), K the disk |p| <= radius, normalized, then softened by a Gaussian
    of 3 x 3 (radius <= 8) or 5 x 5 pixels inside a window of max(8, radius); x reflects at the
    edges.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        radius: of the disk, in pixels.
        alias_sigma: softens the disk's edge, in pixels.

    Raises:
        ValueError: the radius is not 1 to 12, or sigma not 0.01 to 100.
    """
    return average_over_disk(image, soft_disk(radius, alias_sigma))


def glass_blur(
    image: Image, rng: np.random.Generator, *, sigma: float, max_shift: int, iterations: int
) -> Image:
    """Blur, let pixels travel to their neighbours, and blur again, as frosted glass does.

    x <- floor(G * x); `iterations` times, from the last pixel to the first,
    x[p] <- x[p + d], d uniform in -max_shift..max_shift - 1 on both axes; floor(G * x).
    The pixels travel everywhere but in a frame of max_shift + 1 at the top and left and of
    max_shift - 1 at the bottom and right.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        sigma: of both Gaussian blurs G, in pixels.
        max_shift: how far a pixel travels, in pixels.
        iterations: how often all pixels travel.

    Raises:
        ValueError: sigma is not 0.01 to 1000, max_shift not 1 to 100, or iterations not 0 to 1000.
    """
    max_shift = whole("max_shift", max_shift, 1, 100)
    iterations = whole("iterations", iterations, 0, 1000)
    keys = [draw_key(rng) for _ in range(iterations)]
    return soften(shuffle_pixels(soften(image, sigma), keys, max_shift), sigma)


def motion_blur(
    image: Image,
    rng: np.random.Generator,
    *,
    radius: int,
    sigma: float,
    angle_degrees: float | None = None,
) -> Image:
    """Drag the picture along a line at -45..45 degrees, as a moving camera does.

    floor(sum over i = 0..2 radius of w_i x[p + d_i]), w_i proportional to exp(-i^2 / (2 sigma^2)),
    d_i = ceil(i (sin a, cos a) - 0.5) rows and columns; edge pixels repeat, also for pictures
    smaller than the line, where imagecorruptions drops samples and darkens.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261; OpenCV variant of imagecorruptions.

    Args:
        image: RGB, (H, W, 3).
        rng: draws the angle.
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
        angle_degrees: of the line, 0 to the right and 90 downwards; drawn if None.

    Raises:
        ValueError: the angle is no number from -360 to 360.
    """
    if angle_degrees is None:
        angle_degrees = rng.uniform(-MOTION_BLUR_MAX_DEGREES, MOTION_BLUR_MAX_DEGREES)
    degrees = number("angle_degrees", angle_degrees, -360, 360)
    return drag_picture(image, line(radius, sigma, degrees))


def zoom_blur(image: Image, _rng: np.random.Generator, *, layers: int, step: float) -> Image:
    """Average the picture with versions of it that are ever closer, as in driving towards it.

    floor((x + sum over z = 1, 1 + step, ... of zoom(x, z)) / (layers + 1)). Each closer version is
    the enlarged middle, cut at the right and bottom to the old size, as in ImageNet-C: it zooms
    towards a point within about a pixel of the centre, on both axes by itself.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.
    """
    return average_of_zooms(image, layers, step)
