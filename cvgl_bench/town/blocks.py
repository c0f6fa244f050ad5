"""Blocks between the streets: what each is used for, its colours, fields in it and its texture."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import CELL_METRES, FREE, STREET, Ground, Line, disc
from cvgl_bench.town.junctions import Network
from cvgl_bench.town.materials import ASPHALT, FIELD, GRASS, GRAVEL, PAVING, Colour
from cvgl_bench.town.rays import compiled
from cvgl_bench.town.styles import Style

# How common each use of a block is, by the character of the district.
USES = (
    "houses", "terrace", "flats", "works", "school", "square",
    "park", "field", "parking", "wood", "pond", "village",
)  # fmt: skip
CHARACTERS: dict[str, tuple[float, ...]] = {
    "dense": (0.02, 0.54, 0.12, 0.05, 0.06, 0.06, 0.08, 0.0, 0.06, 0.0, 0.01, 0.0),
    "suburban": (0.58, 0.06, 0.10, 0.04, 0.05, 0.01, 0.07, 0.01, 0.03, 0.03, 0.02, 0.0),
    "rural": (0.02, 0.0, 0.0, 0.03, 0.0, 0.0, 0.02, 0.68, 0.0, 0.10, 0.02, 0.13),
}
GROUNDS = {"works": GRAVEL, "parking": ASPHALT, "square": PAVING, "terrace": PAVING, "field": FIELD}
SMALL_SQUARE_METRES = 500.0
LARGEST = {"parking": 7000.0, "square": 9000.0}
RELIEF_CELLS = 512


@dataclass(frozen=True)
class Look:
    """What the things in a block have in common.

    Attributes:
        walls: colours to choose from.
        tiles: of pitched roofs.
        flats: of flat roofs.
        leaves: of its trees.
        drives: of driveways and paths.
        twin: number of the plan that all its houses share; -1 where each has its own.
        species: the kind of tree that is most common.
    """

    walls: list[Colour]
    tiles: list[Colour]
    flats: list[Colour]
    leaves: Colour
    drives: Colour
    twin: int
    species: int


@dataclass(frozen=True)
class Blocks:
    """The blocks of a district.

    Attributes:
        looks: of every block; the first is of the streets.
        boxes: left, top, width and height in cells, and area in cells, (N, 5).
        crops: factors of the colour of the fields in the year of the tiles, by number of the
            field, (256, 3).
    """

    looks: list[Look]
    boxes: NDArray[np.int32]
    crops: NDArray[np.float32]


def lay_blocks(
    rng: np.random.Generator,
    ground: Ground,
    network: Network,
    setting: tuple[str, Style],
    *,
    regular: bool,
) -> Blocks:
    """Number the blocks between the streets and give each a use and a look.

    Args:
        rng: the only source of chance.
        ground: of the district, empty.
        network: its streets.
        setting: character of the district and style of the part of the world.
        regular: whether blocks are like each other.
    """
    character, style = setting
    for street in network.streets:
        ground.occupy([street.points], 2 * street.edge)
    for circle in network.circles:
        pixels = ground.fixed(disc(circle.place, circle.radius + circle.pavement), CELL_METRES)
        cv2.fillConvexPoly(ground.occupied, pixels, STREET, cv2.LINE_8, 4)
    free = (ground.occupied == FREE).astype(np.uint8)
    count, block, boxes, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    ground.block[:] = block
    shared = draw_look(rng, style, 0)
    common = rng.choice(USES[:3], p=_common(CHARACTERS[character]))
    looks = [shared]
    for number in range(1, count):
        area = boxes[number, cv2.CC_STAT_AREA] * CELL_METRES**2
        use = str(rng.choice(USES, p=CHARACTERS[character]))
        if regular and character != "rural" and rng.random() < 0.6:
            use = str(common)
        if area < SMALL_SQUARE_METRES or (use in ("parking", "square") and area > LARGEST[use]):
            use = "park"
        ground.uses.append(use)
        twin = -1 if rng.random() < 0.6 else int(rng.integers(1, 200))
        is_like = regular and rng.random() < 0.8
        looks.append(shared if is_like else draw_look(rng, style, twin))
    crops = np.ones((256, 3), np.float32)
    crops[1:] = rng.uniform(0.75, 1.15, (255, 1)) * rng.uniform(0.93, 1.07, (255, 3))
    return Blocks(looks, boxes, crops)


def _common(shares: tuple[float, ...]) -> Line:
    first = np.array(shares[:3]) + 1e-9
    weights: Line = first / first.sum()
    return weights


def draw_look(rng: np.random.Generator, style: Style, twin: int) -> Look:
    """Draw what the things in a block have in common.

    Args:
        rng: the only source of chance.
        style: of the part of the world.
        twin: number of the plan its houses share, or -1.
    """
    return Look(
        walls=[materials.pick(rng, style.walls) for _ in range(4)],
        tiles=[materials.pick(rng, style.tiles) for _ in range(2)],
        flats=[materials.pick(rng, materials.FLAT_ROOFS) for _ in range(2)],
        leaves=materials.pick(rng, style.leaves),
        drives=materials.pick(rng, materials.GRAVELS + style.pavings),
        twin=twin,
        species=int(rng.choice(len(style.species), p=style.species)),
    )


def colour_blocks(
    rng: np.random.Generator, ground: Ground, style: Style, fields: NDArray[np.uint8]
) -> None:
    """Give every block and field its ground.

    Args:
        rng: the only source of chance.
        ground: its blocks are numbered, its albedo and kinds are set here.
        style: of the part of the world.
        fields: numbers of the fields, (h, w), 0 outside them.
    """
    uses = np.array(ground.uses)
    count = len(uses)
    kinds = np.array([GROUNDS.get(use, GRASS) for use in uses], np.uint8)
    palettes = {
        GRASS: style.grasses,
        FIELD: style.fields,
        GRAVEL: materials.GRAVELS,
        ASPHALT: materials.ASPHALTS,
        PAVING: style.pavings,
    }
    base = np.array([materials.pick(rng, palettes[int(kind)]) for kind in kinds])
    colours = np.concatenate([base, [materials.pick(rng, style.fields) for _ in range(256)]])
    colours[count + 200 :] = [materials.pick(rng, style.grasses) for _ in range(56)]
    # Blocks are drawn a little under the pavements, so that no seam shows.
    number = cv2.dilate(ground.block, np.ones((5, 5), np.uint8))
    number = np.where(fields > 0, count + fields.astype(np.int32), number)
    size_wide = (len(ground.kinds), len(ground.kinds))
    coarse = np.rint(255 * colours).astype(np.uint8)[number]
    cv2.resize(coarse, size_wide, dst=ground.albedo, interpolation=cv2.INTER_LINEAR)
    kind = np.concatenate([kinds, np.full(256, FIELD, np.uint8)])[number]
    cv2.resize(kind, size_wide, dst=ground.kinds, interpolation=cv2.INTER_NEAREST)


def texture(
    rng: np.random.Generator, ground: Ground, fields: NDArray[np.uint8], crops: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Give the ground patches and furrows; returns its albedo in the year of the tiles.

    Args:
        rng: the only source of chance.
        ground: its albedo is changed in place.
        fields: numbers of the fields, (h, w).
        crops: factors of the fields' colours in the other year, (256, 3).
    """
    size = (len(ground.kinds), len(ground.kinds))
    coarse = materials.mottle(rng, (RELIEF_CELLS, RELIEF_CELLS), 26, 4)
    relief = cv2.resize(coarse, size).astype(np.float32, copy=False)
    angle, period = rng.uniform(0, np.pi, 256), rng.uniform(1.4, 4.5, 256)
    strength = rng.uniform(0.03, 0.14, 256)
    furrows = np.stack([np.cos(angle) / period, np.sin(angle) / period, strength], axis=1)
    other = ground.albedo if not fields.any() else np.empty_like(ground.albedo)
    rough((ground.albedo, other), ground.kinds, (relief, fields), furrows, crops)
    return other


@compiled
def rough(
    albedos: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    kinds: NDArray[np.uint8],
    relief: tuple[NDArray[np.float32], NDArray[np.uint8]],
    furrows: NDArray[np.float64],
    crops: NDArray[np.float32],
) -> None:
    """Multiply colours with patches and furrows, in place and into another year's.

    Args:
        albedos: of both years, (H, W, 3) each; the first is read and both are written.
        kinds: of ground, (H, W).
        relief: patches, (H, W), and numbers of the fields, (h, w).
        furrows: along and across the raster, a metre, and their strength, (256, 3).
        crops: factors of the fields' colours in the other year, (256, 3).
    """
    albedo, other = albedos
    size = len(kinds)
    for row in range(size):
        for column in range(size):
            kind, field = kinds[row, column], relief[1][row // 2, column // 2]
            if kind in (GRASS, FIELD):
                tone = 1.0 + 0.075 * relief[0][row, column]
            else:
                tone = 1.0 + 0.035 * relief[0][row, column]
            is_field = kind == FIELD and field > 0
            if is_field:
                phase = 0.25 * (furrows[field, 0] * column + furrows[field, 1] * row)
                tone += furrows[field, 2] * (4.0 * abs(phase - math.floor(phase) - 0.5) - 1.0)
            for band in range(3):
                value = tone * albedo[row, column, band]
                changed = value * crops[field, band] if is_field else value
                albedo[row, column, band] = np.uint8(min(255.0, max(0.0, value)))
                other[row, column, band] = np.uint8(min(255.0, max(0.0, changed)))
