"""Rays against the things of a town: one set of intersections under both cameras.

Everything that stands is a convex solid (walls and up to four roof planes) or an ellipsoid of
leaves. The street camera sends rays all around itself, the aerial camera straight down.
"""

import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Things = NDArray[np.void]
Vector = tuple[float, float, float]
# Distance or height, surface, row of the thing in its table (-1: none) and face of a solid.
Hits = tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]

SKY, GROUND, SOLID, CROWN = 0, 1, 2, 3
FIRST_ROOF_FACE = 4
CEILING_METRES = 1000.0
DOWN = (0.0, 0.0, -1.0)

SOLID_FIELDS = np.dtype(
    [
        ("east", "f8"),
        ("north", "f8"),
        ("cosine", "f8"),  # of the length axis, counted from east to north
        ("sine", "f8"),
        ("half_length", "f8"),
        ("half_width", "f8"),
        ("eave", "f8"),
        (
            "end_pitch",
            "f8",
        ),  # rise over run of the planes at both ends; negative: a gable, no plane
        ("side_pitch", "f8"),
        ("bay", "f8"),  # metres of wall a window; 0: no windows
        ("glazing", "f8"),  # share of a bay that is glass
        ("leafy", "f8"),  # 1: a hedge, which changes with the season
        ("wall", "f8", (3,)),
        ("roof", "f8", (3,)),
    ]
)
CROWN_FIELDS = np.dtype(
    [
        ("east", "f8"),
        ("north", "f8"),
        ("up", "f8"),
        ("radius", "f8"),
        ("half_height", "f8"),
        ("colour", "f8", (3,)),
    ]
)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function with numba; its types stay as written.

    Args:
        function: plain loops over numbers and arrays.
    """
    return cast("Callable[P, R]", njit(function))


@compiled
def grain(x: float, y: float, z: float) -> float:
    """A fixed pseudo-random number in 0..1 for the unit cell that a point lies in."""
    mixed = math.floor(x) * 374761393 + math.floor(y) * 668265263 + math.floor(z) * 362437
    mixed &= 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65536.0


@compiled
def solid_top(solid: np.void) -> float:
    """Height of a solid's highest point in metres."""
    rise = solid["side_pitch"] * solid["half_width"]
    if solid["end_pitch"] >= 0.0:
        rise = min(rise, solid["end_pitch"] * solid["half_length"])
    return float(solid["eave"] + rise)


@compiled
def enter_solid(solid: np.void, origin: Vector, ray: Vector) -> tuple[float, int]:
    """Where a ray enters a solid, as a multiple of the ray, and through which face.

    Faces 0 to 3 are the walls at +length, -length, +width, -width; 4 to 7 the roof planes above
    them. Infinity and -1 where it misses.

    Source: Kay and Kajiya 1986, Ray Tracing Complex Scenes (slabs).
    """
    east, north = origin[0] - solid["east"], origin[1] - solid["north"]
    cosine, sine = solid["cosine"], solid["sine"]
    along, across = east * cosine + north * sine, north * cosine - east * sine
    along_rate, across_rate = ray[0] * cosine + ray[1] * sine, ray[1] * cosine - ray[0] * sine
    near, far, face = 0.0, math.inf, -1
    for plane in range(8):
        lengthwise = plane % 4 < 2
        half = solid["half_length"] if lengthwise else solid["half_width"]
        sign = 1.0 if plane % 2 == 0 else -1.0
        room = half - sign * (along if lengthwise else across)
        closing = sign * (along_rate if lengthwise else across_rate)
        if plane >= FIRST_ROOF_FACE:
            pitch = solid["end_pitch"] if lengthwise else solid["side_pitch"]
            if pitch < 0.0:
                continue
            room, closing = solid["eave"] + pitch * room - origin[2], ray[2] + pitch * closing
        if closing < 0.0:
            if room / closing > near:
                near, face = room / closing, plane
        elif closing > 0.0:
            far = min(far, room / closing)
        elif room < 0.0:
            return math.inf, -1
        if near >= far:
            return math.inf, -1
    return (near, face) if face >= 0 else (math.inf, -1)


@compiled
def enter_crown(crown: np.void, origin: Vector, ray: Vector) -> float:
    """Where a ray enters an ellipsoid of leaves; infinity where it misses or slips through.

    Near the silhouette some cells of the surface are open, so that the outline is not smooth.
    """
    wide, tall = crown["radius"], crown["half_height"]
    ex, ey = (origin[0] - crown["east"]) / wide, (origin[1] - crown["north"]) / wide
    ez = (origin[2] - crown["up"]) / tall
    fx, fy, fz = ray[0] / wide, ray[1] / wide, ray[2] / tall
    a = fx * fx + fy * fy + fz * fz
    b = ex * fx + ey * fy + ez * fz
    inside = b * b - a * (ex * ex + ey * ey + ez * ez - 1.0)
    if inside <= 0.0:
        return math.inf
    near = float((-b - math.sqrt(inside)) / a)
    if near <= 0.0:
        return math.inf
    if inside < 0.4 * a:
        x, y, z = origin[0] + near * ray[0], origin[1] + near * ray[1], origin[2] + near * ray[2]
        if grain(5.0 * x, 5.0 * y, 5.0 * z) > inside / (0.4 * a):
            return math.inf
    return near


@compiled
def window_around(
    offset: Vector, radius: float, height: float, size: tuple[int, int], edges: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Rows and columns of a panorama that a thing can cover, last ones excluded.

    Args:
        offset: metres east, north and up from the camera to the thing's lowest point.
        radius: of the thing, in metres.
        height: of the thing, in metres.
        size: rows and columns; column numbers may leave the picture and then wrap.
        edges: elevation of the lower and the upper edge in radians.
    """
    rows, columns = size
    distance = math.hypot(offset[0], offset[1])
    if distance <= radius * 1.001:
        return 0, rows, 0, columns
    near, far = distance - radius, distance + radius
    top = offset[2] + height
    upper = math.atan2(top, near if top > 0.0 else far)
    lower = math.atan2(offset[2], near if offset[2] < 0.0 else far)
    half, centre = math.asin(radius / distance), math.atan2(offset[0], offset[1]) + math.pi
    per_row, per_column = rows / (edges[1] - edges[0]), columns / (2.0 * math.pi)
    first = math.floor((centre - half) * per_column - 0.5)
    return (
        max(0, math.floor((edges[1] - upper) * per_row - 0.5)),
        min(rows, math.ceil((edges[1] - lower) * per_row + 0.5)),
        first,
        min(first + columns, math.ceil((centre + half) * per_column + 0.5)),
    )


@compiled
def cast_around(
    things: tuple[Things, Things], camera: Vector, size: tuple[int, int], edges: tuple[float, float]
) -> Hits:
    """First hits of a panorama's rays; distances are metres on the ground, infinite for the sky.

    North is the centre column and east lies to its right.

    Args:
        things: solids and crowns.
        camera: metres east, north and up.
        size: rows and columns.
        edges: elevation of the lower and the upper edge in radians.
    """
    rows, columns = size
    x, y, z = camera
    azimuth = ((np.arange(columns) + 0.5) / columns - 0.5) * 2.0 * np.pi
    rays = np.stack((np.sin(azimuth), np.cos(azimuth)), axis=1)
    slopes = np.tan(edges[1] - (np.arange(rows) + 0.5) * (edges[1] - edges[0]) / rows)
    distance = np.full(size, np.inf)
    surface, face = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    thing = np.full(size, -1, np.int32)
    for row in range(rows):
        if slopes[row] < 0.0:
            distance[row], surface[row] = -z / slopes[row], GROUND
    for index in range(len(things[0])):
        solid = things[0][index]
        reach = math.hypot(solid["half_length"], solid["half_width"])
        offset = (solid["east"] - x, solid["north"] - y, -z)
        window = window_around(offset, reach, solid_top(solid), size, edges)
        for column in range(window[2], window[3]):
            c = column % columns
            for row in range(window[0], window[1]):
                t, side = enter_solid(solid, camera, (rays[c, 0], rays[c, 1], slopes[row]))
                if t < distance[row, c]:
                    distance[row, c], surface[row, c] = t, SOLID
                    thing[row, c], face[row, c] = index, side
    for index in range(len(things[1])):
        crown = things[1][index]
        tall = crown["half_height"]
        offset = (crown["east"] - x, crown["north"] - y, crown["up"] - tall - z)
        window = window_around(offset, crown["radius"], 2.0 * tall, size, edges)
        for column in range(window[2], window[3]):
            c = column % columns
            for row in range(window[0], window[1]):
                t = enter_crown(crown, camera, (rays[c, 0], rays[c, 1], slopes[row]))
                if t < distance[row, c]:
                    distance[row, c], surface[row, c], thing[row, c] = t, CROWN, index
    return distance, surface, thing, face


@compiled
def window_below(
    thing: np.void, reach: float, corner: tuple[float, float], size: tuple[int, int], step: float
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
def cast_down(
    things: tuple[Things, Things], corner: tuple[float, float], size: tuple[int, int], step: float
) -> Hits:
    """First hits of rays from straight above: heights in metres, 0 for the ground.

    Args:
        things: solids and crowns.
        corner: metres east and north of the picture's upper left corner.
        size: rows and columns.
        step: metres a pixel.
    """
    height, surface = np.zeros(size), np.full(size, GROUND, np.uint8)
    thing, face = np.full(size, -1, np.int32), np.zeros(size, np.uint8)
    for index in range(len(things[0])):
        solid = things[0][index]
        reach = math.hypot(solid["half_length"], solid["half_width"])
        window = window_below(solid, reach, corner, size, step)
        for row in range(window[0], window[1]):
            for c in range(window[2], window[3]):
                x, y = corner[0] + (c + 0.5) * step, corner[1] - (row + 0.5) * step
                t, side = enter_solid(solid, (x, y, CEILING_METRES), DOWN)
                if CEILING_METRES - t > height[row, c]:
                    height[row, c], surface[row, c] = CEILING_METRES - t, SOLID
                    thing[row, c], face[row, c] = index, side
    for index in range(len(things[1])):
        crown = things[1][index]
        window = window_below(crown, crown["radius"], corner, size, step)
        for row in range(window[0], window[1]):
            for c in range(window[2], window[3]):
                x, y = corner[0] + (c + 0.5) * step, corner[1] - (row + 0.5) * step
                t = enter_crown(crown, (x, y, CEILING_METRES), DOWN)
                if CEILING_METRES - t > height[row, c]:
                    height[row, c], surface[row, c] = CEILING_METRES - t, CROWN
                    thing[row, c] = index
    return height, surface, thing, face
