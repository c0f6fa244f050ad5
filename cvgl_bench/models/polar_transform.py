"""Overhead tiles unrolled around their centre, so that their columns are headings."""

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate


def polar_grid(height: int, width: int) -> Tensor:
    """Return where each pixel of the unrolled tile lies in the tile, (height, width, 2).

    With row i and column j counted from 0 and taken at the pixels' centres,

        heading  = 2 pi ((j + 1/2) / width - 1/2)      0 is north, clockwise, -pi to pi
        distance = 1 - (i + 1/2) / height              1 is the tile's inscribed circle
        x, y     = distance sin(heading), -distance cos(heading)

    in the tile's own coordinates: -1 to 1, x to the east, y to the south.

    Source: Shi et al. 2019, "Spatial-Aware Feature Aggregation for Image based Cross-View
        Geo-Localization", NeurIPS: the same circle, headings and distances evenly spaced. North
        is put in the centre column, where CVUSA's panoramas have it.
    """
    heading = 2 * math.pi * ((torch.arange(width) + 0.5) / width - 0.5)
    distance = 1 - (torch.arange(height)[:, None] + 0.5) / height
    return torch.stack([distance * heading.sin(), -distance * heading.cos()], dim=-1)


def polar_transform(tiles: Tensor, height: int, width: int) -> Tensor:
    """Unroll north-up tiles, (B, 3, S, S), into (B, 3, height, width).

    North comes into the centre column, east to the right of it, what is far to the top row and
    what is near to the bottom one: the layout of a panorama whose centre looks north. The tiles
    are first shrunk (or enlarged) to 2 `height` pixels a side, one pixel a row, so that the rows
    leave none of the tile unread.
    """
    tiles = interpolate(tiles, (2 * height, 2 * height), mode="bilinear", antialias=True)
    grid = polar_grid(height, width).to(tiles).expand(len(tiles), -1, -1, -1)
    return grid_sample(tiles, grid, mode="bilinear", padding_mode="border", align_corners=False)
