"""What both cameras hit first: one ray through the centre of every pixel.

Things are taken from near to far (from high to low), and a pixel that already shows something
nearer than a thing's nearest point is passed over.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.rays import (
    CROWN,
    FIRST_ROOF_FACE,
    GROUND,
    LEAF_METRES,
    RAGGED_DEPTH,
    SOLID,
    Hits,
    Things,
    Vector,
    compiled,
    enter_solid,
    is_open,
    solid_top,
)

Pair = tuple[float, float]
Line = NDArray[np.float64]
# Camera in metres; unit vectors of the columns on the ground, (W, 2); slopes of the rows, (H,);
# elevation of the upper edge in radians and rows a radian.
View = tuple[Vector, NDArray[np.float64], NDArray[np.float64], float, float]
# Rays of every pixel: metres east of the columns and north of the rows, metres up, vectors of the
# columns on the ground, slopes of the rows; metres that a pixel is wide at the camera and what is
# added a metre away; and the camera's height over the ground.
Rays = tuple[Line, Line, float, Line, Line, Pair, float]
STEEPEST = 1e4


@compiled
def view_around(camera: Vector, size: tuple[int, int], edges: Pair) -> View:
    """The rays of a panorama: north is the centre column and east lies to its right.

    Args:
        camera: metres east, north and up.
        size: rows and columns.
        edges: elevation of the lower and the upper edge in radians.
    """
    rows, columns = size
    azimuth = ((np.arange(columns) + 0.5) / columns - 0.5) * 2.0 * np.pi
    rays = np.stack((np.sin(azimuth), np.cos(azimuth)), axis=1)
    elevation = edges[1] - (np.arange(rows) + 0.5) * (edges[1] - edges[0]) / rows
    slopes = np.minimum(np.maximum(np.tan(elevation), -STEEPEST), STEEPEST)
    return camera, rays, slopes, edges[1], rows / (edges[1] - edges[0])


@compiled
def raggedness(metres: float, radians: float) -> float:
    """How ragged a crown looks from so far away with pixels so wide; see `is_open`."""
    return min(1.0, max(0.0, 1.5 - metres * radians / LEAF_METRES))


@compiled
def columns_around(view: View, east: float, north: float, radius: float) -> tuple[int, int]:
    """Columns that a thing can cover, the last excluded; they may leave the picture and wrap."""
    columns = len(view[1])
    distance = math.hypot(east, north)
    if distance <= radius * 1.001:
        return 0, columns
    half, centre = math.asin(radius / distance), math.atan2(east, north) + math.pi
    per_column = columns / (2.0 * math.pi)
    first = math.floor((centre - half) * per_column - 0.5)
    return first, min(first + columns, math.ceil((centre + half) * per_column + 0.5))


@compiled
def rows_between(view: View, least: float, most: float) -> tuple[int, int]:
    """Rows whose rays are as steep as this, the last excluded."""
    first = math.ceil((view[3] - math.atan(most)) * view[4] - 0.500001)
    last = math.floor((view[3] - math.atan(least)) * view[4] - 0.499999) + 1
    return max(0, first), min(len(view[2]), last)


@compiled
def cross_plan(halves: Pair, place: Pair, rate: Pair) -> tuple[float, float, int]:
    """Where a ray on the ground enters and leaves a rectangle, and through which wall.

    Args:
        halves: half its length and half its width.
        place: where the ray starts, metres along and across from the middle.
        rate: metres along and across a metre of the ray.
    """
    near, far, face = 0.0, math.inf, -1
    for axis in range(2):
        if rate[axis] == 0.0:
            if abs(place[axis]) > halves[axis]:
                return math.inf, 0.0, -1
            continue
        sign = -1.0 if rate[axis] > 0.0 else 1.0
        entry = (sign * halves[axis] - place[axis]) / rate[axis]
        if entry > near:
            near, face = entry, 2 * axis + (0 if sign > 0.0 else 1)
        far = min(far, (-sign * halves[axis] - place[axis]) / rate[axis])
    return near, far, face


@compiled
def see_solid(
    solid: np.void, index: int, view: View, hits: Hits, roof: NDArray[np.float64]
) -> None:
    """Put a solid into a panorama wherever it is nearer than what is there.

    Args:
        solid: the solid.
        index: its number.
        view: rays of the panorama.
        hits: what was hit so far.
        roof: room for eight numbers, overwritten.
    """
    (x, y, z), rays = view[0], view[1]
    east, north, cosine, sine = (
        x - solid["east"],
        y - solid["north"],
        solid["cosine"],
        solid["sine"],
    )
    halves = (solid["half_length"], solid["half_width"])
    place = (east * cosine + north * sine, north * cosine - east * sine)
    pitches = (solid["end_pitch"], solid["side_pitch"])
    for plane in range(4):
        sign = 1.0 if plane % 2 == 0 else -1.0
        room = halves[plane // 2] - sign * place[plane // 2]
        roof[plane, 0] = solid["eave"] + pitches[plane // 2] * room - z
    top = solid_top(solid) - z
    first, last = columns_around(view, -east, -north, math.hypot(halves[0], halves[1]))
    for column in range(first, last):
        c = column % len(rays)
        rate = (
            rays[c, 0] * cosine + rays[c, 1] * sine,
            rays[c, 1] * cosine - rays[c, 0] * sine,
        )
        near, far, wall = cross_plan(halves, place, rate)
        if near >= far:
            continue
        for plane in range(4):
            sign = 1.0 if plane % 2 == 0 else -1.0
            roof[plane, 1] = sign * pitches[plane // 2] * rate[plane // 2]
        if wall < 0:
            rows = (0, len(view[2]))
        else:
            rows = rows_between(view, -z / near, top / (near if top > 0.0 else far))
        see_solid_column((solid, index), (c, *rows, near, far, wall), view, hits, roof)


@compiled
def see_solid_column(
    named: tuple[np.void, int],
    crossed: tuple[int, int, int, float, float, int],
    view: View,
    hits: Hits,
    roof: NDArray[np.float64],
) -> None:
    """One column of `see_solid`.

    Args:
        named: the solid and its number.
        crossed: column, first row, last row excluded, and where and through which wall the
            column's rays cross the solid's plan, as `cross_plan` has it.
        view: rays of the panorama.
        hits: what was hit so far.
        roof: room and rate of the four planes.
    """
    distance, surface, thing, face = hits
    (solid, index), (c, first, last, near, far, wall) = named, crossed
    first_plane = 0 if solid["end_pitch"] >= 0.0 else 2
    for row in range(first, last):
        if distance[row, c] <= near:
            continue
        slope, enters = view[2][row], wall >= 0
        for plane in range(first_plane, 4):
            if roof[plane, 0] < (slope + roof[plane, 1]) * near:
                enters = False
        t, side = near, wall
        if not enters:
            if wall < 0:
                t, side = enter_solid(solid, view[0], (view[1][c, 0], view[1][c, 1], slope))
            else:
                t, side = enter_roof(roof, first_plane, slope, near, far)
        if t < distance[row, c]:
            distance[row, c], surface[row, c] = t, SOLID
            thing[row, c], face[row, c] = index, side


@compiled
def enter_roof(
    roof: NDArray[np.float64], first_plane: int, slope: float, near: float, far: float
) -> tuple[float, int]:
    """Where a ray that crosses a solid's plan from near to far comes down through its roof."""
    side = -1
    for plane in range(first_plane, 4):
        closing = slope + roof[plane, 1]
        if closing < 0.0:
            entry = roof[plane, 0] / closing
            if entry > near:
                near, side = entry, FIRST_ROOF_FACE + plane
        elif closing > 0.0:
            far = min(far, roof[plane, 0] / closing)
        elif roof[plane, 0] < 0.0:
            return math.inf, -1
    return (near, side) if near < far and side >= 0 else (math.inf, -1)


@compiled
def see_crown(crown: np.void, index: int, view: View, hits: Hits) -> None:
    """Put a crown into a panorama wherever it is nearer than what is there."""
    (x, y, z), rays = view[0], view[1]
    distance, surface, thing, _ = hits
    wide, tall = crown["radius"], crown["half_height"]
    east, north, up = x - crown["east"], y - crown["north"], (z - crown["up"]) / tall
    flat = (east * east + north * north) / (wide * wide)
    outside = flat + up * up - 1.0
    if outside <= 0.0:
        return
    away = math.hypot(east, north)
    nearest, ragged = away - wide, raggedness(away, 2.0 * math.pi / len(rays))
    first, last = columns_around(view, -east, -north, wide)
    for column in range(first, last):
        c = column % len(rays)
        level = (east * rays[c, 0] + north * rays[c, 1]) / (wide * wide)
        # The ray meets the ellipsoid where a quadratic in its slope is positive.
        square, half = (1.0 - flat) / (tall * tall), level * up / tall
        root = half * half - square * (level * level - outside / (wide * wide))
        rows = (0, len(view[2]))
        if square < 0.0:
            if root <= 0.0:
                continue
            root = math.sqrt(root)
            rows = rows_between(view, (root - half) / square, (-root - half) / square)
        for row in range(rows[0], rows[1]):
            if distance[row, c] <= nearest:
                continue
            slope = view[2][row]
            a = 1.0 / (wide * wide) + slope * slope / (tall * tall)
            b = level + up * slope / tall
            inside = b * b - a * outside
            if inside <= 0.0:
                continue
            t = (-b - math.sqrt(inside)) / a
            if t <= 0.0 or t >= distance[row, c]:
                continue
            spot = (x + t * rays[c, 0], y + t * rays[c, 1], z + t * slope)
            if inside < RAGGED_DEPTH * a and is_open(spot, inside / a, ragged):
                continue
            distance[row, c], surface[row, c], thing[row, c] = t, CROWN, index


@compiled
def cast_around(things: tuple[Things, Things], view: View) -> Hits:
    """First hits of a panorama's rays; distances are metres on the ground, infinite for the sky.

    Args:
        things: solids and crowns.
        view: of `view_around`.
    """
    x, y, z = view[0]
    size = (len(view[2]), len(view[1]))
    distance = np.full(size, np.float32(np.inf), np.float32)
    surface, face = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    thing = np.full(size, -1, np.int32)
    for row in range(size[0]):
        if view[2][row] < 0.0:
            distance[row], surface[row] = -z / view[2][row], GROUND
    hits = (distance, surface, thing, face)
    solids, crowns = things
    nearest = np.empty(len(solids) + len(crowns))
    for i in range(len(solids)):
        reach = math.hypot(solids[i]["half_length"], solids[i]["half_width"])
        nearest[i] = math.hypot(solids[i]["east"] - x, solids[i]["north"] - y) - reach
    for i in range(len(crowns)):
        away = math.hypot(crowns[i]["east"] - x, crowns[i]["north"] - y)
        nearest[len(solids) + i] = away - crowns[i]["radius"]
    roof = np.empty((4, 2))
    for number in np.argsort(nearest):
        if number < len(solids):
            see_solid(solids[number], number, view, hits, roof)
        else:
            see_crown(crowns[number - len(solids)], number - len(solids), view, hits)
    return hits
