"""What grows: trees of several species along streets and in blocks, as crowns on trunks."""

import math

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import BOTH, IN_ABOVE, IN_STREET, Line
from cvgl_bench.town.junctions import Network
from cvgl_bench.town.materials import BARK
from cvgl_bench.town.plots import Site, solid_table
from cvgl_bench.town.rays import CROWN_FIELDS

BROADLEAF, CONIFER, POPLAR, PALM, BUSH = range(5)
# Along a species' crown: share of its height, of its radius and of its height as half height, and
# how far the parts lie off the trunk, as a share of the radius.
PARTS: list[list[tuple[float, float, float, float]]] = [
    [(0.60, 0.80, 0.24, 0.34), (0.66, 0.70, 0.23, 0.34), (0.72, 0.62, 0.20, 0.30)],
    [(0.30, 1.00, 0.22, 0.0), (0.48, 0.80, 0.24, 0.0), (0.70, 0.50, 0.29, 0.0)],
    [(0.42, 1.00, 0.32, 0.05), (0.68, 0.80, 0.30, 0.05)],
    [(0.93, 1.00, 0.07, 0.10), (0.98, 0.70, 0.09, 0.12)],
    [(0.50, 1.00, 0.50, 0.0)],
]
# Height and radius as a share of it, least and most.
FORMS = np.array(
    [
        (4.0, 12.0, 0.27, 0.42),
        (4.0, 14.0, 0.18, 0.27),
        (9.0, 16.0, 0.09, 0.13),
        (5.0, 11.0, 0.20, 0.30),
        (1.0, 2.6, 0.50, 0.85),
    ]
)
# Share of a tree's height that its trunk reaches, and the trunk's half width as a share.
TRUNKS = np.array([(0.62, 0.026), (0.4, 0.022), (0.4, 0.018), (0.94, 0.016), (0.3, 0.03)])
BELT_METRES, TREES_IN_BELT = 22.0, 1 / 42
TREES_PER_SQUARE_METRE = {
    "houses": 1 / 190,
    "village": 1 / 170,
    "terrace": 1 / 260,
    "flats": 1 / 230,
    "works": 1 / 1200,
    "school": 1 / 300,
    "square": 1 / 160,
    "park": 1 / 110,
    "field": 1 / 6000,
    "parking": 1 / 400,
    "wood": 1 / 34,
    "pond": 1 / 150,
}
DENSEST = max(TREES_PER_SQUARE_METRE.values())


def plant(site: Site, network: Network) -> None:
    """Plant trees along some streets, in every block and in a belt around the district.

    Some stand in one year only, and the others have another size in the year of the tiles.

    Args:
        site: the district.
        network: its streets.
    """
    places, species, heights, leaves = _in_blocks(site)
    rows = [_along(site, network, number) for number in range(len(network.streets))]
    for row in rows:
        if row is not None:
            places = np.concatenate([places, row[0]])
            species = np.concatenate([species, row[1]])
            heights = np.concatenate([heights, row[2]])
            leaves = np.concatenate([leaves, row[3]])
    rng, count = site.rng, len(places)
    share, chance = rng.uniform(0.08, 0.15), rng.random(count)
    years = np.full(count, BOTH, np.uint8)
    years[chance < share] = IN_ABOVE
    years[chance < rng.uniform(0.3, 0.7) * share] = IN_STREET
    _grow(site, (places, species, heights, leaves), years)


Trees = tuple[Line, NDArray[np.intp], Line, Line]


def _along(site: Site, network: Network, number: int) -> Trees | None:
    """A row of like trees on one or both sides of a street."""
    street, rng = network.streets[number], site.rng
    chance = 0.45 * min(1.0, site.style.trees + 0.2)
    if rng.random() > (chance if street.form.pavement else 0.25 * chance):
        return None
    kind = int(rng.choice(4, p=_tall(site.style.species)))
    gap, leaves = rng.uniform(7, 17), materials.pick(rng, site.style.leaves)
    offset = 0.5 * street.form.width + street.form.pavement + 1.6
    walked = np.arange(rng.uniform(0, gap), street.walked[-1], gap)
    sides = ((-1.0,), (1.0,), (-1.0, 1.0), (-1.0, 1.0))[rng.integers(4)]
    places = np.concatenate([street.at(walked, side * offset) for side in sides])
    places = places[site.ground.free_at(places, 0.8)]
    least, most = FORMS[kind, :2]
    height = rng.uniform(least, 0.5 * (least + most)) + 1.0
    heights = height * rng.uniform(0.88, 1.12, len(places))
    kinds = np.full(len(places), kind, np.intp)
    return places, kinds, heights, np.tile(np.array(leaves), (len(places), 1))


def _tall(species: tuple[float, ...]) -> Line:
    shares = np.array(species[:BUSH])
    weights: Line = shares / shares.sum()
    return weights


def _in_blocks(site: Site) -> Trees:
    """Trees in every block, as dense as its use asks for."""
    rng, ground, side = site.rng, site.ground, site.ground.side_metres
    count = int(DENSEST * side**2)
    places, chance = rng.uniform(2, side - 2, (count, 2)), rng.random(count)
    uses = [TREES_PER_SQUARE_METRE.get(use, 0.0) for use in ground.uses]
    blocks = ground.blocks_at(places)
    density = np.array(uses)[blocks] * site.style.trees
    edge = np.minimum(places, side - places).min(axis=1)
    density[(edge < BELT_METRES) & (blocks > 0)] = TREES_IN_BELT
    wanted = (chance * DENSEST < density) & ground.free_at(places, 2.0)
    places, blocks = places[wanted], blocks[wanted]
    count = len(places)
    looks = site.blocks.looks
    usual = np.array([look.species for look in looks])[blocks]
    drawn = rng.choice(len(FORMS), count, p=site.style.species)
    species = np.where(rng.random(count) < 0.5, usual, drawn)
    least, most = FORMS[species, 0], FORMS[species, 1]
    heights = least + (most - least) * rng.beta(1.4, 1.8, count)
    leaves = np.array([look.leaves for look in looks])[blocks]
    leaves = leaves * rng.uniform(0.8, 1.2, (count, 1)) * rng.uniform(0.92, 1.08, (count, 3))
    return places, species, heights, leaves.clip(0.05, 0.9)


def _grow(site: Site, trees: Trees, years: NDArray[np.uint8]) -> None:
    """Crowns and trunks of trees."""
    rng = site.rng
    places, species, heights, leaves = trees
    form = FORMS[species]
    radius = heights * rng.uniform(form[:, 2], form[:, 3])
    growth = rng.uniform(0.75, 1.1, len(places))
    for kind, parts in enumerate(PARTS):
        own = species == kind
        count = int(own.sum())
        turn = rng.uniform(0, 2 * math.pi, count)
        dark = 0.78 if kind == CONIFER else 1.0
        for number, (up, wide, tall, off) in enumerate(parts):
            angle = turn + number * 2.2
            aside = np.stack([np.cos(angle), np.sin(angle)], axis=1)
            table = np.zeros(count, CROWN_FIELDS)
            place = places[own] + (off * radius[own])[:, None] * aside
            table["east"], table["north"] = place.T
            table["up"] = up * heights[own]
            table["radius"] = wide * radius[own] * rng.uniform(0.9, 1.1, count)
            table["half_height"] = tall * heights[own]
            table["colour"] = dark * leaves[own] * rng.uniform(0.93, 1.07, (count, 1))
            site.crowns.append((table, years[own], growth[own]))
    has_trunk = species != BUSH
    trunk = TRUNKS[species[has_trunk]]
    half = np.maximum(trunk[:, 1] * heights[has_trunk], 0.09)
    sizes = np.stack([half, half, trunk[:, 0] * heights[has_trunk]], axis=1)
    bark = np.array(BARK) * rng.uniform(0.8, 1.2, (len(half), 1))
    table = solid_table(places[has_trunk], np.array([1.0, 0.0]), sizes, (bark, bark))
    site.tables.append((table, years[has_trunk]))
