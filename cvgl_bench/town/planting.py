"""What grows: trees along streets and in blocks, as crowns on trunks."""

import numpy as np

from cvgl_bench.town import materials
from cvgl_bench.town.blocks import Ground
from cvgl_bench.town.materials import Colour
from cvgl_bench.town.plots import Footprint, Site, solid_row
from cvgl_bench.town.streets import Line, Street

BARK: Colour = (0.30, 0.25, 0.20)
EAST = np.array([1.0, 0.0])
BELT_METRES, TREES_IN_BELT = 24.0, 1 / 55
TREES_PER_SQUARE_METRE = {
    "houses": 1 / 200,
    "flats": 1 / 260,
    "works": 1 / 1200,
    "park": 1 / 110,
    "field": 1 / 4000,
    "parking": 1 / 700,
    "wood": 1 / 34,
    "pond": 1 / 160,
}


def plant(site: Site, streets: list[Street]) -> None:
    """Plant trees along some streets, in every block and in a belt around the district.

    Args:
        site: the district.
        streets: its streets.
    """
    for street in streets:
        if street.form.pavement and site.rng.random() < 0.5:
            _plant_along(site, street)
    _plant_blocks(site)


def _plant_along(site: Site, street: Street) -> None:
    """A row of like trees on each side of a street."""
    rng = site.rng
    gap = int(rng.integers(3, 7))
    height, leaves = rng.uniform(5, 9), materials.pick(rng, materials.LEAVES)
    offset = 0.5 * street.form.width + street.form.pavement + 1.6
    for side in (-1.0, 1.0):
        for place in street.beside(side * offset)[::gap]:
            if _is_free(site.ground, place, 1.0):
                _broadleaf(site, place, height * rng.uniform(0.9, 1.1), leaves)


def _plant_blocks(site: Site) -> None:
    """Trees in every block, as dense as its use asks for."""
    rng, ground = site.rng, site.ground
    side = ground.side_metres
    densest = max(TREES_PER_SQUARE_METRE.values())
    leaves = {use: materials.pick(rng, materials.LEAVES) for use in TREES_PER_SQUARE_METRE}
    for place in rng.uniform(2, side - 2, (int(densest * side**2), 2)):
        chance, height, form = rng.random(), rng.uniform(3.5, 12), rng.random()
        use = ground.use_at(place)
        if use == "street":
            continue
        density = TREES_PER_SQUARE_METRE[use]
        if min(*place, *(side - place)) < BELT_METRES:
            density = max(density, TREES_IN_BELT)
        if chance * densest > density or not _is_free(ground, place, 2.2):
            continue
        colour = materials.pick(rng, [leaves[use]], 0.12)
        if form < 0.22:
            _conifer(site, place, height, colour)
        elif form < 0.32:
            size = rng.uniform(0.7, 1.5)
            site.crowns.append((*place.tolist(), 0.6 * size, size, 0.8 * size, colour))
        else:
            _broadleaf(site, place, height, colour)


def _is_free(ground: Ground, place: Line, room: float) -> bool:
    """Whether the ground around a place is neither street nor water nor built on."""
    for shift in ((0, 0), (room, 0), (-room, 0), (0, room), (0, -room)):
        cell = ground.cell(place + np.array(shift))
        if cell is None or ground.occupied[cell]:
            return False
    return True


def _conifer(site: Site, place: Line, height: float, leaves: Colour) -> None:
    dark = tuple(0.75 * band for band in leaves)
    for tier in range(4):
        radius, up = (0.24 - 0.05 * tier) * height, (0.28 + 0.2 * tier) * height
        site.crowns.append((*place.tolist(), up, radius, 0.17 * height, dark))
    width = 0.04 * height
    site.solids.append(solid_row(Footprint(place, EAST, width, width), 0.5 * height, (BARK, BARK)))


def _broadleaf(site: Site, place: Line, height: float, leaves: Colour) -> None:
    radius = height * site.rng.uniform(0.26, 0.40)
    for _ in range(site.rng.integers(2, 5)):
        share, up = site.rng.uniform(0.62, 0.85), height * site.rng.uniform(0.58, 0.72)
        east, north = (place + site.rng.normal(0, 0.32 * radius, 2)).tolist()
        tall = min(0.95 * share * radius, height - up, up - 1.2)
        site.crowns.append((east, north, up, share * radius, tall, leaves))
    width = 0.05 * height + 0.08
    site.solids.append(solid_row(Footprint(place, EAST, width, width), 0.65 * height, (BARK, BARK)))
