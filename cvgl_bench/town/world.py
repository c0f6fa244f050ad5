"""A town on disk in CVUSA's layout: districts side by side, a tile and a panorama a camera.

    ROOT/bingmap/19/<id>.jpg            tile, north up
    ROOT/streetview/panos/<id>.jpg      panorama, north in the centre column
    ROOT/splits/val-19zl.csv            aerial path, panorama path, annotation path
    ROOT/split_locations/all.csv        row <id> - 1: aerial and ground latitude and longitude, 0
    ROOT/town.json                      what it was made with; written last

Pair k stands in district (k - 1) // CAMERAS and every district is built from its own seed, so a
pair is the same whatever the number of pairs.
"""

import functools
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer

from cvgl_bench.datasets.cvtown import GENERATOR_VERSION
from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import write_atomically
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import CAMERAS, SIDE_METRES, build_town
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.scene import Town

NAME = "cvtown"
# In the Atlantic, so that nobody takes the town for a real place.
ORIGIN_DEGREES = (40.0, -30.0)
TILE_METRES = 76.8
JPEG_QUALITY = 92
PAIRS_A_TASK = 5
RECORD = "town.json"
SPLIT, POSITIONS = "splits/val-19zl.csv", "split_locations/all.csv"
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class _Task:
    """Pairs of one district that a worker renders together."""

    root: Path
    seed: int
    panorama_size: tuple[int, int]
    aerial_size: int
    district: int
    ids: tuple[int, ...]


def write_town(
    root: Path,
    *,
    pairs: int,
    seed: int,
    panorama_size: tuple[int, int] = (112, 616),
    aerial_size: int = 256,
    workers: int = 1,
    progress: Progress = no_progress,
) -> Path:
    """Write a town as a data set and return its folder; the same arguments give the same bytes.

    An interrupted run goes on where it was; in a finished town only missing pictures are made.

    Args:
        root: folder of the data set; new, empty, or this very town.
        pairs: tiles and panoramas to make.
        seed: of the town.
        panorama_size: rows and columns of the panoramas.
        aerial_size: pixels each way of the tiles, which always show TILE_METRES.
        workers: processes; they change no byte.
        progress: told the number of pairs that have just been finished or found finished.

    Raises:
        DataError: a number makes no sense, or the folder holds something else.
    """
    numbers = {"pairs": pairs, "tile size": aerial_size, "workers": workers}
    numbers |= {"panorama height": panorama_size[0], "panorama width": panorama_size[1]}
    for what, value in numbers.items():
        if value < 1:
            raise DataError(f"a town needs at least 1 for its {what}, not {value}.")
    record = _record(pairs, seed, panorama_size, aerial_size)
    _refuse_another(root, record)
    if _is_complete(root, pairs):
        progress(pairs)
        return root
    scratch = root / UNFINISHED
    write_atomically(scratch / RECORD, record)
    tasks = [
        _Task(root, seed, panorama_size, aerial_size, district, ids)
        for district, ids in _shares(pairs)
    ]
    places: dict[int, NDArray[np.float64]] = {}
    for found in run_local(_render, tasks, workers=workers):
        places |= found
        progress(len(found))
    _write_lists(root, places)
    write_atomically(root / RECORD, record, scratch=scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    return root


def _record(pairs: int, seed: int, panorama_size: tuple[int, int], aerial_size: int) -> bytes:
    record: dict[str, Any] = {
        "name": NAME,
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "pairs": pairs,
        "panorama_size": list(panorama_size),
        "aerial_size": aerial_size,
        "aerial_metres_per_pixel": TILE_METRES / aerial_size,
        "origin_degrees": {"latitude": ORIGIN_DEGREES[0], "longitude": ORIGIN_DEGREES[1]},
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def _refuse_another(root: Path, record: bytes) -> None:
    """Refuse a folder that holds anything but this very town, finished or begun."""
    if not root.exists():
        return
    # A run that is killed at its first step leaves nothing but its scratch folder.
    if root.is_dir() and all(entry.name == UNFINISHED for entry in root.iterdir()):
        scratch = root / UNFINISHED
        if not (scratch / RECORD).is_file():
            return
    for path in (root / UNFINISHED / RECORD, root / RECORD):
        if path.is_file() and path.read_bytes() == record:
            return
    raise DataError(
        f"{root} is not empty and holds no town with the seed, number of pairs and sizes that "
        "were asked for. Nothing was written: name another folder, or remove this one."
    )


def _is_complete(root: Path, pairs: int) -> bool:
    pictures = (path for number in range(1, pairs + 1) for path in _paths(number))
    return all((root / path).is_file() for path in (RECORD, SPLIT, POSITIONS, *pictures))


def _shares(pairs: int) -> list[tuple[int, tuple[int, ...]]]:
    """Districts and ids, a few pairs a task."""
    shares = []
    for first in range(1, pairs + 1, PAIRS_A_TASK):
        last = min(first + PAIRS_A_TASK, pairs + 1)
        shares.append(((first - 1) // CAMERAS, tuple(range(first, last))))
    return shares


@functools.lru_cache(maxsize=1)
def _district(seed: int, district: int) -> Town:
    return build_town(seed, district=district)


def _render(task: _Task) -> dict[int, NDArray[np.float64]]:
    """Write the pictures of a few pairs; returns where in the town each was taken, in metres."""
    town = _district(task.seed, task.district)
    corner = np.array(district_cell(task.district)) * SIDE_METRES
    places = {}
    for number in task.ids:
        x, y = town.cameras[(number - 1) % CAMERAS].tolist()
        places[number] = corner + np.array([x, y])
        aerial, ground = (task.root / path for path in _paths(number))
        if not aerial.is_file():
            rng = generator(identity_seed(NAME, task.seed, number, "aerial"))
            size = task.aerial_size
            tile = render_aerial(town, x, y, rng, size=size, metres_per_pixel=TILE_METRES / size)
            _write_picture(aerial, tile, task.root)
        if not ground.is_file():
            rng = generator(identity_seed(NAME, task.seed, number, "panorama"))
            panorama = render_panorama(town, x, y, rng, size=task.panorama_size)
            _write_picture(ground, panorama, task.root)
    return places


def _paths(number: int) -> tuple[str, str]:
    return f"bingmap/19/{number:07d}.jpg", f"streetview/panos/{number:07d}.jpg"


def _write_picture(path: Path, picture: NDArray[np.uint8], root: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    write_atomically(path, buffer.getvalue(), scratch=root / UNFINISHED)


def _write_lists(root: Path, places: dict[int, NDArray[np.float64]]) -> None:
    numbers = sorted(places)
    split = [",".join((*_paths(n), f"streetview/annotations/{n:07d}.png")) for n in numbers]
    positions = []
    for latitude, longitude in coordinates(np.array([places[n] for n in numbers])).tolist():
        position = f"{latitude:.9f},{longitude:.9f}"
        positions.append(f"{position},{position},0")
    for name, lines in ((SPLIT, split), (POSITIONS, positions)):
        text = "\n".join(lines) + "\n"
        write_atomically(root / name, text.encode(), scratch=root / UNFINISHED)


def district_cell(district: int) -> tuple[int, int]:
    """Column and row of a district: a square spiral around district 0.

    Args:
        district: its number, from 0.
    """
    column = row = 0
    step, heading = 1, 0
    left = step
    for _ in range(district):
        column += (1, 0, -1, 0)[heading]
        row += (0, 1, 0, -1)[heading]
        left -= 1
        if left == 0:
            heading = (heading + 1) % 4
            step += heading % 2 == 0
            left = step
    return column, row


def coordinates(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latitude and longitude of places in the town, degrees in WGS 84, (N, 2).

    A transverse Mercator projection of scale 1 around ORIGIN_DEGREES: its distances are true to a
    millionth within 9 km of that meridian.

    Args:
        metres: east and north of the origin, (N, 2).
    """
    latitude, longitude = ORIGIN_DEGREES
    plane = f"+proj=tmerc +lat_0={latitude} +lon_0={longitude} +k=1 +datum=WGS84 +units=m"
    back = Transformer.from_crs(plane, "EPSG:4326")
    return np.stack(back.transform(metres[:, 0].tolist(), metres[:, 1].tolist()), axis=1)
