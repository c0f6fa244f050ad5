"""University-1652 (Zheng et al. 2020): buildings seen by a drone and from above.

    ROOT/train/{drone,satellite}/<building>/*.{jpg,jpeg,png}
    ROOT/test/query_drone/<building>/*        ROOT/test/gallery_satellite/<building>/*
    ROOT/test/query_satellite/<building>/*    ROOT/test/gallery_drone/<building>/*

Splits: `d2s` asks with every drone picture for the building's satellite picture, `s2d` with every
satellite picture for the building's drone pictures, of which any counts; both galleries hold
buildings that nobody asks for. `train` asks as d2s does, on the buildings to train on.

Drone pictures go to a model's ground encoder and satellite pictures to its aerial one, whichever of
them ask. None is a panorama, so there are no views of them, and no positions are known. Street and
Google pictures are left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cvgl_bench.datasets.base import Dataset, Gallery, Pair, Reference, check
from cvgl_bench.errors import DataError

OBTAIN: Final = (
    "University-1652 is free for research on request from its authors: "
    "https://github.com/layumi/University1652-Baseline"
)
ENDINGS: Final = (".jpg", ".jpeg", ".png")
_BUILDING: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """What a split stands for.

    Attributes:
        queries: folder of the queries' buildings.
        references: folder of the gallery's.
        query_side: the encoder that sees the queries.
    """

    queries: str
    references: str
    query_side: Literal["ground", "aerial"]


SPLITS: Final = {
    "train": Wanted("train/drone", "train/satellite", "ground"),
    "d2s": Wanted("test/query_drone", "test/gallery_satellite", "ground"),
    "s2d": Wanted("test/query_satellite", "test/gallery_drone", "aerial"),
}


@dataclass(frozen=True)
class Photo:
    """A picture of a building.

    Attributes:
        building: its folder's name.
        id: building and file, unique in its folder of folders.
        path: the file.
    """

    building: str
    id: str
    path: Path


def load(root: Path, split: str) -> Dataset:
    """List the queries and references of a split, by building and then by file name.

    Args:
        root: the folder that holds `train` and `test`.
        split: "train", "d2s" or "s2d".

    Raises:
        DataError: a folder is missing or empty, or a query's building is not in the gallery.
    """
    return check(listed(root, split), root)


def listed(root: Path, split: str) -> Dataset:
    """As `load`, without looking whether ids and pictures can be used."""
    wanted = SPLITS[split]
    queries, gallery = (
        list(photos(root / folder)) for folder in (wanted.queries, wanted.references)
    )
    places: dict[str, list[int]] = {}
    for place, one in enumerate(gallery):
        places.setdefault(one.building, []).append(place)
    if strangers := sorted({one.building for one in queries} - places.keys()):
        raise DataError(
            f"{root / wanted.references} has no picture of the building {strangers[0]}, which "
            f"{wanted.queries} asks for ({len(strangers)} such). Is the download complete?"
        )
    pairs = [
        Pair(
            one.id,
            one.path,
            gallery[places[one.building][0]].path,
            file=one.id + one.path.suffix.lower(),
        )
        for one in queries
    ]
    found = Gallery(
        tuple(Reference(one.id, one.path) for one in gallery),
        {one.id: tuple(places[one.building]) for one in queries},
    )
    return Dataset("university", tuple(pairs), found, wanted.query_side, panoramas=False)


def photos(folder: Path) -> Iterator[Photo]:
    """Yield the pictures of a folder of buildings, in order; hidden files are none.

    Raises:
        DataError: the folder is missing or cannot be read, or a building's name is unusable.
    """
    try:
        buildings = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}), so this is no University-1652 folder. "
            f"{OBTAIN}"
        ) from error
    for building in buildings:
        if building.name.startswith("."):
            continue
        if not _BUILDING.fullmatch(building.name):
            raise DataError(f"{building} is no name of a building: letters, digits and '-' are.")
        for path in sorted(building.iterdir()):
            if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
                yield Photo(building.name, f"{building.name}_{path.stem}", path)
