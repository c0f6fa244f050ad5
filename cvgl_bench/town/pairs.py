"""The town in CVUSA's layout: a tile and a panorama a pair, the tile's centre the geotag.

    ROOT/bingmap/19/<id>.jpg             tile, north up
    ROOT/streetview/panos/<id>.jpg       panorama, north in the centre column
    ROOT/splits/<area>-19zl.csv          aerial path, panorama path, annotation path
    ROOT/split_locations/<area>.csv      id, aerial and ground latitude and longitude; a header
    ROOT/<area>.json                     what the area was made with; written last

A geotag is never exact: the tile's centre is off the camera by a normal error of ERROR_METRES in
each direction, and never by more than MOST_ERROR_METRES. Both positions are written.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.datasets.cvtown import LOCATION_FIELDS
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import CAMERAS, build_district
from cvgl_bench.town.order import NAME, TILE_METRES, Order, Picture
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.parts import Part
from cvgl_bench.town.regions import REGIONS, coordinates, district_corner, pair_id
from cvgl_bench.town.scene import District

ERROR_METRES, MOST_ERROR_METRES = 1.5, 4.0


def position_error(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how far a geotag is from the camera, metres east and north, (2,)."""
    while True:
        error = rng.normal(0.0, ERROR_METRES, 2)
        if np.hypot(*error) <= MOST_ERROR_METRES:
            return error


def render(order: Order, district: int) -> Part:
    """Make the pictures of a district."""
    style = REGIONS[order.area].style
    built = build_district(order.seed, district, split=order.area, style=style)
    cameras = [built.cameras[(number - 1) % CAMERAS] for number in order.numbers(district)]
    ids = [pair_id(order.area, number) for number in order.numbers(district)]
    pictures, geotags = [], []
    for identity, camera in zip(ids, cameras, strict=True):
        geotag = camera + position_error(_chance(order, identity, "position"))
        geotags.append(geotag)
        pictures += _pictures(order, built, identity, camera, geotag)
    aerial, ground = (
        coordinates(order.area, district_corner(district) + np.array(places))
        for places in (geotags, cameras)
    )
    locations = [
        ",".join((identity, *(f"{degrees:.9f}" for degrees in position)))
        for identity, position in zip(ids, np.hstack([aerial, ground]).tolist(), strict=True)
    ]
    rows = [",".join((*_paths(i), f"streetview/annotations/{i}.png")) for i in ids]
    return Part(pictures, dict(zip(headers(order), (rows, locations), strict=True)))


def headers(order: Order) -> dict[str, list[str]]:
    """Every list file, and the lines it begins with."""
    return {
        f"splits/{order.area}-19zl.csv": [],
        f"split_locations/{order.area}.csv": [",".join(LOCATION_FIELDS)],
    }


def listed(order: Order) -> Iterator[str]:
    """Paths of all pictures of a finished area."""
    for number in range(1, order.pairs + 1):
        yield from _paths(pair_id(order.area, number))


def _paths(identity: str) -> tuple[str, str]:
    return f"bingmap/19/{identity}.jpg", f"streetview/panos/{identity}.jpg"


def _chance(order: Order, identity: str, what: str) -> np.random.Generator:
    return generator(identity_seed(NAME, order.area, order.seed, identity, what))


def _pictures(
    order: Order,
    built: District,
    identity: str,
    camera: NDArray[np.float64],
    geotag: NDArray[np.float64],
) -> list[str]:
    size = order.size
    (x, y), (east, north) = camera.tolist(), geotag.tolist()
    aerial, ground = _paths(identity)

    def tile() -> Picture:
        scale = TILE_METRES / size.aerial
        rng = _chance(order, identity, "aerial")
        return render_aerial(
            built.above, east, north, rng, size=size.aerial, metres_per_pixel=scale
        )

    def panorama() -> Picture:
        rng, edges = _chance(order, identity, "panorama"), size.elevation_degrees
        return render_panorama(built.street, x, y, rng, size=size.panorama, elevation_degrees=edges)

    return [order.keep(aerial, tile), order.keep(ground, panorama)]
