"""What `locate` found: answers line by line, what changed, and what must be said of it."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.corrupted_page import PAGE, CorruptedPage, read_corrupted_page
from cvgl_bench.locating import Gallery
from cvgl_bench.nearest_tiles import Answer, Rows, ranks_of
from cvgl_bench.own_pictures import Photo, shown
from cvgl_bench.ranking import TIE_TOLERANCE
from cvgl_bench.scores import errors_in_metres
from cvgl_bench.tile_positions import Positions


@dataclass(frozen=True)
class Line:
    """One tile of an answer.

    Attributes:
        rank: from 1; equal for equally similar tiles.
        tied: whether other tiles have the same, shown or not.
        score: the cosine, -1..1.
        tile: its path in the gallery.
        latitude: of its centre, in degrees; None if nobody says.
        longitude: likewise.
        metres_from_best: from the centre of the most similar tile; None likewise.
    """

    rank: int
    tied: bool
    score: float
    tile: str
    latitude: float | None
    longitude: float | None
    metres_from_best: float | None


@dataclass(frozen=True)
class Change:
    """What became of a photo's answer in one of its corrupted pictures.

    Attributes:
        picture: its file name.
        corruption: what was done.
        severity: 1 to 5.
        tile: what the picture is taken for.
        score: with which cosine.
        first_rank: the rank that the untouched photo's tile has now; a tie counts against it.
        metres: how far the answer has moved; None if a place is unknown.
    """

    picture: str
    corruption: str
    severity: int
    tile: str
    score: float
    first_rank: int
    metres: float | None


@dataclass(frozen=True)
class Series:
    """Corrupted pictures of one photo, and the photo without.

    Attributes:
        folder: that `corrupt` wrote.
        base: which of the photos is the untouched one.
        changes: of the others, in the order of the page.
    """

    folder: Path
    base: int
    changes: tuple[Change, ...]

    @property
    def kept(self) -> int:
        """How many pictures are taken for the same tile."""
        return sum(change.first_rank == 1 for change in self.changes)


@dataclass(frozen=True)
class Located:
    """Photos, tiles, and what the one are taken for among the other.

    Attributes:
        photos: in the order given.
        gallery: the tiles.
        positions: where they lie.
        photo_rows: embeddings, (Q, D).
        tile_rows: embeddings, (R, D).
        answers: one a photo.
    """

    photos: tuple[Photo, ...]
    gallery: Gallery
    positions: Positions
    photo_rows: Rows
    tile_rows: Rows
    answers: tuple[Answer, ...]

    def lines(self, number: int) -> list[Line]:
        """The answer of a photo, a line a tile."""
        found = self.answers[number]
        lines = []
        for tile, score, rank, tied in zip(
            found.tiles, found.scores, found.ranks, found.shared, strict=True
        ):
            place = self.positions.places[tile]
            lines.append(
                Line(
                    rank=rank,
                    tied=tied,
                    score=score,
                    tile=self.gallery.names[tile],
                    latitude=place.latitude if place else None,
                    longitude=place.longitude if place else None,
                    metres_from_best=self._metres(found.best, tile),
                )
            )
        return lines

    def _metres(self, one: int, other: int) -> float | None:
        places = [self.positions.places[tile] for tile in (one, other)]
        pair = [np.array([[at.latitude, at.longitude]]) for at in places if at is not None]
        if len(pair) < 2:
            return None
        first: NDArray[np.int64] = np.zeros(1, np.int64)
        return float(errors_in_metres(pair[0], pair[1], first)[0])

    @cached_property
    def _pages(self) -> dict[Path, CorruptedPage]:
        folders = dict.fromkeys(photo.path.parent for photo in self.photos)
        return {f: read_corrupted_page(f) for f in folders if (f / PAGE).is_file()}

    @cached_property
    def series(self) -> list[Series]:
        """The folders of corrupted pictures whose untouched photo is among the photos."""
        here = {photo.path: number for number, photo in enumerate(self.photos)}
        found = []
        for folder, page in self._pages.items():
            untouched = [name for name, one in page.pictures.items() if not one.severity]
            base = here.get(folder / untouched[0]) if untouched else None
            numbers = {
                name: here[folder / name]
                for name in page.pictures
                if name not in untouched and folder / name in here
            }
            if base is not None and numbers:
                found.append(Series(folder, base, self._changes(page, base, numbers)))
        return found

    def _changes(
        self, page: CorruptedPage, base: int, numbers: dict[str, int]
    ) -> tuple[Change, ...]:
        before = self.answers[base].best
        ranks = ranks_of(self.photo_rows[list(numbers.values())], self.tile_rows, before)
        changes = []
        for (name, number), rank in zip(numbers.items(), ranks, strict=True):
            after = self.answers[number]
            changes.append(
                Change(
                    picture=name,
                    corruption=page.pictures[name].corruption,
                    severity=page.pictures[name].severity,
                    tile=self.gallery.names[after.best],
                    score=after.scores[0],
                    first_rank=rank,
                    metres=self._metres(before, after.best),
                )
            )
        return tuple(changes)

    @property
    def alone(self) -> list[int]:
        """The photos whose answer is given in full: those that are not told as a change."""
        told = {
            series.folder / change.picture for series in self.series for change in series.changes
        }
        return [number for number, photo in enumerate(self.photos) if photo.path not in told]

    def remarks(self) -> list[str]:
        """What must be known before the answers are believed, a sentence each."""
        said = [
            self._of_photos(
                lambda found: found.says_nothing,
                "every tile is equally similar, so that the order says nothing",
            ),
            self._of_photos(
                lambda found: found.tied > 1 and not found.says_nothing,
                "several tiles share the first rank",
            ),
            self._of_photos(
                lambda found: found.cut > 0 and not found.says_nothing,
                "more tiles than are shown share the last rank shown",
            ),
            self._same(self.photo_rows, [photo.sha256 for photo in self.photos], "photos"),
            self._same(self.tile_rows, self.gallery.hashes, "tiles"),
            self._places(),
        ]
        return [sentence for sentence in said if sentence]

    def _of_photos(self, holds: Callable[[Answer], bool], what: str) -> str:
        numbers = [number for number, found in enumerate(self.answers) if holds(found)]
        if not numbers:
            return ""
        first = shown(self.photos[numbers[0]].path)
        if len(self.photos) == 1:
            return f"to {first}, {what}."
        return f"to {len(numbers)} of {len(self.photos)} photos (first: {first}), {what}."

    def _same(self, rows: Rows, hashes: Sequence[str], what: str) -> str:
        """A word on embeddings that tell nothing from anything else."""
        if len(set(hashes)) < 2:
            return ""
        for first in range(0, len(rows), 4096):
            if np.abs(rows[first : first + 4096] - rows[0]).max() > TIE_TOLERANCE:
                return ""
        return f"the model gives all {len(rows)} {what} the same embedding."

    def _places(self) -> str:
        known, tiles = self.positions.known, len(self.gallery)
        unused = self.positions.unused
        lines = "1 line of it is" if unused == 1 else f"{unused} lines of it are"
        rest = f" {lines} of no tile here." if unused else ""
        if not known:
            return (
                "nobody says where the tiles lie, so there are no coordinates: give --positions, a "
                "table with the columns file,latitude,longitude."
            )
        if known < tiles or unused:
            return f"{self.positions.source} has the places of {known} of {tiles} tiles.{rest}"
        return ""


_HEAD: Final = (
    *("photo", "rank", "tied", "score", "tile"),
    *("latitude", "longitude", "metres_from_best"),
)


def answers_csv(located: Located) -> bytes:
    """All answers as CSV, a line a photo and tile; empty where nobody says."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for number, photo in enumerate(located.photos):
        for line in located.lines(number):
            places = (line.latitude, line.longitude, line.metres_from_best)
            writer.writerow(
                [
                    shown(photo.path),
                    line.rank,
                    str(line.tied).lower(),
                    f"{line.score:.6f}",
                    shown(line.tile),
                    *places,
                ]
            )
    return text.getvalue().encode()
