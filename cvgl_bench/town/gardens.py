"""What lies around houses: driveways, hedges, fences, walls, sheds and pools."""

import numpy as np

from cvgl_bench.town import materials
from cvgl_bench.town.blocks import Look
from cvgl_bench.town.canvas import BOTH, Patch
from cvgl_bench.town.facades import FENCE, SHOPS
from cvgl_bench.town.materials import PAVING, WATER, WOOD
from cvgl_bench.town.plots import Footprint, Site, solid_row

CHANGED = 0.2
BACK_METRES = (7.0, 13.0)


def add_garden(site: Site, base: Footprint, setback: float, gap: float, look: Look) -> None:
    """Lay out the plot of a house.

    Args:
        site: the district.
        base: of the house, with the axis along the street.
        setback: metres between house and pavement.
        gap: metres to the next house.
        look: of the block.
    """
    rng = site.rng
    back = rng.uniform(*BACK_METRES)
    _add_drive(site, base, setback, look)
    if rng.random() < 0.5:
        terrace = base.shifted(0, base.width / 2 + 1.5, 0.6 * base.length, 3.4)
        number = int(site.ground.blocks_at(base.place[None])[0])
        if site.ground.within(terrace.corners(), number):
            site.ground.fill([terrace.corners()], look.drives, PAVING)
    _add_borders(site, base, setback, (gap, back), look)
    _add_extras(site, base, back)


def _add_drive(site: Site, base: Footprint, setback: float, look: Look) -> None:
    """A driveway with a place for a car, perhaps with a garage, and a path to the door."""
    rng, ground = site.rng, site.ground
    sign = float(rng.choice((-1, 1)))
    half_way = -0.5 * (base.width + setback)
    beside = sign * (0.5 * base.length + 1.7)
    garage = base.shifted(beside, -0.5 * base.width + 3.2, 3.2, 6.0)
    if rng.random() < 0.35 and ground.claim(garage.corners(), margin=0.1):
        walls = (materials.pick(rng, look.walls, 0.03), look.flats[0])
        site.add(solid_row(garage.turned(), 2.6, walls, facade=SHOPS))
    else:
        beside = sign * (0.5 * base.length - 1.6)
    drive = base.shifted(beside, half_way, 3.0, setback + 0.8)
    path = base.shifted(-0.5 * beside, half_way, 1.2, setback + 0.4)
    for piece in (drive, path):
        corners = piece.corners()
        if corners.min() > 1 and corners.max() < ground.side_metres - 1:
            ground.fill([corners], look.drives, PAVING)
    if setback > 5.0:
        site.slots.append((*drive.place.tolist(), *base.normal.tolist(), 0.5))


def _add_borders(
    site: Site, base: Footprint, setback: float, room: tuple[float, float], look: Look
) -> None:
    """Hedges, fences or walls at the sides of the plot and at the street."""
    rng, style = site.rng, site.style
    gap, back = room
    chance = rng.random()
    kind = "wall" if chance < style.walled else "hedge" if chance < 0.55 else "fence"
    if chance > 0.8:
        return
    half = 0.5 * base.length + min(0.5 * gap, 4.0)
    depth = setback + base.width + back - 1.0
    middle = 0.5 * (back - setback) + 0.4
    pieces = [base.shifted(sign * half, middle, 0.9, depth).turned() for sign in (-1, 1)]
    pieces.append(base.shifted(0, 0.5 * base.width + back, 2 * half - 1.2, 0.9))
    if rng.random() < 0.5:
        front = -0.5 * base.width - setback + 0.7
        pieces.append(base.shifted(-0.25 * half, front, 0.8 * half, 0.9))
    years = site.drawn_years(CHANGED if kind == "fence" else 0.06)
    leaves = materials.pick(rng, [look.leaves], 0.1)
    height = {"hedge": rng.uniform(0.9, 1.9), "fence": rng.uniform(0.9, 1.8), "wall": 1.6}[kind]
    for piece in pieces:
        if not site.ground.claim(piece.corners()):
            continue
        if kind == "hedge":
            site.add(solid_row(piece, height, (leaves, leaves), leafy=1.0), years)
            continue
        thin = piece.shifted(0, 0, piece.length, 0.12 if kind == "fence" else 0.25)
        colour = WOOD if kind == "fence" else look.walls[0]
        facade = FENCE if kind == "fence" else 0
        site.add(solid_row(thin, height, (colour, colour), facade=facade), years)


def _add_extras(site: Site, base: Footprint, back: float) -> None:
    """A shed and a pool behind the house."""
    rng, ground = site.rng, site.ground
    behind = 0.5 * base.width
    if rng.random() < 0.4:
        place = (rng.uniform(-0.4, 0.4) * base.length, behind + back - 2.2)
        shed = base.shifted(*place, rng.uniform(2.2, 3.6), rng.uniform(1.8, 2.4))
        if ground.claim(shed.corners()):
            wood = materials.pick(rng, [WOOD, materials.STEEL])
            row = solid_row(shed, 2.0, (wood, wood), pitch=(-1.0, rng.choice([0.0, 0.35])))
            site.add(row, site.drawn_years(CHANGED))
    if back > 8.5 and rng.random() < site.style.pools:
        pool = base.shifted(rng.uniform(-2, 2), behind + 5.0, rng.uniform(5, 8), 3.6)
        if ground.claim(pool.corners()):
            years = site.drawn_years(CHANGED)
            rim = pool.shifted(0, 0, pool.length + 1.6, pool.width + 1.6).corners()
            water = (0.24, 0.52, 0.60)
            if years == BOTH:
                ground.fill([rim], materials.PAVINGS[0], PAVING)
                ground.fill([pool.corners()], water, WATER)
            else:
                ground.patches.append(Patch(rim, materials.PAVINGS[0], PAVING, years))
                ground.patches.append(Patch(pool.corners(), water, WATER, years))


def farmyard(site: Site, base: Footprint, look: Look) -> None:
    """Barns, a silo and a yard behind a farmhouse.

    Args:
        site: the district.
        base: of the farmhouse, with the axis along the street.
        look: of the block.
    """
    rng, ground = site.rng, site.ground
    behind = 0.5 * base.width
    yard = base.shifted(0, behind + 14.0, 30.0, 22.0)
    number = int(ground.blocks_at(base.place[None])[0])
    if not ground.within(yard.corners(), number) or not ground.free_at(yard.place[None], 8.0)[0]:
        return
    ground.fill([yard.corners()], materials.pick(rng, materials.GRAVELS), PAVING)
    for sign in (-1.0, 1.0):
        long, deep = rng.uniform(16, 28), rng.uniform(9, 13)
        barn = base.shifted(sign * rng.uniform(14, 18), behind + rng.uniform(12, 20), deep, long)
        if rng.random() < 0.8 and ground.claim(barn.corners()):
            colours = (materials.pick(rng, [WOOD, *look.walls[:2]]), look.tiles[0])
            row = solid_row(
                barn.turned(), rng.uniform(4, 6), colours, pitch=(-1.0, rng.uniform(0.3, 0.6))
            )
            site.add(row, site.drawn_years(0.03))
    silo = base.shifted(rng.uniform(-6, 6), behind + 26.0, 4.0, 4.0)
    if rng.random() < 0.5 and ground.claim(silo.corners()):
        turned = Footprint(silo.place, np.array([np.sqrt(0.5), np.sqrt(0.5)]), 4.0, 4.0)
        for part in (silo, turned):
            site.add(solid_row(part, 9.0, (materials.STEEL, materials.STEEL), pitch=(0.5, 0.5)))
