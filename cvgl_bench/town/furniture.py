"""Street furniture: lamp posts, poles, shelters, cabinets and bins."""

import numpy as np

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import BOTH, Line
from cvgl_bench.town.facades import BANDS
from cvgl_bench.town.junctions import Network
from cvgl_bench.town.materials import STEEL
from cvgl_bench.town.plots import Footprint, Site, solid_row, solid_table

EAST = np.array([1.0, 0.0])


def furnish(site: Site, network: Network) -> None:
    """Put up what stands on pavements.

    Args:
        site: the district.
        network: its streets.
    """
    for number, street in enumerate(network.streets):
        if street.form.pavement:
            _lamps(site, network, number)
            _boxes(site, network, number)
        elif street.kind == "road":
            _poles(site, network, number)


def _lamps(site: Site, network: Network, number: int) -> None:
    """Lamp posts on one side, on both or in turn."""
    street, rng = network.streets[number], site.rng
    gap, high = rng.uniform(22, 36), rng.uniform(4.5, 9.0)
    walked = np.arange(rng.uniform(3, gap), street.walked[-1], gap)
    walked = walked[network.clear(number, walked, 2.0)]
    if not len(walked):
        return
    turn = rng.choice(3)
    sides = np.where(np.arange(len(walked)) % 2 == 0, 1.0, -1.0) if turn == 0 else turn * 2.0 - 3.0
    offset = np.broadcast_to(sides * (0.5 * street.form.width + 0.6), walked.shape)
    places = _on_land(site, street.at(walked, offset))
    posts = (Footprint(place, EAST, 0.3, 0.3).corners() for place in places)
    places = places[[site.ground.claim(post, on_street=True) for post in posts]]
    table = solid_table(places, EAST, (0.08, 0.08, high), (STEEL, STEEL))
    site.tables.append((table, np.full(len(table), BOTH, np.uint8)))


def _poles(site: Site, network: Network, number: int) -> None:
    """Wooden poles along a road in the country."""
    street, rng = network.streets[number], site.rng
    walked = np.arange(rng.uniform(5, 40), street.walked[-1], rng.uniform(34, 48))
    walked = walked[network.clear(number, walked, 4.0)]
    places = _on_land(site, street.at(walked, rng.choice((-1.0, 1.0)) * (street.edge + 2.0)))
    table = solid_table(places, EAST, (0.10, 0.10, 7.0), (materials.BARK, materials.BARK))
    site.tables.append((table, np.full(len(table), BOTH, np.uint8)))


def _boxes(site: Site, network: Network, number: int) -> None:
    """Shelters at stops, cabinets and bins, some in one year only."""
    street, rng = network.streets[number], site.rng
    for _ in range(rng.poisson(street.walked[-1] / 130)):
        walked = rng.uniform(5, max(6.0, street.walked[-1] - 5))
        if not network.clear(number, np.array([walked]), 6.0)[0]:
            continue
        side = float(rng.choice((-1, 1)))
        normal = street.normals_at(np.array(walked))
        axis = np.array([normal[1], -normal[0]]) / np.hypot(*normal)
        place = street.at(np.array(walked), side * (street.edge - 0.55))
        is_shelter = street.kind in ("street", "avenue") and rng.random() < 0.35
        size = (3.6, 1.0) if is_shelter else (rng.uniform(0.5, 1.3), 0.5)
        base = Footprint(place, axis, *size)
        if not site.ground.claim(base.corners(), on_street=True):
            continue
        colour = materials.pick(rng, materials.SIGNS)
        if is_shelter:
            colours = (materials.GLASS, colour)
            site.add(solid_row(base, 2.4, colours, windows=(1.2, 0.8), facade=BANDS))
        else:
            high = rng.uniform(0.9, 1.5)
            site.add(solid_row(base, high, (colour, colour)), site.drawn_years(0.5))


def _on_land(site: Site, places: Line) -> Line:
    inside = (places > 1).all(axis=1) & (places < site.ground.side_metres - 1).all(axis=1)
    return places[inside]
