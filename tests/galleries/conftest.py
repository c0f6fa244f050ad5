"""Fake trees of data sets whose galleries are not one tile a query, in their exact layouts."""

import math

import numpy as np
import pytest
from PIL import Image

from cvgl_bench.datasets.vigor import CITIES

METRES_A_DEGREE = 6_371_004 * math.pi / 180
# Of a tile that is 640 pixels wide, as the labels take it to be: all cities alike, or each its own.
ORIGINAL = dict.fromkeys(CITIES, 0.114)
CORRECTED = {"Chicago": 0.111, "NewYork": 0.113, "SanFrancisco": 0.118, "Seattle": 0.101}
SIDE = 3
STEP_DEGREES = 0.0003


def picture(seed, height, width):
    """A picture of few colours that another size of it keeps."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def make_vigor(tmp_path):
    """A function that writes a fake VIGOR folder: nine tiles and four panoramas a city."""

    def make(*, layout="official", labels=("original",), panorama=(32, 64), tile=24, name="VIGOR"):
        root = tmp_path / name
        for number, city in enumerate(CITIES):
            corner = (40 + number, -80 - number)
            grid = [
                (corner[0] + STEP_DEGREES * row, corner[1] + STEP_DEGREES * column)
                for row in range(SIDE)
                for column in range(SIDE)
            ]
            tiles = [f"satellite_{north:.9f}_{east:.9f}.png" for north, east in grid]
            grounds, skies = (
                (f"{city}/panorama", f"{city}/satellite")
                if layout == "official"
                else (f"ground/{city}", f"satellite/{city}")
            )
            for place, tile_name in enumerate(tiles):
                save(root / skies / tile_name, picture((number, place), tile, tile))
            # Two of the four are in the middle of the first tile, which so has two queries.
            cameras = []
            for each, place in enumerate((0, 0, 4, 8)):
                north, east = grid[place]
                spot = north + 0.00002 * (each + 1), east - 0.00003
                camera = f"{city[:3]}-pano_{each:012d},{spot[0]:.6f},{spot[1]:.6f},.jpg"
                save(root / grounds / camera, picture((number, place), *panorama))
                cameras.append((camera, spot))
            for version in labels:
                write_labels(root, city, version, (tiles, grid, cameras))
        return root

    return make


def write_labels(root, city, version, pictures):
    """Write the four lists of a city, with offsets of a version's resolution."""
    tiles, grid, cameras = pictures
    folder, ending, scale = (
        ("splits", "", ORIGINAL)
        if version == "original"
        else ("splits__corrected", "__corrected", CORRECTED)
    )
    lines = []
    for camera, (north, east) in cameras:
        nearest = sorted(range(len(grid)), key=lambda i: math.dist(grid[i], (north, east)))[:4]
        words = [camera]
        for place in nearest:
            up = (grid[place][0] - north) * METRES_A_DEGREE / scale[city]
            right = (grid[place][1] - east) * METRES_A_DEGREE / scale[city]
            right *= math.cos(math.radians(north))
            words += [tiles[place], f"{up:.1f}", f"{right:.1f}"]
        lines.append(" ".join(words))
    lists = root / folder / city
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "satellite_list.txt").write_text("\n".join(tiles) + "\n")
    for file, part in (
        ("pano_label_balanced", lines),
        ("same_area_balanced_train", lines[1:2]),
        ("same_area_balanced_test", [lines[0], *lines[2:]]),
    ):
        (lists / f"{file}{ending}.txt").write_text("\n".join(part) + "\n")


@pytest.fixture
def make_university(tmp_path):
    """A function that writes a fake University-1652: three buildings, and one nobody asks for."""

    def make(*, size=24, name="University-Release"):
        root = tmp_path / name
        for building in range(4):
            folder, test = f"{building + 1:04d}", "gallery" if building == 3 else "query"
            drones = [picture((building, 7), size, size) for _ in range(3)]
            satellite = picture((building, 7), size, size)
            for kind in {test, "gallery"}:
                save(root / f"test/{kind}_satellite/{folder}/{folder}.jpg", satellite)
                for number, drone in enumerate(drones, start=1):
                    save(root / f"test/{kind}_drone/{folder}/image-{number:02d}.jpeg", drone)
            if building < 2:
                other = f"{building + 1000}"
                save(root / f"train/satellite/{other}/{other}.jpg", satellite)
                for number, drone in enumerate(drones, start=1):
                    save(root / f"train/drone/{other}/image-{number:02d}.jpeg", drone)
        return root

    return make
