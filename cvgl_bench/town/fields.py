"""Fields: a turned grid of unequal strips, furrows of their own, and hedges between them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import BOTH, Ground, Line
from cvgl_bench.town.plots import Site, solid_table
from cvgl_bench.town.rays import compiled, grain

HEDGE_METRES = 6.0


@dataclass(frozen=True)
class Fields:
    """The fields of a district.

    Attributes:
        turn: of their grid, in radians.
        size: metres of two strips, and of two fields along a strip.
        number: number of the field, (h, w) uint8, 0 outside fields.
    """

    turn: float
    size: tuple[float, float]
    number: NDArray[np.uint8]


def lay_fields(rng: np.random.Generator, ground: Ground) -> Fields:
    """Part the blocks that are used as fields.

    Args:
        rng: the only source of chance.
        ground: of the district; its blocks are numbered.
    """
    is_field = np.array(ground.uses) == "field"
    turn = rng.uniform(0, np.pi)
    size = (rng.uniform(80, 170), rng.uniform(120, 260))
    number = np.zeros(ground.block.shape, np.uint8)
    if is_field.any():
        number = parcels(ground.block, is_field, turn, size)
    return Fields(turn, size, number)


@compiled
def parcels(
    block: NDArray[np.uint16], is_field: NDArray[np.bool_], turn: float, size: tuple[float, float]
) -> NDArray[np.uint8]:
    """Number the fields of a district: a turned grid of unequal strips in the blocks of fields.

    Args:
        block: number of the block, (h, w).
        is_field: whether a block is of fields, by its number.
        turn: of the grid, in radians.
        size: metres of a strip, and of a field along it.
    """
    result = np.zeros(block.shape, np.uint8)
    cosine, sine = math.cos(turn), math.sin(turn)
    for row in range(block.shape[0]):
        for column in range(block.shape[1]):
            number = block[row, column]
            if not is_field[number]:
                continue
            u, _ = parcel_grid(column * 0.5 * cosine + row * 0.5 * sine, size[0], 0.0)
            w = row * 0.5 * cosine - column * 0.5 * sine + 97.0 * (u % 7.0)
            x, _ = parcel_grid(w, size[1], u)
            mixed = grain(u, x, float(number))
            result[row, column] = 1 + int(254 * mixed)
    return result


@compiled
def parcel_grid(position: float, size: float, row: float) -> tuple[float, float]:
    """Number of the unequal cell of a position and where in it that is."""
    scaled = position / size
    cell = math.floor(scaled)
    inside = scaled - cell
    cut = 0.25 + 0.5 * grain(cell, row, 11.0)
    return (2.0 * cell, inside) if inside < cut else (2.0 * cell + 1.0, inside - cut)


def hedgerows(site: Site, fields: Fields) -> None:
    """Hedges along many of the borders between fields.

    Args:
        site: the district.
        fields: of the district.
    """
    if not fields.number.any():
        return
    rng, style = site.rng, site.style
    share = rng.uniform(0.3, 0.85) * min(1.0, style.trees + 0.1)
    for places, border, axis in _borders(site.ground.side_metres, fields):
        count = int(border.max()) + 1
        leaves = np.array([materials.pick(rng, style.leaves, 0.1) for _ in range(8)])
        leaves = leaves[rng.integers(8, size=count)]
        heights, grown = rng.uniform(1.2, 2.4, count), rng.random(count) < share
        there = grown[border] & (rng.random(len(places)) < 0.93)
        there[there] = _in_fields(site, fields, places[there], axis)
        own, amount = border[there], int(there.sum())
        half = np.stack(
            [
                np.full(amount, HEDGE_METRES / 2 + 0.2),
                rng.uniform(0.45, 0.8, amount),
                heights[own] * rng.uniform(0.85, 1.15, amount),
            ],
            axis=1,
        )
        table = solid_table(places[there], axis, half, (leaves[own], leaves[own]))
        table["leafy"] = 1.0
        site.tables.append((table, np.full(amount, BOTH, np.uint8)))


def _borders(side: float, fields: Fields) -> list[tuple[Line, NDArray[np.intp], Line]]:
    """Places for pieces of hedge along and across the strips of fields.

    For each of the two: metres east and north, (N, 2), the number of the border that each is of,
    (N,), and the unit vector along these borders.
    """
    reach = 1.5 * side
    wide, long = fields.size
    plans: list[list[Line]] = [[], []]
    along = np.arange(-reach, reach, HEDGE_METRES)
    for strip in range(math.floor(-reach / wide), math.ceil(reach / wide)):
        cut = 0.25 + 0.5 * grain(strip, 0.0, 11.0)
        edges = (strip * wide, (strip + cut) * wide, (strip + 1) * wide)
        for half in (0, 1):
            first, last = edges[half], edges[half + 1]
            plans[0].append(_pair(np.full_like(along, first), along))
            number = 2.0 * strip + half
            across = np.arange(first, last, HEDGE_METRES) + HEDGE_METRES / 2
            for cell in range(math.floor(-reach / long), math.ceil(reach / long)):
                inner = 0.25 + 0.5 * grain(cell, number, 11.0)
                for position in (cell * long, (cell + inner) * long):
                    at = np.full_like(across, position - 97.0 * (number % 7.0))
                    plans[1].append(_pair(across, at))
    turn = np.array(
        [
            [math.cos(fields.turn), math.sin(fields.turn)],
            [-math.sin(fields.turn), math.cos(fields.turn)],
        ]
    )
    found = []
    for plan, direction in zip(plans, ((0.0, 1.0), (1.0, 0.0)), strict=True):
        border = np.repeat(np.arange(len(plan)), [len(pieces) for pieces in plan])
        # The grid counts rows from the north.
        placed = np.concatenate(plan) @ turn * (1.0, -1.0) + (0.0, side)
        inside = ((placed > 1) & (placed < side - 1)).all(axis=1)
        found.append((placed[inside], border[inside], np.array(direction) @ turn * (1.0, -1.0)))
    return found


def _pair(first: Line, second: Line) -> Line:
    return np.stack([first, second], axis=1)


def _in_fields(site: Site, fields: Fields, places: Line, axis: Line) -> NDArray[np.bool_]:
    """Whether both sides of places are fields and nothing else stands there."""
    ground = site.ground
    result = ground.free_at(places, 1.0)
    side = 2.0 * np.array([-axis[1], axis[0]])
    for shift in (side, -side, 3.0 * axis, -3.0 * axis):
        rows, columns, inside = ground.cells(places + shift)
        result &= inside & (fields.number[rows, columns] > 0)
        result &= ground.occupied[rows, columns] == 0
    return result
