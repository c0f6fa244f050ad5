"""VIGOR (Zhu et al. 2021): tiles that cover whole cities, and panoramas anywhere between them.

    ROOT/<City>/panorama/<id>,<latitude>,<longitude>,.jpg       2048 x 1024, north in the centre
    ROOT/<City>/satellite/satellite_<latitude>_<longitude>.png  north up; the tile's centre
    ROOT/splits/<City>/satellite_list.txt                       all tiles of the city
    ROOT/splits/<City>/pano_label_balanced.txt                  all its panoramas
    ROOT/splits/<City>/same_area_balanced_{train,test}.txt      its two halves

or, as Sample4Geo has the pictures, ROOT/ground/<City>/ and ROOT/satellite/<City>/.

A line of a label file has the panorama, then four times a tile and its two offsets in pixels: the
true tile, in whose middle the panorama lies, and three semi-positives, which show its place nearer
to their edge. The corrected labels (SliceMatch, Lentsch et al. 2023) have the same lines with other
offsets, in ROOT/splits__corrected/<City>/*__corrected.txt. Offsets change no score here, but a
split says in its name which labels it is of.

Same-area has the halves of all four cities, and all their tiles are the gallery; cross-area trains
on two cities and tests on the two others, with the tiles of these. CVTown in VIGOR's layout
(`town.vigor`) is read too, as the splits `town-<area>` and its halves `town-<area>-{train,test}`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvgl_bench.datasets.base import Dataset, Gallery, Pair, Position, Reference, check
from cvgl_bench.errors import DataError

CITIES: Final = ("Chicago", "NewYork", "SanFrancisco", "Seattle")
CROSS_TRAIN: Final = ("NewYork", "Seattle")
CROSS_TEST: Final = ("Chicago", "SanFrancisco")
TOWN_AREAS: Final = ("train", "val", "test", "cross")
OBTAIN: Final = (
    "VIGOR is free for research on request from its authors: https://github.com/Jeff-Zilence/VIGOR"
)
SATELLITE_LIST: Final = "satellite_list.txt"
ALL, TRAIN, TEST = "pano_label_balanced", "same_area_balanced_train", "same_area_balanced_test"
# Where label files lie, and what their names end in.
LABELS: Final = {
    "original": (("splits", ""),),
    "corrected": (
        ("splits__corrected", "__corrected"),
        ("splits_corrected", "__corrected"),
        ("splits", "__corrected"),
    ),
}

_DEGREES: Final = r"(-?[0-9]{1,3}(?:\.[0-9]{1,20})?)"
_PANORAMA: Final = re.compile(
    rf"([A-Za-z0-9_-]{{1,64}}),{_DEGREES},{_DEGREES},?\.(?:jpe?g|png)", re.ASCII
)
TILE_STEM: Final = rf"satellite_{_DEGREES}_{_DEGREES}"
_TILE: Final = re.compile(rf"{TILE_STEM}\.(?:png|jpe?g)", re.ASCII)
_WORDS: Final = 13


@dataclass(frozen=True)
class Wanted:
    """What a split stands for.

    Attributes:
        cities: whose tiles are the gallery, in order.
        file: the label file of each, without its ending.
        labels: a key of LABELS.
    """

    cities: tuple[str, ...]
    file: str
    labels: str = "original"


def _splits() -> dict[str, Wanted]:
    made = {}
    for labels in LABELS:
        mark = "" if labels == "original" else f"-{labels}"
        made[f"same-train{mark}"] = Wanted(CITIES, TRAIN, labels)
        made[f"same-test{mark}"] = Wanted(CITIES, TEST, labels)
        made[f"cross-train{mark}"] = Wanted(CROSS_TRAIN, ALL, labels)
        made[f"cross-test{mark}"] = Wanted(CROSS_TEST, ALL, labels)
    for area in TOWN_AREAS:
        city = (f"{area.capitalize()}Town",)
        made[f"town-{area}"] = Wanted(city, ALL)
        made[f"town-{area}-train"] = Wanted(city, TRAIN)
        made[f"town-{area}-test"] = Wanted(city, TEST)
    return made


SPLITS: Final = _splits()


@dataclass(frozen=True)
class Label:
    """A line of a label file.

    Attributes:
        id: of the panorama.
        panorama: its file's name.
        position: where it was taken.
        tiles: the names of four tiles' files, the true one first.
        offsets: of each, pixels that the panorama lies below and left of its centre.
    """

    id: str
    panorama: str
    position: Position
    tiles: tuple[str, ...]
    offsets: tuple[tuple[float, float], ...]


def load(root: Path, split: str) -> Dataset:
    """List the queries and tiles of a split.

    Args:
        root: the folder that holds the cities, or `ground` and `satellite`.
        split: a key of SPLITS.

    Raises:
        DataError: a list is missing or malformed, or pictures are missing.
    """
    return check(listed(root, split), root)


def listed(root: Path, split: str) -> Dataset:
    """As `load`, without looking whether the pictures are there."""
    wanted = SPLITS[split]
    references: list[Reference] = []
    pairs: list[Pair] = []
    true: dict[str, tuple[int, ...]] = {}
    semi_positive: dict[str, tuple[int, ...]] = {}
    for city in wanted.cities:
        tile_list, label_file = lists_of(root, city, wanted)
        panoramas, tiles = folders_of(root, city)
        rows: dict[str, int] = {}
        for name in read_tiles(tile_list):
            rows[name] = len(references)
            path = tiles / name
            references.append(Reference(path.stem, path, tile_position(name)))
        for label in read_labels(label_file):
            if strangers := [name for name in label.tiles if name not in rows]:
                raise DataError(
                    f"{label_file} gives {label.panorama} the tile '{strangers[0]}', which is not "
                    f"in {tile_list}."
                )
            own, *others = (rows[name] for name in label.tiles)
            tile = references[own]
            path = panoramas / label.panorama
            pairs.append(Pair(label.id, path, tile.picture, label.position, tile.position))
            true[label.id], semi_positive[label.id] = (own,), tuple(others)
    gallery = Gallery(tuple(references), true, semi_positive)
    return Dataset("vigor", tuple(pairs), gallery)


def lists_of(root: Path, city: str, wanted: Wanted) -> tuple[Path, Path]:
    """The list of a city's tiles and the label file that a split wants.

    Raises:
        DataError: they are missing.
    """
    places = LABELS[wanted.labels]
    for folder, ending in places:
        labels = root / folder / city / f"{wanted.file}{ending}.txt"
        if labels.is_file():
            tiles = labels.with_name(SATELLITE_LIST)
            if not tiles.is_file():
                raise DataError(f"{tiles} is missing, the list of the tiles of {city}. {OBTAIN}")
            return tiles, labels
    folder, ending = places[0]
    first = root / folder / city / f"{wanted.file}{ending}.txt"
    raise DataError(
        f"{first} is missing, so {root} is no VIGOR folder with {wanted.labels} labels. {OBTAIN}"
    )


def folders_of(root: Path, city: str) -> tuple[Path, Path]:
    """The folders of a city's panoramas and tiles, in whichever of the two layouts.

    Raises:
        DataError: neither is there.
    """
    for panoramas, tiles in (
        (root / city / "panorama", root / city / "satellite"),
        (root / "ground" / city, root / "satellite" / city),
    ):
        if panoramas.is_dir() and tiles.is_dir():
            return panoramas, tiles
    raise DataError(
        f"{root} has no pictures of {city}: neither {city}/panorama and {city}/satellite nor "
        f"ground/{city} and satellite/{city}. {OBTAIN}"
    )


def read_tiles(path: Path) -> list[str]:
    """The names in a satellite_list.txt, in order.

    Raises:
        DataError: it cannot be read, or a line is no tile's name or there twice.
    """
    names: dict[str, int] = {}
    for number, name in _lines(path):
        if not _TILE.fullmatch(name):
            raise DataError(f"{path}, line {number}: '{name[:100]}' is no name of a tile.")
        if name in names:
            raise DataError(f"{path}, line {number}: the tile '{name}' is there twice.")
        names[name] = number
    return list(names)


def tile_position(name: str) -> Position:
    """Where a tile's centre is, by the name of its file."""
    match = _TILE.fullmatch(name)
    if match is None:
        raise DataError(f"'{name[:100]}' is no name of a tile.")
    return Position(float(match[1]), float(match[2]))


def read_labels(path: Path) -> Iterator[Label]:
    """Yield what the lines of a label file say.

    Raises:
        DataError: it cannot be read, or a line is none of a label file.
    """
    for number, line in _lines(path):
        try:
            yield _label(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}.") from error


def _label(line: str) -> Label:
    words = line.split()
    if len(words) != _WORDS:
        raise ValueError(
            f"a panorama and four times a tile and two offsets were expected, not {len(words)} "
            "words"
        )
    match = _PANORAMA.fullmatch(words[0])
    if match is None:
        raise ValueError(f"'{words[0][:100]}' is no name of a panorama")
    tiles = tuple(words[1::3])
    if wrong := [name for name in tiles if not _TILE.fullmatch(name)]:
        raise ValueError(f"'{wrong[0][:100]}' is no name of a tile")
    offsets = tuple(
        (float(below), float(left)) for below, left in zip(words[2::3], words[3::3], strict=True)
    )
    if not all(math.isfinite(value) for pair in offsets for value in pair):
        raise ValueError("an offset is no number")
    return Label(match[1], words[0], Position(float(match[2]), float(match[3])), tiles, offsets)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list: {error}.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()
