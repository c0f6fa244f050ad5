"""Smooth outlines: where neighbouring pixels show different things, each is split into four.

The four rays are cast only at what the pixel and its eight neighbours show, and take the colour
that is already there, so that outlines cost little beside a picture of four times the pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.casting import Pair, Rays, raggedness
from cvgl_bench.town.rays import (
    CROWN,
    GROUND,
    SKY,
    SOLID,
    Hits,
    Things,
    Vector,
    compiled,
    enter_crown,
    enter_solid,
)

Light = NDArray[np.float32]
FAINT, FACE_BITS = 0.02, 0b11100
# Rows and columns of a pixel and its neighbours, the nearest first.
AROUND = np.array(
    [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)], np.int64
)


@compiled
def names_of(hits: Hits, wraps: bool) -> NDArray[np.int32]:
    """One number for surface (lowest 2 bits), face (3 bits) and thing of every pixel.

    Args:
        hits: what every pixel shows.
        wraps: whether the left and right edges meet; else every edge is repeated outwards.

    Returns:
        (H + 2, W + 2): the picture with a border one pixel wide.
    """
    _, surface, thing, face = hits
    rows, columns = surface.shape
    names = np.empty((rows + 2, columns + 2), np.int32)
    for row in range(rows):
        for c in range(columns):
            name = surface[row, c] | (face[row, c] << 2) | ((thing[row, c] + 1) << 5)
            names[row + 1, c + 1] = name
        names[row + 1, 0] = names[row + 1, columns if wraps else 1]
        names[row + 1, columns + 1] = names[row + 1, 1 if wraps else columns]
    names[0], names[rows + 1] = names[1], names[rows]
    return names


@compiled
def stands_out(light: Light, places: NDArray[np.int64]) -> bool:
    """Whether a pixel's colour differs from one beside it.

    Args:
        light: (H, W, 3).
        places: row and column of the pixel and of the four beside it, at least (5, 2).
    """
    for number in range(1, 5):
        for band in range(3):
            here = light[places[0, 0], places[0, 1], band]
            if abs(light[places[number, 0], places[number, 1], band] - here) > FAINT:
                return True
    return False


@compiled
def look_about(
    names: NDArray[np.int32],
    place: tuple[int, int],
    wraps: bool,
    places: NDArray[np.int64],
    seen: NDArray[np.int32],
) -> None:
    """Where the nine pixels around one lie, the picture's edges obeyed, and what they show.

    Args:
        names: of `names_of`.
        place: row and column of the pixel.
        wraps: whether the left and right edges meet.
        places: rows and columns, (9, 2), overwritten.
        seen: names, (9,), overwritten.
    """
    rows, columns = names.shape[0] - 2, names.shape[1] - 2
    for number in range(9):
        i, j = place[0] + AROUND[number, 0], place[1] + AROUND[number, 1]
        seen[number] = names[i + 1, j + 1]
        places[number, 0] = min(rows - 1, max(0, i))
        if j < 0:
            j = columns - 1 if wraps else 0
        elif j == columns:
            j = 0 if wraps else columns - 1
        places[number, 1] = j


@compiled
def things_in(seen: NDArray[np.int32], candidates: NDArray[np.int32]) -> int:
    """Gather the things among nine names, each once, and return how many they are."""
    count = 0
    for name in seen:
        known = name & 3 in (SKY, GROUND)
        for other in range(count):
            known = known or (candidates[other] ^ name) & ~FACE_BITS == 0
        if not known:
            candidates[count] = name
            count += 1
    return count


@compiled
def first_of(
    things: tuple[Things, Things],
    candidates: NDArray[np.int32],
    origin: Vector,
    ray: Vector,
    spread: Pair,
) -> int:
    """Which of some things a ray meets first, as `names_of` has it.

    Args:
        things: solids and crowns.
        candidates: names; of those that differ only in their face one is enough.
        origin: of the ray, metres.
        ray: its direction.
        spread: width of a pixel, as in FineRays.
    """
    nearest, found = math.inf, SKY
    if ray[2] < 0.0:
        nearest, found = -origin[2] / ray[2], GROUND
    for name in candidates:
        what, index = name & 3, (name >> 5) - 1
        if what == SOLID:
            t, face = enter_solid(things[0][index], origin, ray)
            if t < nearest:
                nearest, found = t, SOLID | (face << 2) | ((index + 1) << 5)
        elif what == CROWN:
            crown = things[1][index]
            away = math.hypot(crown["east"] - origin[0], crown["north"] - origin[1])
            ragged = raggedness(1.0, spread[0] + spread[1] * away)
            t = enter_crown(crown, origin, ray, ragged)
            if t < nearest:
                nearest, found = t, CROWN | ((index + 1) << 5)
    return found


@compiled
def place_of(name: int, seen: NDArray[np.int32]) -> int:
    """Which of nine pixels shows what a ray met; 0, the middle, if none does."""
    for number in range(9):
        if seen[number] == name:
            return number
    for number in range(9):
        if (seen[number] ^ name) & ~FACE_BITS == 0:
            return number
    return 0


@compiled
def soften(
    things: tuple[Things, Things], rays: Rays, hits: Hits, light: Light, wraps: bool
) -> Light:
    """A picture with smooth outlines, (H, W, 3).

    Args:
        things: solids and crowns.
        rays: of a picture with twice the rows and columns, four for every pixel.
        hits: what every pixel shows.
        light: colour of every pixel, (H, W, 3).
        wraps: whether the left and right edges meet.
    """
    east, north, up, level, slopes, spread, _ = rays
    names = names_of(hits, wraps)
    result = light.copy()
    seen, candidates = np.empty(9, np.int32), np.empty(9, np.int32)
    at = np.empty((9, 2), np.int64)
    for row in range(light.shape[0]):
        for c in range(light.shape[1]):
            name = names[row + 1, c + 1]
            beside = (names[row + 1, c] ^ name) | (names[row + 1, c + 2] ^ name)
            if beside | (names[row, c + 1] ^ name) | (names[row + 2, c + 1] ^ name) == 0:
                continue
            look_about(names, (row, c), wraps, at, seen)
            if not stands_out(light, at):
                continue
            count = things_in(seen, candidates)
            for band in range(3):
                result[row, c, band] = 0.0
            for part in range(4):
                i, j = 2 * row + part // 2, 2 * c + part % 2
                origin, ray = (east[j], north[i], up), (level[j, 0], level[j, 1], slopes[i])
                number = place_of(first_of(things, candidates[:count], origin, ray, spread), seen)
                for band in range(3):
                    result[row, c, band] += 0.25 * light[at[number, 0], at[number, 1], band]
    return result
