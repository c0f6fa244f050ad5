"""Small pictures of queries and tiles, of the data sets that pages may show."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Dataset, Pair, load_dataset
from cvgl_bench.errors import DataError
from cvgl_bench.files import read, sha256
from cvgl_bench.leaderboard import Board
from cvgl_bench.pictures import RenderedPictures
from cvgl_bench.suite import Cell, Suite

# Which data sets' pictures a page may hold, and why. Of all others it shows the ids alone: they are
# lent for research, or belong to the map services that they were taken from.
MAY_BE_SHOWN: Final[dict[str, str]] = {
    "cvtown": "drawn by this package from a seed; nobody else has rights in them",
}

QUERY_BOX: Final = (384, 112)
TILE_BOX: Final = (128, 128)
_QUALITY: Final = 70

Image = NDArray[np.uint8]


def may_be_shown(suite: Suite) -> bool:
    """Whether the licence of a suite's data set lets a page hold its pictures."""
    return suite.dataset in MAY_BE_SHOWN


def pictures_of(board: Board, folder: Path) -> Dataset:
    """Open the pictures that a leaderboard's runs were made on.

    Args:
        board: of a suite whose pictures may be shown.
        folder: the data set's.

    Raises:
        DataError: the pictures may not be shown, are missing, or are not those of the runs.
    """
    suite = board.suite
    dataset = open_pictures(suite, folder)
    hashes = [sha256(read(pair.aerial)) for pair in dataset.pairs]
    gallery = sha256("\n".join(hashes).encode())
    ids = {pair.id for pair in dataset.pairs}
    for run in board.runs.values():
        if run.record.data.gallery_sha256 != gallery or not ids.issuperset(run.answers.ids):
            raise DataError(
                f"{folder} does not hold the pictures that {run.name} was measured on: the gallery "
                f"of {suite.label} has the hash {run.record.data.gallery_sha256[:12]}, this one "
                f"{gallery[:12]}. Give the folder that the runs were made with."
            )
    return dataset


def open_pictures(suite: Suite, folder: Path) -> Dataset:
    """Open the pictures of a suite.

    Raises:
        DataError: the pictures may not be shown, or are missing.
    """
    if not may_be_shown(suite):
        raise DataError(
            f"pages may not hold pictures of {suite.dataset}, only of {', '.join(MAY_BE_SHOWN)}."
        )
    return load_dataset(suite.dataset, folder, suite.split)


def query_thumbnails(
    suite: Suite, pairs: Sequence[Pair], cell: Cell, box: tuple[int, int] = QUERY_BOX
) -> Iterator[bytes]:
    """Yield each query's picture in a cell, as the suite makes it, small.

    Args:
        suite: the benchmark.
        pairs: the queries.
        cell: one of the suite's.
        box: the most pixels in width and height.
    """
    for image in RenderedPictures(suite, suite.dataset, pairs).images(cell):
        yield thumbnail(image, box)


def tile_thumbnails(suite: Suite, pairs: Sequence[Pair]) -> Iterator[bytes]:
    """Yield each query's true tile, small."""
    for pair in pairs:
        yield thumbnail(decode(read(pair.aerial), str(pair.aerial), CODECS[suite.codec]), TILE_BOX)


def thumbnail(image: Image, box: tuple[int, int]) -> bytes:
    """Shrink a picture until it fits, never enlarging it; the same bytes for the same pixels.

    Args:
        image: RGB uint8, (H, W, 3).
        box: the most pixels in width and height.

    Returns:
        A WebP file.
    """
    picture = PillowImage.fromarray(image)
    picture.thumbnail(box, PillowImage.Resampling.LANCZOS, reducing_gap=None)
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=_QUALITY, method=6)
    return data.getvalue()
