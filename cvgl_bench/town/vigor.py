"""The town in VIGOR's layout: tiles on a grid, panoramas anywhere between their centres.

    ROOT/<City>/panorama/<id>,<latitude>,<longitude>,.jpg      north in the centre column
    ROOT/<City>/satellite/satellite_<latitude>_<longitude>.png  north up; the tile's centre
    ROOT/splits/<City>/satellite_list.txt                      names of all tiles: the gallery
    ROOT/splits/<City>/pano_label_balanced.txt                 every panorama with its four tiles
    ROOT/splits/<City>/same_area_balanced_{train,test}.txt     the panoramas of odd and even id
    ROOT/splits/<City>/positions.csv                           picture, latitude, longitude
    ROOT/<area>.json                                           written last

<City> is TrainTown, ValTown, TestTown or CrossTown: give your loader these for Seattle and others.
Same-area trains and tests on the two halves of a city, with all its tiles as the gallery;
cross-area trains on one city's pano_label_balanced and tests on another's.

The tiles (TILE_METRES wide) lie on a grid of half their width, so each overlaps its neighbours by
half and every place is on four of them. The one whose centre is nearest is the panorama's
positive: the panorama lies in its central quarter. The other three are its semi-positives, nearest
first. A label line has the panorama, then four times a tile and two offsets, separated by blanks.

The offsets are VIGOR's, in pixels of a tile that is OFFSET_PIXELS wide whatever the size of the
files, since its loaders divide by that number: first the rows that the panorama lies below (south
of) the tile's centre, then the columns that it lies to the left (west) of it. Positions are exact:
VIGOR's task is to find them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.files import read
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import CAMERAS, MARGIN_METRES, SIDE_METRES, build_district
from cvgl_bench.town.order import NAME, TILE_METRES, Order, Picture
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.parts import Part
from cvgl_bench.town.regions import REGIONS, coordinates, district_corner, pair_id
from cvgl_bench.town.scene import District

OFFSET_PIXELS = 640
STEP_METRES = TILE_METRES / 2
_STEPS = int(np.ceil(round((SIDE_METRES - 2 * MARGIN_METRES) / STEP_METRES, 6)))
_FIRST_METRES = (SIDE_METRES - _STEPS * STEP_METRES) / 2

Places = NDArray[np.float64]


def tile_centres() -> Places:
    """Centres of a district's tiles, metres east and north of its corner, (N, 2), by rows."""
    along = _FIRST_METRES + STEP_METRES * np.arange(_STEPS + 1)
    north, east = np.meshgrid(along, along, indexing="ij")
    return np.stack([east.ravel(), north.ravel()], axis=1)


def nearest_tiles(place: Places) -> NDArray[np.int64]:
    """The four tiles that show a place, the one with the nearest centre first.

    Args:
        place: metres east and north of the district's corner, between the outermost centres, (2,).

    Returns:
        Rows of `tile_centres`, (4,).
    """
    cell = np.clip(np.floor((place - _FIRST_METRES) / STEP_METRES).astype(int), 0, _STEPS - 1)
    corners = cell + np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    found = corners[:, 1] * (_STEPS + 1) + corners[:, 0]
    away = np.hypot(*(tile_centres()[found] - place).T)
    return np.asarray(found[np.argsort(away, kind="stable")], np.int64)


def offsets(place: Places, centre: Places) -> tuple[float, float]:
    """Pixels (of OFFSET_PIXELS a tile) that a place lies below and left of a tile's centre."""
    east, north = ((place - centre) * OFFSET_PIXELS / TILE_METRES).tolist()
    return -north, -east


def render(order: Order, district: int) -> Part:
    """Make the pictures of a district."""
    built = build_district(order.seed, district, split=order.area, style=REGIONS[order.area].style)
    ids = [pair_id(order.area, number) for number in order.numbers(district)]
    cameras = built.cameras[[(number - 1) % CAMERAS for number in order.numbers(district)]]
    tile_degrees, camera_degrees = (
        _words(coordinates(order.area, district_corner(district) + places))
        for places in (tile_centres(), cameras)
    )
    tiles = [f"satellite_{north}_{east}.png" for north, east in tile_degrees]
    names = [
        f"{i},{north},{east},.jpg" for i, (north, east) in zip(ids, camera_degrees, strict=True)
    ]
    pictures = _render_tiles(order, built, district, tiles)
    pictures += _render_panoramas(order, built, ids, names, cameras)
    labels = [_label(name, place, tiles) for name, place in zip(names, cameras, strict=True)]
    odd, even = (
        [label for i, label in zip(ids, labels, strict=True) if int(i) % 2 == rest]
        for rest in (1, 0)
    )
    positions = [
        f'"{name}",{north},{east}'
        for name, (north, east) in zip(tiles + names, tile_degrees + camera_degrees, strict=True)
    ]
    lists = (tiles, labels, odd, even, positions)
    return Part(pictures, dict(zip(headers(order), lists, strict=True)))


def headers(order: Order) -> dict[str, list[str]]:
    """Every list file, and the lines it begins with."""
    names = ("satellite_list", "pano_label_balanced")
    halves = ("same_area_balanced_train", "same_area_balanced_test")
    texts = [f"splits/{_city(order)}/{name}.txt" for name in (*names, *halves)]
    positions = {f"splits/{_city(order)}/positions.csv": ["picture,latitude,longitude"]}
    return {text: [] for text in texts} | positions


def listed(order: Order) -> Iterator[str]:
    """Paths of all pictures of a finished area."""
    tiles, labels, *_ = (order.root / name for name in headers(order))
    for path in (tiles, labels):
        for line in read(path).decode(errors="replace").splitlines():
            yield _path(order, line.split(" ")[0])


def _city(order: Order) -> str:
    return f"{order.area.capitalize()}Town"


def _path(order: Order, name: str) -> str:
    return f"{_city(order)}/{'satellite' if name.endswith('.png') else 'panorama'}/{name}"


def _words(degrees: Places) -> list[tuple[str, str]]:
    return [(f"{north:.9f}", f"{east:.9f}") for north, east in degrees.tolist()]


def _label(name: str, place: Places, tiles: list[str]) -> str:
    words, centres = [name], tile_centres()
    for tile in nearest_tiles(place).tolist():
        words += [tiles[tile], *(f"{pixels:.4f}" for pixels in offsets(place, centres[tile]))]
    return " ".join(words)


def _render_tiles(order: Order, built: District, district: int, names: list[str]) -> list[str]:
    size, pictures = order.size.aerial, []
    for number, (name, (x, y)) in enumerate(zip(names, tile_centres().tolist(), strict=True)):
        seed = identity_seed(NAME, order.area, order.seed, "grid", district, number)

        def tile(x: float = x, y: float = y, seed: int = seed) -> Picture:
            scale = TILE_METRES / size
            return render_aerial(
                built.above, x, y, generator(seed), size=size, metres_per_pixel=scale
            )

        pictures.append(order.keep(_path(order, name), tile))
    return pictures


def _render_panoramas(
    order: Order, built: District, ids: list[str], names: list[str], cameras: Places
) -> list[str]:
    size, pictures = order.size, []
    for identity, name, (x, y) in zip(ids, names, cameras.tolist(), strict=True):
        seed = identity_seed(NAME, order.area, order.seed, identity, "panorama")

        def panorama(x: float = x, y: float = y, seed: int = seed) -> Picture:
            edges = size.elevation_degrees
            return render_panorama(
                built.street, x, y, generator(seed), size=size.panorama, elevation_degrees=edges
            )

        pictures.append(order.keep(_path(order, name), panorama))
    return pictures
