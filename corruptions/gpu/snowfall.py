"""Flakes of snow, cut and dragged as in `corruptions.snowfall`, and added to whitened pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from corruptions.dragging import line
from corruptions.gpu.sampling import Taps
from corruptions.gpu.tables import look_up, precise, to_bytes, units
from corruptions.gpu.zooming import across, down, enlarged

# Shares of red, green and blue in OpenCV's grey.
_RED, _GREEN, _BLUE = (float(np.float32(share)) for share in (0.299, 0.587, 0.114))


def falling_flakes(
    noise: Tensor,
    height: int,
    width: int,
    *,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    angles: Sequence[float],
) -> Tensor:
    """How bright the flakes are, (B, height, width), uint8.

    Args:
        noise: of `corruptions.snowfall.noise_shape`, (B, h, w), 0..1.
        height: of the pictures.
        width: of the pictures.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        angles: of the falls in degrees, one a picture.
    """
    device = noise.device
    rows, columns = (enlarged(size, zoom, None, device) for size in (height, width))
    rows, columns = (axis._replace(pixel=axis.pixel - axis.pixel[0]) for axis in (rows, columns))
    flakes = across(down(noise, rows), columns)
    flakes = torch.where(flakes < float(np.float32(threshold)), 0, flakes.clamp(max=1))
    taps = Taps([line(radius, sigma, angle) for angle in angles], device)
    dragged = taps.changes(flakes[:, None])[:, 0].add_(flakes).mul_(255).round_()
    return dragged[:, :height, :width].to(torch.uint8)


def add_flakes(images: Tensor, flakes: Tensor, image_weight: float) -> Tensor:
    """Whiten pictures and add the flakes twice, the second time turned by 180 degrees.

    In float32 and then doubles, as the CPU function, because a grey pixel often gives a whole
    number.

    Args:
        images: (B, 3, H, W), uint8.
        flakes: of `falling_flakes`.
        image_weight: share of the picture as it was.
    """
    unit = look_up(units(images.device), images)
    pale = (_grey(unit).mul_(1.5).add_(0.5))[:, None]
    own, white = (float(np.float32(share)) for share in (image_weight, 1 - image_weight))
    picture = (unit * own).add_(torch.maximum(unit, pale).mul_(white))
    snowy = to_bytes(picture.to(precise(images.device)).mul_(255))
    light = flakes.to(torch.int16)
    light = (light + light.flip((1, 2)))[:, None]
    return to_bytes(light + snowy)


def _grey(unit: Tensor) -> Tensor:
    """OpenCV's grey of (B, 3, H, W), on processors that multiply and add in one rounding."""
    real = precise(unit.device)
    red, green, blue = unit.to(real).unbind(1)
    grey = (green * _GREEN).to(torch.float32)
    grey = (red * _RED).add_(grey).to(torch.float32)
    return (blue * _BLUE).add_(grey).to(torch.float32)
