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
Hits = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]

SKY, GROUND, SOLID, CROWN = 0, 1, 2, 3
FIRST_ROOF_FACE = 4
# Share of a crown's silhouette that is ragged, and the width of its leaf cells in metres.
RAGGED_DEPTH, LEAF_METRES = 0.4, 0.2

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
        ("facade", "f4"),  # 0 plain, 1 windows, 2 above a shop front, 3 bands of windows, 4 fence
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
    return cast(
        "Callable[P, R]",
        njit(function, cache=True, nogil=True, error_model="numpy", forceinline=True),
    )


@compiled
def grain(x: float, y: float, z: float) -> float:
    """A fixed pseudo-random number in 0..1 for the unit cell that a point lies in."""
    mixed = math.floor(x) * 374761393 + math.floor(y) * 668265263 + math.floor(z) * 362437
    mixed &= 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65536.0


@compiled
def zigzag(x: float) -> float:
    """A wave of straight lines between -1 and 1, 3 of them on 8 metres."""
    third = 3.0 * x / 8.0
    return 4.0 * abs(third - math.floor(third) - 0.5) - 1.0


@compiled
def leaf_grain(place: Vector, cells: float) -> float:
    """The `grain` of cells that are bent out of shape, so many to a metre."""
    x, y, z = cells * place[0], cells * place[1], cells * place[2]
    u = x + 0.45 * zigzag(y + 0.6 * z)
    v = 0.8 * y + 0.6 * z + 0.45 * zigzag(0.9 * x - 0.5 * z)
    return grain(u, v, 0.8 * z - 0.6 * y + 0.45 * zigzag(0.8 * x + 1.1 * y))


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
def roof_above(solid: np.void, along: float, across: float) -> tuple[float, int]:
    """Height of a solid's roof over a place, and which of its planes that is.

    Minus infinity and -1 outside the solid.

    Args:
        solid: the solid.
        along: metres from its middle along its length.
        across: metres across.
    """
    if abs(along) > solid["half_length"] or abs(across) > solid["half_width"]:
        return -math.inf, -1
    height, face = math.inf, -1
    if solid["end_pitch"] >= 0.0:
        height = solid["end_pitch"] * (solid["half_length"] - abs(along))
        face = FIRST_ROOF_FACE if along >= 0.0 else FIRST_ROOF_FACE + 1
    rise = solid["side_pitch"] * (solid["half_width"] - abs(across))
    if rise < height:
        height, face = rise, FIRST_ROOF_FACE + (2 if across >= 0.0 else 3)
    return float(solid["eave"] + height), face


@compiled
def is_open(place: Vector, depth: float, ragged: float) -> bool:
    """Whether a ray slips through the leaves: near the silhouette some cells are open.

    Args:
        place: where it meets the crown, metres.
        depth: 0 at the silhouette, 1 through the middle.
        ragged: 1 where a cell is wider than a ray, falling to 0 where it is much narrower.
    """
    if depth >= RAGGED_DEPTH:
        return False
    if ragged <= 0.0:
        return depth < 0.5 * RAGGED_DEPTH
    leaf = 0.5 * leaf_grain(place, 2.3) + 0.5 * leaf_grain(place, 7.0)
    return ragged * leaf + 0.5 * (1.0 - ragged) > depth / RAGGED_DEPTH


@compiled
def enter_crown(crown: np.void, origin: Vector, ray: Vector, ragged: float) -> float:
    """Where a ray enters an ellipsoid of leaves; infinity where it misses or slips through."""
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
    place = (origin[0] + near * ray[0], origin[1] + near * ray[1], origin[2] + near * ray[2])
    return math.inf if is_open(place, inside / a, ragged) else near
