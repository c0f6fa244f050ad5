"""One district of the town: streets first, blocks between them, then everything that stands."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import DataError
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town import styles
from cvgl_bench.town.blocks import CHARACTERS, colour_blocks, lay_blocks, texture
from cvgl_bench.town.buildings import build_along
from cvgl_bench.town.canvas import IN_ABOVE, IN_STREET, Ground, Line
from cvgl_bench.town.cars import lay_slots, parked
from cvgl_bench.town.commons import lay_commons, lay_stream
from cvgl_bench.town.fields import hedgerows, lay_fields
from cvgl_bench.town.furniture import furnish
from cvgl_bench.town.junctions import Network, connect
from cvgl_bench.town.markings import lay_streets
from cvgl_bench.town.materials import ASPHALT, GRAVEL, MARKING
from cvgl_bench.town.planting import plant
from cvgl_bench.town.plots import Site
from cvgl_bench.town.scene import METRES_PER_PIXEL, District, Town, assemble
from cvgl_bench.town.streets import street_network
from cvgl_bench.town.styles import Style

STYLES = tuple(styles.STYLES)
SIDE_METRES = 512.0
MARGIN_METRES = 64.0
CAMERAS = 40
SPACING_METRES = 22.0
OPEN_PIXELS = 13
ATTEMPTS = 12
STREAMS = {"dense": 0.12, "suburban": 0.22, "rural": 0.4}


def build_district(
    seed: int,
    district: int = 0,
    *,
    split: str = "test",
    style: str = "temperate",
    side_metres: float = SIDE_METRES,
    cameras: int = CAMERAS,
) -> District:
    """Build one district of the town that belongs to a seed.

    A layout whose streets have no room for the cameras is drawn again.

    Args:
        seed: of the town.
        district: its number in its split; every one is built on its own.
        split: the part of the town; the same district of another split is another.
        style: one of STYLES.
        side_metres: length of each side; a multiple of 8, at least 256.
        cameras: places to find on its streets, at least SPACING_METRES apart.

    Raises:
        DataError: the side or the style does not fit, or no layout has room for so many cameras.
    """
    if side_metres < 256 or side_metres % 8:
        raise DataError(f"a district's side is a multiple of 8 m from 256 m, not {side_metres}.")
    if style not in STYLES:
        raise DataError(f"there is no style {style!r}: choose one of {', '.join(STYLES)}.")
    most = 0
    for attempt in range(ATTEMPTS):
        parts = ("cvtown", "district", seed, split, district, attempt)
        rng = generator(identity_seed(*parts[: 6 if attempt else 5]))
        network, site = _laid_out(rng, side_metres, styles.STYLES[style])
        street = _assembled(site, IN_STREET, parked(rng, np.array(site.slots).reshape(-1, 5)))
        lanes = [way.lane() for way in network.streets]
        places = camera_places(rng, lanes, street.height, street.kinds, cameras)
        most = max(most, len(places))
        if len(places) == cameras:
            cars = parked(rng, np.array(site.slots).reshape(-1, 5))
            return District(street, _assembled(site, IN_ABOVE, cars), places)
    raise DataError(
        f"district {district} of town {seed} has room for {most} cameras that are "
        f"{SPACING_METRES:g} m apart, not for {cameras}."
    )


def _laid_out(rng: np.random.Generator, side_metres: float, style: Style) -> tuple[Network, Site]:
    """A district's streets and all that stands between them, without its cars."""
    character = [*CHARACTERS][rng.choice(len(CHARACTERS), p=style.characters)]
    regular = bool(rng.random() < style.regular)
    streets = street_network(rng, side_metres, character, style, regular=regular)
    roundabouts = 0.0 if character == "rural" else rng.choice([0.0, 0.12])
    network = connect(rng, streets, side_metres, roundabouts=roundabouts)
    ground = Ground.empty(side_metres)
    blocks = lay_blocks(rng, ground, network, (character, style), regular=regular)
    fields = lay_fields(rng, ground)
    colour_blocks(rng, ground, style, fields.number)
    site = Site(rng, ground, blocks, style)
    if rng.random() < STREAMS[character]:
        lay_stream(site, network, rng.choice([3.0, 4.5, 11.0]))
    lay_commons(site)
    lay_streets(rng, ground, network, style)
    lay_slots(site, network)
    for index in rng.permutation(len(streets)):
        for side in (1.0, -1.0):
            build_along(site, streets[index], side)
    hedgerows(site, fields)
    furnish(site, network)
    plant(site, network)
    ground.other = texture(rng, ground, fields.number, blocks.crops)
    return network, site


def _assembled(site: Site, year: int, cars: NDArray[np.void]) -> Town:
    solids = np.concatenate([site.solids_in(year), cars])
    return assemble(*site.ground.in_year(year), solids, site.crowns_in(year))


def camera_places(
    rng: np.random.Generator,
    lanes: list[Line],
    height: NDArray[np.float32],
    kinds: NDArray[np.uint8],
    count: int,
) -> Line:
    """Places on the streets with open sky and room between any two, at most count, (N, 2).

    Args:
        rng: the only source of chance.
        lanes: points along every street, metres east and north, (N, 2) each.
        height: the town's, in metres.
        kinds: of its ground.
        count: places to find.
    """
    side = len(height) * METRES_PER_PIXEL
    lane = np.concatenate(lanes)
    inner = lane[((lane > MARGIN_METRES) & (lane < side - MARGIN_METRES)).all(axis=1)]
    columns, rows = (np.stack([inner[:, 0], side - inner[:, 1]]) / METRES_PER_PIXEL).astype(int)
    around = cv2.dilate(height, np.ones((OPEN_PIXELS, OPEN_PIXELS), np.uint8))
    is_street = np.isin(kinds[rows, columns], (ASPHALT, MARKING, GRAVEL))
    inner = inner[is_street & (around[rows, columns] == 0.0)]
    # Drawn at random they lie loosely; if that does not do, one after another along the streets.
    for order in (rng.permutation(len(inner)), np.arange(len(inner))):
        chosen: list[int] = []
        near = np.zeros(len(inner), bool)
        for index in order:
            if len(chosen) == count:
                break
            if not near[index]:
                chosen.append(index)
                near |= ((inner - inner[index]) ** 2).sum(axis=1) < SPACING_METRES**2
        if len(chosen) == count:
            break
    places: Line = inner[chosen].reshape(-1, 2)
    return places
