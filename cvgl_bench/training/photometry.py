"""Changes of colour and sharpness and holes, from parameters a picture: pure, batch-wise."""

import math

import torch
from torch import Tensor

# ITU-R BT.601: what red, green and blue count in a picture's brightness.
LUMA = torch.tensor([0.299, 0.587, 0.114])
MOST_HOLES = 25


def recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, mixing: Tensor) -> Tensor:
    """Multiply colours, then spread them about the picture's mean grey, then mix the channels.

    Args:
        images: in 0..1, (B, 3, H, W).
        brightness: factors, (B,).
        contrast: factors, (B,).
        mixing: what each new channel takes of each old one, (B, 3, 3).

    Returns:
        The like, clamped to 0..1.
    """
    brightness, contrast, mixing = (each.to(images) for each in (brightness, contrast, mixing))
    grey = images.mean(dim=(2, 3)) @ LUMA.to(images)
    matrix = (brightness * contrast)[:, None, None] * mixing
    offset = ((1 - contrast) * brightness * grey)[:, None] * mixing.sum(dim=2)
    mixed = torch.baddbmm(offset[:, :, None], matrix, images.flatten(2))
    return mixed.clamp_(0, 1).view_as(images)


def saturation_mixing(factors: Tensor) -> Tensor:
    """Matrices, (B, 3, 3), that stretch colours away from their grey by factors, (B,)."""
    factors = factors[:, None, None]
    return factors * torch.eye(3).to(factors) + (1 - factors) * LUMA.to(factors).expand(3, 3)


def hue_mixing(turns: Tensor) -> Tensor:
    """Matrices, (B, 3, 3), that turn colours about the grey axis; 1/3 turns red into green."""
    # A turn about (1, 1, 1) is circulant: each row is the one above, moved on by one.
    thirds = torch.arange(3).to(turns) / 3
    row = (1 + 2 * torch.cos(2 * math.pi * (turns[:, None] + thirds))) / 3
    return torch.stack([row.roll(places, dims=1) for places in range(3)], dim=1)


def blurring(deviations: Tensor, angles: Tensor) -> Tensor:
    """Gaussian kernels, (B, 7, 7).

    Args:
        deviations: in pixels, along and across the angle, (B, 2).
        angles: from the row's direction towards the column's, in radians, (B,).
    """
    span = torch.arange(-3, 4).to(deviations)
    rows, columns = span[:, None], span[None, :]
    cosine, sine = (each[:, None, None] for each in (angles.cos(), angles.sin()))
    along = (columns * cosine + rows * sine) / deviations[:, 0, None, None]
    across = (rows * cosine - columns * sine) / deviations[:, 1, None, None]
    weights = torch.exp(-(along**2 + across**2) / 2)
    return weights / weights.sum(dim=(1, 2), keepdim=True)


def sharpening(shares: Tensor, lightness: Tensor) -> Tensor:
    """Kernels, (B, 7, 7), that take away the eight neighbours.

    Args:
        shares: how much of each neighbour, (B,).
        lightness: the sharpened share's brightness, 1 keeping it, (B,).
    """
    kernels = torch.zeros(len(shares), 7, 7).to(shares)
    kernels[:, 2:5, 2:5] = -shares[:, None, None]
    kernels[:, 3, 3] = 1 - shares + shares * (8 + lightness)
    return kernels


def grid_of_holes(chances: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which rows, (B, 1, H), and which columns, (B, 1, W), meet in holes.

    Holes lie a tenth of the width apart, in both directions; a side is 0.4 to 0.5 of that.

    Args:
        chances: in [0, 1), (B, 3).
        height: of the pictures.
        width: of the pictures.
    """
    pitch = max(2, width // 10)
    sides = ((0.4 + 0.1 * chances[:, :1]) * pitch).round().clamp(min=1)
    starts = (chances[:, 1:] * pitch).long()
    rows = (torch.arange(height) + starts[:, :1]) % pitch < sides
    columns = (torch.arange(width) + starts[:, 1:]) % pitch < sides
    return rows[:, None], columns[:, None]


def scattered_holes(chances: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which rows, (B, 25, H), and columns, (B, 25, W), holes have: 10 to 25, the rest have no row.

    Their sides are a tenth to a fifth of the height.

    Args:
        chances: in [0, 1), (B, 101).
        height: of the pictures.
        width: of the pictures.
    """
    places, sides = chances[:, 1:].reshape(-1, 2, MOST_HOLES, 2).unbind(1)
    lengths = ((0.1 + 0.1 * sides) * height).long().clamp(1, min(height, width))
    starts = (places * (torch.tensor([height, width]) - lengths + 1)).long()
    steps = torch.arange(max(height, width))
    covers = (steps >= starts[..., None]) & (steps < (starts + lengths)[..., None])
    exists = torch.arange(MOST_HOLES) < 10 + (16 * chances[:, :1]).long()
    return covers[:, :, 0, :height] & exists[..., None], covers[:, :, 1, :width]


def holed(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Blacken holes.

    Args:
        images: (B, 3, H, W).
        rows: 1 where a hole has a row, else 0, (B, K, H).
        columns: likewise, (B, K, W).
    """
    return images.masked_fill(torch.bmm(rows.transpose(1, 2), columns)[:, None] > 0, 0)
