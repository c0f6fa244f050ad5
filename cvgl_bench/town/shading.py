"""The colour of what a ray hits: material, season, sun and shadow, the same for both cameras."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.casting import Rays
from cvgl_bench.town.daylight import Daylight
from cvgl_bench.town.facades import roof_tone, wall_colour
from cvgl_bench.town.ground import Rasters, Surface, ground_surface
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
    leaf_grain,
)
from cvgl_bench.town.shadows import Shadow, Shelter, opening, sunlit

Light = NDArray[np.float32]
# Solids and crowns, the ground, its shelter, and shadows nearby and all around.
Scene = tuple[tuple[Things, Things], Rasters, Shelter, tuple[Shadow, Shadow]]
# A point is lifted off its own wall, roof or leaves before its shadow is looked up.
LIFT_METRES = 0.5
# Cells a metre of a crown's light and dark patches, and how strong they are.
LEAF_SIZES = ((0.9, 0.4), (3.1, 0.4), (11.0, 0.5))
SUN_DISC = math.cos(math.radians(0.9))


@compiled
def solid_surface(
    solid: np.void, index: int, face: int, point: Vector, seen: tuple[Vector, float]
) -> Surface:
    """What a solid is like where a ray enters it.

    Args:
        solid: what was hit.
        index: its number.
        face: which of its faces.
        point: where, in metres.
        seen: direction of the ray on the ground, and metres across it.
    """
    east, north = point[0] - solid["east"], point[1] - solid["north"]
    cosine, sine = solid["cosine"], solid["sine"]
    along, across = east * cosine + north * sine, north * cosine - east * sine
    sign = 1.0 if face % 2 == 0 else -1.0
    lengthwise = face % 4 < 2
    nx, ny = (sign * cosine, sign * sine) if lengthwise else (-sign * sine, sign * cosine)
    if face < FIRST_ROOF_FACE:
        position = across + solid["half_width"] if lengthwise else along + solid["half_length"]
        ray, width = seen
        slant = max(0.1, abs(nx * ray[0] + ny * ray[1]))
        red, green, blue = wall_colour(
            solid, index, face, position, point[2], width / math.sqrt(slant)
        )
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
def crown_surface(crown: np.void, point: Vector, footprint: float) -> Surface:
    """What a crown is like where a ray enters it, metres of leaves under the ray being given."""
    x, y, z = point
    nx, ny = (x - crown["east"]) / crown["radius"], (y - crown["north"]) / crown["radius"]
    nz = (z - crown["up"]) / crown["half_height"]
    # What is finer than the ray fades into its mean.
    leaf = 0.5
    for cells, strength in LEAF_SIZES:
        near = min(1.0, 1.6 - 1.6 * cells * footprint)
        if near > 0.0:
            leaf += near * strength * (leaf_grain(point, cells) - 0.5)
    tone = (0.70 + 0.80 * leaf) * (0.90 + 0.20 * nz)
    red, green, blue = crown["colour"][0], crown["colour"][1], crown["colour"][2]
    # Leaves are turned every way, more or less like the crown.
    return tone * red, tone * green, tone * blue, 0.7 * nx, 0.7 * ny, 0.7 * nz, 1.0


@compiled
def facing_sun(what: int, found: Surface, day: NDArray[np.float64]) -> float:
    """How squarely a surface meets the sun's light, 0..1, before any shadow."""
    facing = found[3] * day[0, 0] + found[4] * day[0, 1] + found[5] * day[0, 2]
    if what == CROWN:
        # Leaves let some light through and scatter it, so that the far side is not black.
        return float(max(0.15, 0.25 + facing))
    return float(max(0.0, facing))


@compiled
def lit(found: Surface, facing: float, opening: float, day: NDArray[np.float64]) -> Vector:
    """Light that comes back from a surface, RGB.

    Args:
        found: the surface.
        facing: of `facing_sun`, less what is in shadow.
        opening: share of the sky that is not hidden by what stands around.
        day: of `as_light`.
    """
    sky, leafy = opening * (0.62 + 0.38 * found[5]), found[6]
    return (
        found[0] * (1.0 + leafy * (day[3, 0] - 1.0)) * (day[1, 0] * facing + day[2, 0] * sky),
        found[1] * (1.0 + leafy * (day[3, 1] - 1.0)) * (day[1, 1] * facing + day[2, 1] * sky),
        found[2] * (1.0 + leafy * (day[3, 2] - 1.0)) * (day[1, 2] * facing + day[2, 2] * sky),
    )


@compiled
def lifted(what: int, point: Vector, found: Surface) -> Vector:
    """The place where a surface's shadow is looked up, a little before it."""
    lift = 0.0 if what == GROUND else LIFT_METRES
    return point[0] + lift * found[3], point[1] + lift * found[4], point[2] + 0.6 * lift


@compiled
def sun_disc(ray: Vector, day: NDArray[np.float64]) -> float:
    """How much of the sun's disc a ray to the sky meets, 0..1."""
    if day[5, 0] == 0.0:
        return 0.0
    level = ray[0] * day[0, 0] + ray[1] * day[0, 1] + ray[2] * day[0, 2]
    inside = (level / math.sqrt(1.0 + ray[2] * ray[2]) - SUN_DISC) / (0.5 * (1.0 - SUN_DISC))
    return float(min(1.0, max(0.0, inside)))


@compiled
def light_up(scene: Scene, rays: Rays, hits: Hits, day: NDArray[np.float64], light: Light) -> None:
    """Fill in the light of everything but the sky, and the disc of the sun.

    Args:
        scene: solids and crowns, the ground, its shelter, and shadows nearby and all around.
        rays: of the picture's pixels.
        hits: what they hit.
        day: of `as_light`.
        light: the sky everywhere, (H, W, 3); overwritten where there is something else.
    """
    # Whatever holds arrays is taken apart here: in the loops, numba would count it every time.
    (solids, crowns), (levels, kinds, step), (shelter, shelter_step), shadows = scene
    (near_shadow, near_turn), (far_shadow, far_turn) = shadows
    easts, norths, up, level, slopes, spread, eye = rays
    distance, surface, thing, face = hits
    for row in range(len(slopes)):
        north, slope = norths[row], slopes[row]
        longer = math.sqrt(1.0 + slope * slope)
        for c in range(len(easts)):
            what, index = surface[row, c], thing[row, c]
            ray = (level[c, 0], level[c, 1], slope)
            if what == SKY:
                near = sun_disc(ray, day)
                for band in range(3):
                    light[row, c, band] += near * (1.3 - light[row, c, band])
                continue
            run = distance[row, c]
            away = run * longer
            point = (easts[c] + run * ray[0], north + run * ray[1], up + run * slope)
            width = spread[0] + spread[1] * away
            if what == GROUND:
                # Along the ray the ground is foreshortened: the mean of length and width.
                mean = width * math.sqrt(max(1.0, away / eye))
                found = ground_surface(levels, kinds, step, point, mean)
            elif what == SOLID:
                found = solid_surface(solids[index], index, face[row, c], point, (ray, width))
            else:
                found = crown_surface(crowns[index], point, width)
            facing = facing_sun(what, found, day)
            if facing > 0.0:
                start = lifted(what, point, found)
                share = sunlit(near_shadow, near_turn, start)
                if share < 0.0:
                    share = abs(sunlit(far_shadow, far_turn, start))
                facing *= 0.5 + 0.5 * share if what == CROWN else share
            colour = lit(found, facing, opening(shelter, shelter_step, point), day)
            clear = 1.0 if day[5, 1] == math.inf else math.exp(-away / day[5, 1])
            for band in range(3):
                light[row, c, band] = clear * colour[band] + (1.0 - clear) * day[4, band]


def as_light(daylight: Daylight, visibility: float) -> NDArray[np.float64]:
    """A day as the kernels take it, (6, 3).

    Rows: sun, direct and diffuse light, leaves, horizon; then how clear the sun's disc is and the
    visibility.

    Args:
        daylight: of the day.
        visibility: metres after which 63 % of a colour is haze.
    """
    clear = 1.0 if daylight.direct[1] > 0.5 else 0.0
    rows = [daylight.sun, daylight.direct, daylight.diffuse, daylight.leaves, daylight.horizon]
    return np.array([*rows, (clear, visibility, 0.0)])
