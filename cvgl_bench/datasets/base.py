"""What a data set is to the benchmark: queries, references, which are true, ids and positions.

Most sets are pairs: a street picture and its tile, one to one. Others have a gallery of their own,
in which several queries share a reference, a query has several, or a reference belongs to none.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

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
    """A query and a true reference of it: a street picture and the aerial tile around it.

    Attributes:
        id: the query's name, unique in the data set.
        ground: file of the query's picture: of a panorama, 360 degrees with north in the centre.
        aerial: file of the reference's picture: of a tile, north up.
        ground_position: where the query was taken; None if the data set does not say.
        aerial_position: centre of the reference; None likewise.
        file: what the query's picture is called in a generated set; "" keeps its file's name.
    """

    id: str
    ground: Path
    aerial: Path
    ground_position: Position | None = None
    aerial_position: Position | None = None
    file: str = ""

    @property
    def file_name(self) -> str:
        """What the query's picture is called in a generated set, unique there."""
        return self.file or self.ground.name


@dataclass(frozen=True)
class Reference:
    """A picture of a gallery.

    Attributes:
        id: its name, unique in the gallery.
        picture: its file.
        position: of its centre; None if the data set does not say.
    """

    id: str
    picture: Path
    position: Position | None = None


@dataclass(frozen=True)
class Gallery:
    """References that are not just one a query, and what they are to the queries.

    Attributes:
        references: all of them, those of no query included.
        true: by the query's id, the places of its true references; at least one.
        semi_positive: likewise, of those that show the query's place and are not the true one; None
            for a data set that knows no such thing.
    """

    references: tuple[Reference, ...]
    true: Mapping[str, tuple[int, ...]]
    semi_positive: Mapping[str, tuple[int, ...]] | None = None


@dataclass(frozen=True)
class Dataset:
    """The queries and references of one split, in the split's own order.

    Attributes:
        name: the data set's name, part of every output's seed.
        pairs: each query with a true reference of it.
        gallery: the references; None where they are those of the pairs, one a query.
        query_side: the encoder that sees the queries; the references get the other.
        panoramas: whether the queries span 360 degrees, so that they can be turned and cropped.
    """

    name: str
    pairs: tuple[Pair, ...]
    gallery: Gallery | None = None
    query_side: Literal["ground", "aerial"] = "ground"
    panoramas: bool = True

    @property
    def ids_sha256(self) -> str:
        """SHA-256 over the queries' ids in order."""
        return ids_sha256(self.pairs)

    @property
    def reference_side(self) -> Literal["ground", "aerial"]:
        """The encoder that sees the references."""
        return "aerial" if self.query_side == "ground" else "ground"

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """All pictures that are searched, in the order of their embeddings."""
        if self.gallery is not None:
            return self.gallery.references
        return tuple(Reference(pair.id, pair.aerial, pair.aerial_position) for pair in self.pairs)


def ids_sha256(pairs: Sequence[Pair]) -> str:
    """SHA-256 over ids in order."""
    return sha256("\n".join(pair.id for pair in pairs).encode())


def refuse_views(dataset: Dataset, views: Iterable[str]) -> None:
    """Refuse to turn or crop pictures that do not span 360 degrees.

    Args:
        dataset: whose queries they are.
        views: names of views.

    Raises:
        DataError: one is not "full", and the queries are plain photos.
    """
    other = [view for view in views if view != "full"]
    if other and not dataset.panoramas:
        raise DataError(
            f"the queries of {dataset.name} are plain photos and no panoramas, so there is no view "
            f"'{other[0]}' of them; use --views full."
        )


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


def check(dataset: Dataset, root: Path) -> Dataset:
    """Check a data set's ids, positions, and that every picture is there; returns it.

    Raises:
        DataError: there is no pair, an id is unusable or doubled, a position is none, or pictures
            are missing.
    """
    name, pairs = dataset.name, dataset.pairs
    if not pairs:
        raise DataError(f"the split of {name} under {root} lists no pair.")
    _check_ids(name, root, [pair.id for pair in pairs])
    places = [(pair.id, pair.ground_position) for pair in pairs]
    if dataset.gallery is None:
        places += [(pair.id, pair.aerial_position) for pair in pairs]
        pictures = [path for pair in pairs for path in (pair.ground, pair.aerial)]
    else:
        references = dataset.references
        _check_ids(name, root, [one.id for one in references])
        places += [(one.id, one.position) for one in references]
        pictures = [pair.ground for pair in pairs] + [one.picture for one in references]
    for identity, place in places:
        if place is not None and not place.exists:
            raise DataError(
                f"{name} under {root} puts '{identity}' at latitude {place.latitude}, longitude "
                f"{place.longitude}, which is nowhere on the earth."
            )
    missing = [path for path in pictures if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(pictures)} pictures that {name} lists are missing under "
            f"{root} (first: {missing[0]}). Is the download complete? Nothing was done, because a "
            f"smaller gallery would score higher. cvgl-bench doctor data {root} looks closer."
        )
    return dataset


def _check_ids(name: str, root: Path, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for identity in ids:
        if not ID.fullmatch(identity):
            raise DataError(f"{name} under {root} has the id '{identity}', which names no file.")
        if identity in seen:
            raise DataError(f"{name} under {root} lists the id '{identity}' twice.")
        seen.add(identity)
