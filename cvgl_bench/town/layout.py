"""One district of the town: streets first, blocks between them, then everything that stands."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import DataError
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town.blocks import lay_ground
from cvgl_bench.town.planting import plant
from cvgl_bench.town.plots import Site, build
from cvgl_bench.town.rays import CROWN_FIELDS, SOLID_FIELDS
from cvgl_bench.town.scene import METRES_PER_PIXEL, Town, assemble
from cvgl_bench.town.streets import Line, street_network

SIDE_METRES = 512.0
MARGIN_METRES = 64.0
CAMERAS = 25
SPACING_METRES = 24.0
OPEN_PIXELS = 13


def build_town(
    seed: int, *, district: int = 0, side_metres: float = SIDE_METRES, cameras: int = CAMERAS
) -> Town:
    """Build one district of the town that belongs to a seed.

    Args:
        seed: of the town.
        district: number of the district; every one is built on its own.
        side_metres: length of each side; a multiple of 8, at least 256.
        cameras: places to find on its streets, at least SPACING_METRES apart.

    Raises:
        DataError: the side does not fit, or the streets have no room for so many cameras.
    """
    if side_metres < 256 or side_metres % 8:
        raise DataError(f"a district's side is a multiple of 8 m from 256 m, not {side_metres}.")
    rng = generator(identity_seed("cvtown", "district", seed, district))
    streets = street_network(rng, side_metres)
    site = Site(rng, lay_ground(rng, streets, side_metres))
    build(site, streets)
    plant(site, streets)
    solids, crowns = np.array(site.solids, SOLID_FIELDS), np.array(site.crowns, CROWN_FIELDS)
    town = assemble(site.ground.albedo, site.ground.kinds, solids, crowns)
    places = camera_places(rng, [street.lane() for street in streets], town.height, cameras)
    if len(places) < cameras:
        raise DataError(
            f"district {district} of town {seed} has room for {len(places)} cameras that are "
            f"{SPACING_METRES:g} m apart, not for {cameras}."
        )
    return replace(town, cameras=places)


def camera_places(
    rng: np.random.Generator, lanes: list[Line], height: NDArray[np.float32], count: int
) -> Line:
    """Places on the streets with open sky and room between any two, at most count, (N, 2).

    Args:
        rng: the only source of chance.
        lanes: points along every street, metres east and north, (N, 2) each.
        height: the town's, in metres.
        count: places to find.
    """
    side = len(height) * METRES_PER_PIXEL
    around = cv2.dilate(height, np.ones((OPEN_PIXELS, OPEN_PIXELS), np.uint8))
    lane = np.concatenate(lanes)
    inner = lane[((lane > MARGIN_METRES) & (lane < side - MARGIN_METRES)).all(axis=1)]
    columns, rows = (np.stack([inner[:, 0], side - inner[:, 1]]) / METRES_PER_PIXEL).astype(int)
    chosen: list[Line] = []
    for place in rng.permutation(inner[around[rows, columns] == 0.0]):
        if len(chosen) == count:
            break
        if all(np.hypot(*(place - other)) >= SPACING_METRES for other in chosen):
            chosen.append(place)
    return np.array(chosen).reshape(-1, 2)
