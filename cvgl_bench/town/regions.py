"""Where the town's areas lie on the globe, and what their pairs are called.

Every area (train, val, test, cross) has a plane of its own, a transverse Mercator projection of
scale 1 around the area's origin. Its districts lie on a square spiral around that origin. The most
pairs that an area can have reach 51 km, and the origins are 256 km apart, so no two areas can ever
meet. Distances in the plane are those on the globe to a millionth within 9 km of the origin's
meridian (20,000 pairs reach 8 km), and to 3 in 100,000 at the farthest.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from cvgl_bench.town.layout import SIDE_METRES

MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Region:
    """One area of the town.

    Attributes:
        first_id: of its pairs; MOST_PAIRS ids are its own.
        origin_degrees: latitude and longitude of the corner of its district 0.
        style: one of `layout.STYLES`.
        pairs: how many it has unless another number is asked for.
    """

    first_id: int
    origin_degrees: tuple[float, float]
    style: str
    pairs: int


# In the Atlantic, so that nobody takes the town for a real place.
REGIONS = {
    "train": Region(1, (40.0, -30.0), "temperate", 20_000),
    "val": Region(1 + MOST_PAIRS, (40.0, -33.0), "temperate", 1_000),
    "test": Region(1 + 2 * MOST_PAIRS, (40.0, -36.0), "temperate", 2_000),
    "cross": Region(1 + 3 * MOST_PAIRS, (40.0, -39.0), "dry", 2_000),
}


def pair_id(area: str, number: int) -> str:
    """Name a pair: seven digits, unique over all areas.

    Args:
        area: a key of REGIONS.
        number: of the pair in its area, from 1.
    """
    return f"{REGIONS[area].first_id + number - 1:07d}"


def district_cell(district: int) -> tuple[int, int]:
    """Column and row of a district: a square spiral around district 0.

    Args:
        district: its number, from 0.
    """
    if district == 0:
        return 0, 0
    # Ring r goes north, west, south and east around the ones inside it, 2 r cells each way.
    ring = (math.isqrt(district) + 1) // 2
    side, along = divmod(district - (2 * ring - 1) ** 2, 2 * ring)
    return (
        (ring, 1 - ring + along),
        (ring - 1 - along, ring),
        (-ring, ring - 1 - along),
        (1 - ring + along, -ring),
    )[side]


def district_corner(district: int) -> NDArray[np.float64]:
    """South-west corner of a district, metres east and north of its area's origin, (2,)."""
    return np.array(district_cell(district)) * SIDE_METRES


def coordinates(area: str, metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latitude and longitude of places, degrees in WGS 84, (N, 2).

    Args:
        area: a key of REGIONS.
        metres: east and north of the area's origin, (N, 2).
    """
    east, north = metres[:, 0].tolist(), metres[:, 1].tolist()
    return np.stack(_plane(area).transform(east, north), axis=1)


@functools.cache
def _plane(area: str) -> Transformer:
    latitude, longitude = REGIONS[area].origin_degrees
    plane = f"+proj=tmerc +lat_0={latitude} +lon_0={longitude} +k=1 +datum=WGS84 +units=m"
    return Transformer.from_crs(plane, "EPSG:4326")
