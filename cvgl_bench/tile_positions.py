"""Where the tiles of a gallery lie, as far as anybody says.

a table of the user's own              file,latitude,longitude; files as the gallery has them
VIGOR's file names                     satellite_<latitude>_<longitude>.png
CVTown's split_locations/<area>.csv    in the gallery's folder or one above it
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cvgl_bench.datasets.base import Position, csv_rows
from cvgl_bench.datasets.cvtown import LOCATION_FIELDS
from cvgl_bench.datasets.vigor import TILE_STEM
from cvgl_bench.errors import DataError
from cvgl_bench.own_pictures import shown

FIELDS: Final = ("file", "latitude", "longitude")
_VIGOR = re.compile(TILE_STEM, re.ASCII)
_LEVELS_UP = 3


@dataclass(frozen=True)
class Positions:
    """Where tiles lie.

    Attributes:
        places: the centre of each tile; None where nobody says.
        source: who says so, "" if nobody does.
        unused: how many rows of the user's table are of no tile.
    """

    places: tuple[Position | None, ...]
    source: str
    unused: int = 0

    @property
    def known(self) -> int:
        """Of how many tiles the place is known."""
        return sum(place is not None for place in self.places)


def find_positions(folder: Path, names: Sequence[str], table: Path | None = None) -> Positions:
    """Find out where tiles lie.

    Args:
        folder: the gallery.
        names: its tiles' paths in it, with slashes.
        table: the user's own; alone if there is one.

    Raises:
        DataError: a table is malformed, or has none of the tiles.
    """
    if table is not None:
        return _of_table(table, folder, names)
    named = tuple(_of_name(name) for name in names)
    if any(named):
        return Positions(named, "the tiles' names")
    for above in [folder.resolve(), *folder.resolve().parents][: _LEVELS_UP + 1]:
        lists = sorted((above / "split_locations").glob("*.csv"))
        known = _of_town(lists)
        places = tuple(known.get(PurePosixPath(name).stem) for name in names)
        if any(places):
            return Positions(places, shown(above / "split_locations"))
    return Positions((None,) * len(names), "")


def _of_table(table: Path, folder: Path, names: Sequence[str]) -> Positions:
    rows = csv_rows(table)
    header = [field.strip().lstrip("\ufeff") for field in rows[0]] if rows else []
    if not set(FIELDS) <= set(header):
        raise DataError(
            f"{shown(table)} must begin with a line that names the columns {', '.join(FIELDS)}; it "
            f"has {shown(','.join(header)) or 'nothing'}."
        )
    file, north, east = (header.index(field) for field in FIELDS)
    known: dict[str, Position] = {}
    for number, row in enumerate(rows[1:], start=2):
        where = f"{shown(table)}, line {number}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} fields where the first line has {len(header)}.")
        name = PurePosixPath(row[file].strip().replace("\\", "/")).as_posix()
        if name in known:
            raise DataError(f"{where}: '{shown(name)}' is listed twice.")
        known[name] = _position(row[north], row[east], where)
    places = tuple(known.get(name) for name in names)
    if not any(places):
        raise DataError(
            f"{shown(table)} has a place for none of the tiles in {shown(folder)}. Its files must "
            f"be named as from there: the first tile is {shown(names[0])}."
        )
    return Positions(places, shown(table), len(known.keys() - set(names)))


def _of_name(name: str) -> Position | None:
    match = _VIGOR.fullmatch(PurePosixPath(name).stem)
    if match is None:
        return None
    place = Position(float(match[1]), float(match[2]))
    return place if place.exists else None


def _of_town(lists: Sequence[Path]) -> dict[str, Position]:
    """Centres of tiles by id, of those lists that are CVTown's."""
    known: dict[str, Position] = {}
    for path in lists:
        rows = csv_rows(path)
        if not rows or tuple(rows[0]) != LOCATION_FIELDS:
            continue
        for number, row in enumerate(rows[1:], start=2):
            where = f"{shown(path)}, line {number}"
            if len(row) != len(LOCATION_FIELDS):
                raise DataError(f"{where}: {len(LOCATION_FIELDS)} fields were expected.")
            place = _position(row[1], row[2], where)
            if known.setdefault(row[0], place) != place:
                raise DataError(f"{where}: '{shown(row[0])}' is listed at two places.")
    return known


def _position(latitude: str, longitude: str, where: str) -> Position:
    try:
        place = Position(float(latitude), float(longitude))
    except ValueError:
        place = None
    if place is None or not place.exists:
        raise DataError(
            f"{where}: '{shown(latitude)}', '{shown(longitude)}' are no latitude and longitude in "
            "degrees."
        )
    return place
