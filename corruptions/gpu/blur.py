"""Blurs of lens, glass and movement, value for value those of `corruptions.blur`."""

import torch
from torch import Tensor

from corruptions.blur import MOTION_BLUR_MAX_DEGREES
from corruptions.disks import soft_disk
from corruptions.dragging import line
from corruptions.draws import whole
from corruptions.gpu.chance import draw_keys
from corruptions.gpu.disks import average_over_disk
from corruptions.gpu.glass import shuffle_pixels, soften
from corruptions.gpu.noise import Rngs
from corruptions.gpu.sampling import Taps
from corruptions.gpu.zooming import average_of_zooms


def defocus_blur(images: Tensor, _rngs: Rngs, *, radius: int, alias_sigma: float) -> Tensor:
    """Average over a disk: `corruptions.blur.defocus_blur` of every picture.

    Moves tables of 8 bytes a row and a column, once a size.

    Args:
        images: (B, 3, H, W), uint8.
        radius: of the disk, in pixels.
        alias_sigma: softens the disk's edge, in pixels.
    """
    return average_over_disk(images, soft_disk(radius, alias_sigma))


def glass_blur(
    images: Tensor, rngs: Rngs, *, sigma: float, max_shift: int, iterations: int
) -> Tensor:
    """Blur, let pixels travel, and blur again: `corruptions.blur.glass_blur` of every picture.

    Moves a key a picture and iteration to the device.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        sigma: of both Gaussian blurs, in pixels.
        max_shift: how far a pixel travels, in pixels.
        iterations: how often all pixels travel.
    """
    max_shift = whole("max_shift", max_shift, 1, 100)
    iterations = whole("iterations", iterations, 0, 1000)
    shuffled = soften(images, sigma)
    for _ in range(iterations):
        shuffled = shuffle_pixels(shuffled, draw_keys(rngs, images.device), max_shift)
    return soften(shuffled, sigma)


def motion_blur(images: Tensor, rngs: Rngs, *, radius: int, sigma: float) -> Tensor:
    """Drag every picture along a line of its own: `corruptions.blur.motion_blur`.

    Angles are drawn on the host, which moves 20 bytes a sample of each line: up to 800 a picture.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
    """
    reach = MOTION_BLUR_MAX_DEGREES
    lines = [line(radius, sigma, rng.uniform(-reach, reach)) for rng in rngs]
    taps = Taps(lines, images.device)
    # A picture's bytes are whole numbers, so that rounding down the change rounds down the sum.
    return (images + taps.changes(images).floor_()).to(torch.uint8)


def zoom_blur(images: Tensor, _rngs: Rngs, *, layers: int, step: float) -> Tensor:
    """Average every picture with versions that are ever closer: `corruptions.blur.zoom_blur`.

    Moves tables of 12 bytes a row and a column for each layer, once a size.

    Args:
        images: (B, 3, H, W), uint8.
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.
    """
    return average_of_zooms(images, layers, step)
