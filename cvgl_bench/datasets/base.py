"""What a data set is to the benchmark: pairs of pictures, their ids and positions."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cvgl_bench.errors import DataError
from cvgl_bench.files import sha256

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Position:
    """Where a picture was taken, in degrees (WGS 84)."""

    latitude: float
    longitude: float

    @property
    def exists(self) -> bool:
        """Whether there is such a place: false for NaN as well."""
        return -90 <= self.latitude <= 90 and -180 <= self.longitude <= 180


@dataclass(frozen=True)
class Pair:
    """A street picture and the aerial tile around it.

    Attributes:
        id: the query's name, unique in the data set.
        ground: file of the 360-degree panorama, north in the centre column.
        aerial: file of the tile, north up.
        ground_position: where the panorama was taken; None if the data set does not say.
        aerial_position: centre of the tile; None likewise.
    """

    id: str
    ground: Path
    aerial: Path
    ground_position: Position | None = None
    aerial_position: Position | None = None


@dataclass(frozen=True)
class Dataset:
    """The pairs of one split, in the split's own order.

    Attributes:
        name: the data set's name, part of every output's seed.
        pairs: each query with its one true reference.
    """

    name: str
    pairs: tuple[Pair, ...]

    @property
    def ids_sha256(self) -> str:
        """SHA-256 over the ids in order: which queries, against which gallery."""
        return sha256("\n".join(pair.id for pair in self.pairs).encode())


def inside(root: Path, relative: str, source: Path) -> Path:
    """Join a path that a data set's own list names.

    Args:
        root: the data set's folder.
        relative: the path as the list has it.
        source: the list, for the message.

    Raises:
        DataError: the path leaves the data set's folder.
    """
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or "\\" in relative:
        raise DataError(f"{source} names the picture '{relative}', which is not inside {root}.")
    return root / path


def csv_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file that are not empty.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.") from error


def checked(name: str, root: Path, pairs: Sequence[Pair]) -> Dataset:
    """Make the data set, after checking ids and that every picture is there.

    Raises:
        DataError: there is no pair, an id is unusable or doubled, a position is none, or pictures
            are missing.
    """
    if not pairs:
        raise DataError(f"the split of {name} under {root} lists no pair.")
    seen: set[str] = set()
    for pair in pairs:
        if not ID.fullmatch(pair.id):
            raise DataError(f"{name} under {root} has the id '{pair.id}', which names no file.")
        if pair.id in seen:
            raise DataError(f"{name} under {root} lists the id '{pair.id}' twice.")
        seen.add(pair.id)
        for place in (pair.ground_position, pair.aerial_position):
            if place is not None and not place.exists:
                raise DataError(
                    f"{name} under {root} puts '{pair.id}' at latitude {place.latitude}, longitude "
                    f"{place.longitude}, which is nowhere on the earth."
                )
    missing = [path for pair in pairs for path in (pair.ground, pair.aerial) if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {2 * len(pairs)} pictures that {name} lists are missing under "
            f"{root} (first: {missing[0]}). Is the download complete? Nothing was done, because a "
            "smaller gallery would score higher."
        )
    return Dataset(name, tuple(pairs))
