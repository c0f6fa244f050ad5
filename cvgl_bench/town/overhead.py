"""What the aerial camera hits: rays straight down, heights instead of distances."""

import math

import numpy as np

from cvgl_bench.town.casting import Pair, raggedness
from cvgl_bench.town.rays import (
    CROWN,
    GROUND,
    RAGGED_DEPTH,
    SOLID,
    Hits,
    Things,
    compiled,
    is_open,
    roof_above,
    solid_top,
)


@compiled
def window_below(
    thing: np.void, reach: float, corner: Pair, size: tuple[int, int], step: float
) -> tuple[int, int, int, int]:
    """Rows and columns of an aerial picture that a thing can cover, last ones excluded."""
    across, down = thing["east"] - corner[0], corner[1] - thing["north"]
    return (
        max(0, math.floor((down - reach) / step)),
        min(size[0], math.ceil((down + reach) / step)),
        max(0, math.floor((across - reach) / step)),
        min(size[1], math.ceil((across + reach) / step)),
    )


@compiled
def lay_solid(solid: np.void, index: int, corner: Pair, step: float, hits: Hits) -> None:
    """Put a solid into an aerial picture wherever it is higher than what is there."""
    height, surface, thing, face = hits
    top, cosine, sine = solid_top(solid), solid["cosine"], solid["sine"]
    reach = math.hypot(solid["half_length"], solid["half_width"])
    window = window_below(solid, reach, corner, height.shape, step)
    for row in range(window[0], window[1]):
        north = corner[1] - (row + 0.5) * step - solid["north"]
        for c in range(window[2], window[3]):
            if height[row, c] >= top:
                continue
            east = corner[0] + (c + 0.5) * step - solid["east"]
            up, side = roof_above(solid, east * cosine + north * sine, north * cosine - east * sine)
            if up > height[row, c]:
                height[row, c], surface[row, c] = up, SOLID
                thing[row, c], face[row, c] = index, side


@compiled
def lay_crown(crown: np.void, index: int, corner: Pair, step: float, hits: Hits) -> None:
    """Put a crown into an aerial picture wherever it is higher than what is there."""
    height, surface, thing, _ = hits
    wide, tall = crown["radius"], crown["half_height"]
    window = window_below(crown, wide, corner, height.shape, step)
    ragged = raggedness(step, 1.0)
    for row in range(window[0], window[1]):
        y = corner[1] - (row + 0.5) * step
        for c in range(window[2], window[3]):
            x = corner[0] + (c + 0.5) * step
            east, north = (x - crown["east"]) / wide, (y - crown["north"]) / wide
            depth = 1.0 - east * east - north * north
            if depth <= 0.0:
                continue
            up = crown["up"] + tall * math.sqrt(depth)
            if up <= height[row, c]:
                continue
            if depth < RAGGED_DEPTH and is_open((x, y, up), depth, ragged):
                continue
            height[row, c], surface[row, c], thing[row, c] = up, CROWN, index


@compiled
def cast_down(
    things: tuple[Things, Things], corner: Pair, size: tuple[int, int], step: float
) -> Hits:
    """First hits of rays from straight above: heights in metres, 0 for the ground.

    Args:
        things: solids and crowns.
        corner: metres east and north of the picture's upper left corner.
        size: rows and columns.
        step: metres a pixel.
    """
    hits = (
        np.zeros(size, np.float32),
        np.full(size, GROUND, np.uint8),
        np.full(size, -1, np.int32),
        np.zeros(size, np.uint8),
    )
    for index in range(len(things[0])):
        lay_solid(things[0][index], index, corner, step, hits)
    for index in range(len(things[1])):
        lay_crown(things[1][index], index, corner, step, hits)
    return hits
