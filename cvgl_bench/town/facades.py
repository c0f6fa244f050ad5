"""What walls and roofs look like close by: windows, shop fronts, fences, tiles, panels.

Every pattern is filtered over the width of a ray, so that it fades into its mean far away.
"""

import math

import numpy as np

from cvgl_bench.town.materials import GLASS, SIGNS
from cvgl_bench.town.rays import Vector, compiled, grain

PLAIN, WINDOWS, SHOPS, BANDS, FENCE = range(5)
STOREY_METRES, SHOP_METRES = 2.8, 3.6
GARAGE_METRES = 3.0
SIGN_COLOURS = np.array(SIGNS)


@compiled
def coverage(distance: float, half: float, period: float, footprint: float) -> float:
    """Share of a ray that lies within a band of a repeated pattern, 0..1.

    Args:
        distance: from the middle of the nearest band.
        half: half the width of a band.
        period: distance between the middles of bands, in the same unit.
        footprint: width of the ray in that unit.
    """
    mean = min(1.0, 2.0 * half / period)
    if footprint >= period:
        return mean
    sharp = min(1.0, max(0.0, (half - abs(distance)) / max(footprint, 1e-3) + 0.5))
    fade = max(0.0, 2.0 * footprint / period - 1.0)
    return sharp + fade * (mean - sharp)


@compiled
def blend(below: Vector, above: Vector, share: float) -> Vector:
    """Mixture of two colours."""
    rest = 1.0 - share
    return (
        rest * below[0] + share * above[0],
        rest * below[1] + share * above[1],
        rest * below[2] + share * above[2],
    )


@compiled
def scaled(colour: Vector, tone: float) -> Vector:
    """A colour made lighter or darker."""
    return tone * colour[0], tone * colour[1], tone * colour[2]


@compiled
def wall_colour(  # noqa: PLR0917 (a kernel has no keyword-only arguments)
    solid: np.void, index: int, face: int, along: float, up: float, footprint: float
) -> Vector:
    """Albedo of a wall.

    Args:
        solid: what it belongs to.
        index: the solid's number, which tells its windows from its neighbour's.
        face: 0 to 3.
        along: metres from the wall's end.
        up: metres above the ground.
        footprint: metres of wall under one ray; finer patterns fade into their mean.
    """
    wall = (solid["wall"][0], solid["wall"][1], solid["wall"][2])
    facade, eave = int(solid["facade"]), solid["eave"]
    if facade == FENCE:
        gap = coverage((along / 0.5 - math.floor(along / 0.5) - 0.5) * 0.5, 0.04, 0.5, footprint)
        return blend(wall, scaled(wall, 0.45), gap)
    length = 2.0 * (solid["half_width"] if face < 2 else solid["half_length"])
    if facade == SHOPS and eave < GARAGE_METRES:
        return garage_door(wall, (along, length), up, footprint)
    if facade == BANDS:
        return band_windows(solid, wall, along, up, footprint)
    shop = SHOP_METRES if facade == SHOPS else 0.0
    if shop > 0.0 and up < shop:
        return shop_front(wall, index + face, along, up, footprint)
    if solid["bay"] > 0.0 and up < eave and eave > STOREY_METRES:
        return windows(solid, wall, (index, face), (along, up - shop, length), footprint)
    tone = 1.0
    if up < 0.5:
        tone = 0.8
    elif solid["side_pitch"] == 0.0 and up > eave - 0.5 and eave > 3.5:
        tone = 1.12
    return scaled(wall, tone)


@compiled
def windows(
    solid: np.void,
    wall: Vector,
    which: tuple[int, int],
    place: Vector,
    footprint: float,
) -> Vector:
    """A grid of windows in frames, a door, and balconies on some tall buildings.

    Args:
        solid: the building.
        wall: colour of the wall.
        which: the building's number, and the face.
        place: metres along the wall and above the lowest storey, and the wall's length.
        footprint: metres of wall under one ray.
    """
    index, face = which
    along, up, length = place
    shop = SHOP_METRES if solid["facade"] == SHOPS else 0.0
    tall = solid["eave"] - shop
    storeys, bays = (
        max(1.0, math.floor(tall / STOREY_METRES)),
        max(1.0, math.floor(length / solid["bay"] + 0.5)),
    )
    high, wide = tall / storeys, length / bays
    i, j = float(math.floor(along / wide)), float(math.floor(up / high))
    # A window is at most a person high, and its sill about a metre above the floor.
    tall_half = min(0.26 * high, 0.75)
    across, rise = along - (i + 0.5) * wide, up - j * high - min(0.54 * high, 1.7)
    glass_half, frame = 0.5 * solid["glazing"] * wide, 0.07 * wide
    if shop == 0.0 and j == 0.0 and i == bays // 2 and face == 3 and solid["eave"] < 9.0:
        door = coverage(across, 0.5, 40.0, footprint) * (1.0 if up < 2.1 else 0.0)
        return blend(wall, (0.35 * wall[0], 0.25 * wall[1], 0.2 * wall[2]), door)
    pane = coverage(across, glass_half, wide, footprint) * coverage(
        rise, tall_half, high, footprint
    )
    rim = coverage(across, glass_half + frame, wide, footprint)
    rim *= coverage(rise, tall_half + 0.12, high, footprint)
    pale = (0.5 * wall[0] + 0.42, 0.5 * wall[1] + 0.42, 0.5 * wall[2] + 0.42)
    lit = 0.7 + 0.9 * grain(i, j, 7.0 * index + face)
    shade = scaled(wall, 0.8 if shop == 0.0 and up < 0.5 else 1.0)
    result = blend(blend(shade, pale, rim), scaled((GLASS[0], GLASS[1], GLASS[2]), lit), pane)
    # Every third tall building has balconies on its long sides.
    if tall > 8.0 and face >= 2 and j > 0.0 and grain(index, 5.0, 3.0) < 0.34:
        rail = coverage(up - (j + 0.17) * high, 0.17 * high, high, footprint)
        rail *= coverage(across, 0.42 * wide, wide, footprint)
        paint = (0.45 + 0.4 * wall[0], 0.45 + 0.4 * wall[1], 0.46 + 0.4 * wall[2])
        return blend(result, paint, rail)
    return result


@compiled
def shop_front(wall: Vector, key: int, along: float, up: float, footprint: float) -> Vector:
    """Panes between pillars, and above them an awning or a sign of the shop's colour."""
    unit = 4.5 + 3.0 * grain(key, 1.0, 2.0)
    shop = float(math.floor(along / unit))
    colour = SIGN_COLOURS[int(len(SIGN_COLOURS) * grain(shop, key, 9.0))]
    sign = (colour[0], colour[1], colour[2])
    across = along - (shop + 0.5) * unit
    if up > 2.6:
        own = coverage(across, 0.47 * unit, unit, footprint)
        if up < 3.4:
            stripe = 1.0
            if grain(shop, key, 4.0) < 0.4:
                fold = along / 0.6 - math.floor(along / 0.6) - 0.5
                stripe = 1.0 - 0.6 * coverage(fold * 0.6, 0.15, 0.6, footprint)
            lettering = coverage(up - 3.0, 0.16, 40.0, footprint) * coverage(
                across, 0.2 * unit, unit, footprint
            )
            tinted = blend((0.85, 0.84, 0.80), sign, stripe)
            return blend(wall, blend(tinted, (0.9, 0.9, 0.88), 0.7 * lettering * stripe), own)
        return scaled(wall, 0.9)
    pane = coverage(across, 0.43 * unit, unit, footprint) * (1.0 if up > 0.4 else 0.0)
    inside = 0.8 + 1.4 * grain(math.floor(along / 0.9), shop, key)
    return blend(scaled(wall, 0.75), (0.20 * inside, 0.20 * inside, 0.21 * inside), pane)


@compiled
def band_windows(solid: np.void, wall: Vector, along: float, up: float, footprint: float) -> Vector:
    """Ribbed sheet with a band of glass, or glass between posts on a small shelter."""
    eave = solid["eave"]
    if eave < GARAGE_METRES:
        post = coverage((along / 1.2 - math.floor(along / 1.2) - 0.5) * 1.2, 0.06, 1.2, footprint)
        return blend((0.45, 0.50, 0.52), (0.25, 0.25, 0.26), post)
    rib = coverage((along / 1.0 - math.floor(along) - 0.5), 0.2, 1.0, footprint)
    sheet = blend(wall, scaled(wall, 0.88), rib)
    bay = max(solid["bay"], 3.0)
    cell = float(math.floor(along / bay))
    across = along - (cell + 0.5) * bay
    if up < 4.0 and grain(cell, eave, 6.0) < 0.3:
        gate = coverage(across, 0.4 * bay, bay, footprint) * (1.0 if up < 3.6 else 0.0)
        return blend(sheet, (0.55, 0.56, 0.58), gate)
    if 0.62 * eave < up < 0.82 * eave:
        pane = coverage(across, 0.46 * bay, bay, footprint)
        return blend(sheet, (1.3 * GLASS[0], 1.3 * GLASS[1], 1.3 * GLASS[2]), pane)
    return scaled(sheet, 0.7 if up < 0.6 else 1.0)


@compiled
def garage_door(wall: Vector, place: tuple[float, float], up: float, footprint: float) -> Vector:
    """A ribbed door in a wall, given metres along it and its length."""
    along, length = place
    if up > 2.2 or length > 4.0:
        return wall
    door = coverage(along - 0.5 * length, 0.42 * length, 40.0, footprint)
    rib = coverage((up / 0.5 - math.floor(up / 0.5) - 0.5) * 0.5, 0.04, 0.5, footprint)
    pale = (0.72, 0.72, 0.70)
    return blend(wall, blend(pale, scaled(pale, 0.75), rib), door)


@compiled
def roof_tone(solid: np.void, index: int, along: float, across: float, lengthwise: bool) -> float:
    """How bright a roof is at a place: rows of tiles, patches, the rim of a flat one, panels.

    Panels and roof windows hang on where the building stands, so that both years show the same.

    Args:
        solid: what it belongs to.
        index: the solid's number.
        along: metres from the middle along its length.
        across: metres across.
        lengthwise: whether it is the plane of an end.
    """
    row, slope = (abs(along), across) if lengthwise else (abs(across), along)
    tone = 0.90 + 0.12 * grain(3.0 * row, 0.5 * slope, 5.0)
    tone += 0.08 * grain(0.7 * along, 0.7 * across, 1.0)
    if solid["bay"] <= 0.0 or index < 0:
        return tone
    if solid["side_pitch"] == 0.0:
        return flat_tone(solid, tone, along, across)
    return tone if lengthwise else pitched_tone(solid, tone, along, across)


@compiled
def chance_of(solid: np.void) -> float:
    """A fixed pseudo-random number of a building in 0..1, the same in both years."""
    return grain(10.0 * solid["east"], 10.0 * solid["north"], 8.0)


@compiled
def flat_tone(solid: np.void, tone: float, along: float, across: float) -> float:
    """A flat roof: a rim, seams, and rows of panels on every fifth."""
    rim = min(solid["half_width"] - abs(across), solid["half_length"] - abs(along))
    if rim < 0.4:
        return 1.2 * tone
    seam = along / 4.0 - math.floor(along / 4.0)
    row = across / 2.0 - math.floor(across / 2.0)
    if chance_of(solid) < 0.2 and rim > 1.5 and row < 0.6 and seam > 0.08:
        return 0.38
    return 0.94 * tone if seam < 0.06 else tone


@compiled
def pitched_tone(solid: np.void, tone: float, along: float, across: float) -> float:
    """A side of a pitched roof: a field of panels towards the south, or roof windows."""
    chance, share = chance_of(solid), abs(across) / solid["half_width"]
    is_south = (across > 0.0) == (solid["cosine"] < 0.0)
    inside = 0.2 < share < 0.8 and abs(along) < 0.6 * solid["half_length"]
    if chance < 0.16 and is_south and inside:
        return 0.36 if along / 1.1 - math.floor(along / 1.1) > 0.06 else 0.6
    light = along / 3.2 - math.floor(along / 3.2)
    is_window = 0.16 <= chance < 0.5 and 0.4 < share < 0.66 and 0.35 < light < 0.62
    return 0.42 if is_window else tone
