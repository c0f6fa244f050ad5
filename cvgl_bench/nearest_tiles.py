"""The tiles whose embeddings are nearest to a photo's, and what ties there are among them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import ModelError
from cvgl_bench.products import exact_lines
from cvgl_bench.ranking import MEMORY, TIE_TOLERANCE

Rows = NDArray[np.float32]
Scores = NDArray[np.float64]
_PHOTOS_AT_ONCE = 64


@dataclass(frozen=True)
class Answer:
    """What a model takes a photo for.

    Attributes:
        tiles: rows of the gallery, the most similar first; equal ones in the gallery's order.
        scores: their similarities, cosines in -1..1.
        ranks: of each: 1 and how many tiles are more similar; what is nearer than
            `TIE_TOLERANCE` is equal.
        shared: whether other tiles have the same rank, shown or not.
        tied: how many tiles share the first rank.
        cut: how many tiles share the rank of the last of `tiles` without being among them.
        lowest: the least similarity in the whole gallery.
    """

    tiles: tuple[int, ...]
    scores: tuple[float, ...]
    ranks: tuple[int, ...]
    shared: tuple[bool, ...]
    tied: int
    cut: int
    lowest: float

    @property
    def best(self) -> int:
        """The row of the most similar tile."""
        return self.tiles[0]

    @property
    def says_nothing(self) -> bool:
        """Whether all tiles, and there are several, are equally similar."""
        return self.tied > 1 and self.scores[0] - self.lowest <= TIE_TOLERANCE


def answer(photos: Rows, tiles: Rows, top: int) -> list[Answer]:
    """Find the tiles that are most similar to each photo.

    Args:
        photos: (Q, D), unit length.
        tiles: (R, D), unit length.
        top: how many tiles an answer names at most, from 1.

    Raises:
        ModelError: photos and tiles have embeddings of different widths.
    """
    if photos.shape[1] != tiles.shape[1]:
        raise ModelError(
            f"the model gives {photos.shape[1]} numbers for a photo and {tiles.shape[1]} for a "
            "tile; they must be as many."
        )
    answers = []
    for first in range(0, len(photos), _PHOTOS_AT_ONCE):
        for scores in similarities(photos[first : first + _PHOTOS_AT_ONCE], tiles):
            answers.append(_answer(scores, min(top, len(tiles))))
    return answers


def ranks_of(photos: Rows, tiles: Rows, tile: int) -> list[int]:
    """The rank of one tile for each photo: how many are at least as similar, itself among them.

    A tie counts against it, as it does in every score.

    Args:
        photos: (Q, D), unit length.
        tiles: (R, D), unit length.
        tile: a row of the tiles.
    """
    ranks: list[int] = []
    for first in range(0, len(photos), _PHOTOS_AT_ONCE):
        scores = similarities(photos[first : first + _PHOTOS_AT_ONCE], tiles)
        least = scores[:, tile] - TIE_TOLERANCE
        ranks += (scores >= least[:, None]).sum(axis=1).tolist()
    return ranks


def similarities(photos: Rows, tiles: Rows) -> Scores:
    """Cosines of photos, (Q, D), and tiles, (R, D), computed in float64, (Q, R)."""
    return np.stack([line for _, line in exact_lines(photos, tiles, range(len(photos)), MEMORY)])


def _answer(scores: Scores, top: int) -> Answer:
    candidates = np.flatnonzero(scores >= np.partition(scores, -top)[-top])
    tiles = candidates[np.lexsort((candidates, -scores[candidates]))][:top]
    ranks = [1 + int((scores > scores[tile] + TIE_TOLERANCE).sum()) for tile in tiles]
    equal = [np.abs(scores - scores[tile]) <= TIE_TOLERANCE for tile in tiles]
    return Answer(
        tiles=tuple(tiles.tolist()),
        scores=tuple(scores[tiles].tolist()),
        ranks=tuple(ranks),
        shared=tuple(int(each.sum()) > 1 for each in equal),
        tied=int(equal[0].sum()),
        cut=int(equal[-1].sum() - equal[-1][tiles].sum()),
        lowest=float(scores.min()),
    )
