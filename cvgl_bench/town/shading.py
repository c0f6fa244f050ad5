"""The colour of what a ray hits: material, season, sun and shadow, the same for both cameras."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import FIELD, GLASS, GRASS, MARKING, WATER, Daylight
from cvgl_bench.town.rays import (
    CROWN,
    FIRST_ROOF_FACE,
    GROUND,
    SKY,
    SOLID,
    Hits,
    Things,
    Vector,
    compiled,
    grain,
)
from cvgl_bench.town.scene import CEILING_CELL, LEVEL_STEP, Levels, Town

# Albedo levels, kinds, heights, ceilings and metres a pixel of a Town.
Rasters = tuple[Levels, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], float]
# RGB albedo, outward normal, and how much the season colours it (0..1).
Surface = tuple[float, float, float, float, float, float, float]
FARTHEST_SHADOW_METRES = 90.0
# A point is lifted off its own wall or roof before something between it and the sun is looked for.
LIFT_METRES = 0.3


@compiled
def smooth_grain(x: float, y: float) -> float:
    """Bilinear mixture of the `grain` of four neighbouring cells, 0..1."""
    i, j = float(math.floor(x)), float(math.floor(y))
    u, v = x - i, y - j
    low = grain(i, j, 3.0) * (1 - u) + grain(i + 1, j, 3.0) * u
    high = grain(i, j + 1, 3.0) * (1 - u) + grain(i + 1, j + 1, 3.0) * u
    return low * (1 - v) + high * v


@compiled
def folded(position: float, size: int) -> float:
    """Reflect a raster coordinate into the raster, so that the land goes on beyond its edge."""
    if 0.0 <= position <= size - 1:
        return position
    period = 2.0 * (size - 1)
    rest = position % period
    return rest if rest <= size - 1 else period - rest


@compiled
def is_shaded(ground: Rasters, point: Vector, sun: Vector) -> bool:
    """Whether something stands between a point and the sun.

    Args:
        ground: the town's rasters.
        point: metres east, north and up.
        sun: unit vector to the sun.
    """
    heights, ceilings, step = ground[2], ground[3], ground[4]
    rows, columns = heights.shape
    run = math.hypot(sun[0], sun[1])
    rise, per_metre = sun[2] / run, 1.0 / (run * step)
    east, north = point[0] / step, rows - point[1] / step
    walked = 0.4
    while walked < FARTHEST_SHADOW_METRES:
        up = point[2] + walked * rise
        column = math.floor(east + walked * sun[0] * per_metre)
        row = math.floor(north - walked * sun[1] * per_metre)
        if not (0 <= row < rows and 0 <= column < columns):
            return False
        if up > ceilings[row // CEILING_CELL, column // CEILING_CELL]:
            walked += CEILING_CELL * step
            continue
        if heights[row, column] > up + 0.15:
            return True
        walked += 0.4 + 0.06 * walked
    return False


@compiled
def mixture(raster: NDArray[np.uint8], row: float, column: float) -> Vector:
    """Colour of a raster between its pixels, RGB in 0..1.

    Args:
        raster: (H, W, 3).
        row: row, 0 being the centre of the first.
        column: column likewise.
    """
    i, j = min(int(row), len(raster) - 2), min(int(column), len(raster) - 2)
    v, u = (row - i) / 255.0, column - j
    red, green, blue = 0.0, 0.0, 0.0
    for k in range(4):
        share = (u if k % 2 else 1.0 - u) * (v if k // 2 else 1.0 / 255.0 - v)
        pixel = raster[i + k // 2, j + k % 2]
        red, green, blue = red + share * pixel[0], green + share * pixel[1], blue + share * pixel[2]
    return red, green, blue


@compiled
def ground_surface(ground: Rasters, point: Vector, footprint: float) -> Surface:
    """What the ground is like, from the level whose pixels are about as wide as the ray.

    Args:
        ground: the town's rasters.
        point: metres east, north and up.
        footprint: metres of ground under one ray.
    """
    levels, kinds, step = ground[0], ground[1], ground[4]
    size = len(kinds)
    south, east = size - 0.5 - point[1] / step, point[0] / step - 0.5
    kind = kinds[int(folded(south, size) + 0.5), int(folded(east, size) + 0.5)]
    level = 0
    if footprint > 1.5 * step:
        level = 1 if footprint < 1.5 * step * LEVEL_STEP else 2
    raster = levels[level]
    scale = float(LEVEL_STEP**level)
    row = folded((south + 0.5) / scale - 0.5, len(raster))
    column = folded((east + 0.5) / scale - 0.5, len(raster))
    red, green, blue = mixture(raster, row, column)
    leafy = 1.0 if kind == GRASS else 0.4 if kind == FIELD else 0.0
    tone = 1.0
    if footprint < 0.5 and kind not in (MARKING, WATER):
        rough = 0.30 if leafy > 0.0 else 0.10
        tone += rough * (smooth_grain(3.0 * point[0], 3.0 * point[1]) - 0.5)
    return tone * red, tone * green, tone * blue, 0.0, 0.0, 1.0, leafy


@compiled
def wall_colour(solid: np.void, index: int, face: int, along: float, up: float) -> Vector:
    """Albedo of a wall: plinth, cornice, a door and a grid of windows.

    Args:
        solid: what it belongs to.
        index: the solid's number, which tells its windows from its neighbour's.
        face: 0 to 3.
        along: metres from the wall's end.
        up: metres above the ground.
    """
    red, green, blue = solid["wall"][0], solid["wall"][1], solid["wall"][2]
    storeys = math.floor(solid["eave"] / 2.8)
    if solid["bay"] > 0.0 and storeys > 0 and up < solid["eave"]:
        length = 2.0 * (solid["half_width"] if face < 2 else solid["half_length"])
        bays = max(1, int(length / solid["bay"] + 0.5))
        u, v = along / length * bays, up / solid["eave"] * storeys
        i, j = float(math.floor(u)), float(math.floor(v))
        wide = abs(u - i - 0.5) / (0.5 * solid["glazing"])
        if j == 0 and i == bays // 2 and face == 3 and solid["eave"] < 9.0:
            if wide < 0.8 and v < 0.75:
                return 0.35 * red, 0.25 * green, 0.2 * blue
        elif wide < 1.0 and 0.28 < v - j < 0.80:
            lit = 0.7 + 0.9 * grain(i, j, 7.0 * index + face)
            return lit * GLASS[0], lit * GLASS[1], lit * GLASS[2]
        elif wide < 1.25 and 0.23 < v - j < 0.85:
            return 0.5 * red + 0.42, 0.5 * green + 0.42, 0.5 * blue + 0.42
    tone = 1.0
    if up < 0.5:
        tone = 0.75
    elif solid["side_pitch"] == 0.0 and up > solid["eave"] - 0.5:
        tone = 1.12
    return tone * red, tone * green, tone * blue


@compiled
def roof_tone(solid: np.void, index: int, along: float, across: float, lengthwise: bool) -> float:
    """How bright a roof is at a place: rows of tiles, patches, and the rim of a flat one."""
    row, slope = (abs(along), across) if lengthwise else (abs(across), along)
    tone = 0.90 + 0.12 * grain(3.0 * row, 0.5 * slope, index)
    tone += 0.08 * grain(0.7 * along, 0.7 * across, 1.0)
    rim = min(solid["half_width"] - abs(across), solid["half_length"] - abs(along))
    is_flat = solid["side_pitch"] == 0.0 and solid["bay"] > 0.0
    return tone * 1.2 if is_flat and rim < 0.4 else tone


@compiled
def solid_surface(solid: np.void, index: int, face: int, point: Vector) -> Surface:
    """What a solid is like where a ray enters it.

    Args:
        solid: what was hit.
        index: its number.
        face: which of its faces.
        point: where, in metres.
    """
    east, north = point[0] - solid["east"], point[1] - solid["north"]
    cosine, sine = solid["cosine"], solid["sine"]
    along, across = east * cosine + north * sine, north * cosine - east * sine
    sign = 1.0 if face % 2 == 0 else -1.0
    lengthwise = face % 4 < 2
    nx, ny = (sign * cosine, sign * sine) if lengthwise else (-sign * sine, sign * cosine)
    if face < FIRST_ROOF_FACE:
        position = across + solid["half_width"] if lengthwise else along + solid["half_length"]
        red, green, blue = wall_colour(solid, index, face, position, point[2])
        tone, nz = 1.0, 0.0
    else:
        pitch = solid["end_pitch"] if lengthwise else solid["side_pitch"]
        nz = 1.0 / math.sqrt(1.0 + pitch * pitch)
        nx, ny = nx * pitch * nz, ny * pitch * nz
        tone = roof_tone(solid, index, along, across, lengthwise)
        red, green, blue = solid["roof"][0], solid["roof"][1], solid["roof"][2]
    if solid["leafy"] > 0.0:
        tone = 0.75 + 0.4 * grain(9.0 * point[0], 9.0 * point[1], 9.0 * point[2])
    return tone * red, tone * green, tone * blue, nx, ny, nz, solid["leafy"]


@compiled
def crown_surface(crown: np.void, point: Vector) -> Surface:
    """What a crown is like where a ray enters it."""
    x, y, z = point
    nx, ny = (x - crown["east"]) / crown["radius"], (y - crown["north"]) / crown["radius"]
    nz = (z - crown["up"]) / crown["half_height"]
    leaf = 0.5 * grain(5.0 * x, 5.0 * y, 5.0 * z) + 0.5 * grain(1.1 * x, 1.1 * y, z)
    tone = (0.70 + 0.80 * leaf) * (0.90 + 0.20 * nz)
    red, green, blue = crown["colour"][0], crown["colour"][1], crown["colour"][2]
    return tone * red, tone * green, tone * blue, nx, ny, nz, 1.0


@compiled
def colour_hits(
    things: tuple[Things, Things],
    ground: Rasters,
    hits: Hits,
    points: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    light: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Light that comes back from every hit, RGB, (H, W, 3); nothing from the sky.

    Args:
        things: solids and crowns.
        ground: the town's rasters.
        hits: what was hit.
        points: metres east, north and up, each (H, W).
        light: metres of ground under one ray, (H, W), and the day as `as_light` puts it.
    """
    _, surface, thing, face = hits
    footprint, day = light
    sun = (day[0, 0], day[0, 1], day[0, 2])
    result = np.zeros((*surface.shape, 3))
    for row in range(surface.shape[0]):
        for column in range(surface.shape[1]):
            what, index = surface[row, column], thing[row, column]
            if what == SKY:
                continue
            point = (points[0][row, column], points[1][row, column], points[2][row, column])
            lift = 0.0
            if what == GROUND:
                found = ground_surface(ground, point, footprint[row, column])
            elif what == SOLID:
                found = solid_surface(things[0][index], index, face[row, column], point)
                lift = LIFT_METRES
            else:
                found = crown_surface(things[1][index], point)
            red, green, blue, nx, ny, nz, leafy = found
            facing = max(0.0, nx * sun[0] + ny * sun[1] + nz * sun[2])
            if what != CROWN and facing > 0.0:
                start = (point[0] + lift * nx, point[1] + lift * ny, point[2] + 0.2 * lift)
                if is_shaded(ground, start, sun):
                    facing = 0.0
            for band, albedo in enumerate((red, green, blue)):
                season = 1.0 + leafy * (day[3, band] - 1.0)
                lit = day[1, band] * facing + day[2, band] * (0.62 + 0.38 * nz)
                result[row, column, band] = albedo * season * lit
    return result


def rasters(town: Town) -> Rasters:
    """What `colour_hits` needs of a town's ground."""
    return town.levels, town.kinds, town.height, town.ceilings, town.metres_per_pixel


def as_light(daylight: Daylight) -> NDArray[np.float64]:
    """What `colour_hits` needs of a day: sun, direct, diffuse and leaves, (4, 3)."""
    return np.array([daylight.sun, daylight.direct, daylight.diffuse, daylight.leaves])
