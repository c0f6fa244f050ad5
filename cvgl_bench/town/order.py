"""What is asked of the town: an area, how many pairs, which seed, sizes and layout on disk."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvgl_bench.datasets.cvtown import GENERATOR_VERSION
from cvgl_bench.errors import DataError, unknown
from cvgl_bench.files import write_atomically
from cvgl_bench.town.layout import CAMERAS
from cvgl_bench.town.regions import MOST_PAIRS, REGIONS

NAME = "cvtown"
TILE_METRES = 76.8
JPEG_QUALITY = 92
UNFINISHED = ".unfinished"

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class PictureSize:
    """Sizes of both pictures.

    Attributes:
        name: as in `--size`.
        panorama: rows and columns.
        elevation_degrees: lower and upper edge of the panorama.
        aerial: rows and columns of the tile, which always shows TILE_METRES.
    """

    name: str
    panorama: tuple[int, int]
    elevation_degrees: tuple[float, float]
    aerial: int


SIZES = {
    size.name: size
    for size in (
        PictureSize("cvusa", (224, 1232), (-32.6, 32.6), 384),
        PictureSize("cvact", (832, 1664), (-90.0, 90.0), 384),
        PictureSize("small", (112, 616), (-32.6, 32.6), 256),
    )
}


@dataclass(frozen=True)
class Order:
    """One area of one town, to be written in one layout.

    Attributes:
        root: folder of the data set.
        area: a key of REGIONS.
        pairs: panoramas to make.
        seed: of the town.
        size: of the pictures; one of SIZES, or another.
        form: the layout, "pairs" (CVUSA's, see `town.pairs`) or "vigor" (see `town.vigor`).
        mends: the area was finished once, so pictures that are there are whole.
    """

    root: Path
    area: str
    pairs: int
    seed: int = 7
    size: PictureSize = SIZES["cvusa"]
    form: str = "pairs"
    mends: bool = False

    @property
    def scratch(self) -> Path:
        """Folder of whatever is not finished."""
        return self.root / UNFINISHED / self.area

    @property
    def districts(self) -> int:
        """How many districts the pairs need."""
        return -(-self.pairs // CAMERAS)

    def share(self, shard: tuple[int, int]) -> range:
        """Districts of the I-th of N shards, counted from 1."""
        return range(self.districts)[shard[0] - 1 :: shard[1]]

    def numbers(self, district: int) -> range:
        """Numbers of the pairs that stand in a district, from 1."""
        return range(district * CAMERAS + 1, min((district + 1) * CAMERAS, self.pairs) + 1)

    def common(self) -> dict[str, Any]:
        """What all areas in one folder share, as JSON has it."""
        return {
            "name": NAME,
            "generator_version": GENERATOR_VERSION,
            "form": self.form,
            "seed": self.seed,
            "size": self.size.name,
            "panorama_size": list(self.size.panorama),
            "panorama_elevation_degrees": list(self.size.elevation_degrees),
            "aerial_size": self.size.aerial,
            "aerial_metres_per_pixel": TILE_METRES / self.size.aerial,
        }

    def page(self) -> dict[str, Any]:
        """All that the area is made with, as JSON has it."""
        region = REGIONS[self.area]
        latitude, longitude = region.origin_degrees
        return self.common() | {
            "split": self.area,
            "style": region.style,
            "pairs": self.pairs,
            "pairs_a_district": CAMERAS,
            "origin_degrees": {"latitude": latitude, "longitude": longitude},
        }

    def keep(self, path: str, render: Callable[[], Picture]) -> str:
        """Write a picture, or keep the one of a finished area; returns its path.

        Args:
            path: under the root; .jpg or .png.
            render: makes it, (H, W, 3).
        """
        file = self.root / path
        if not (self.mends and is_there(file)):
            buffer = io.BytesIO()
            kind = "PNG" if path.endswith(".png") else "JPEG"
            Image.fromarray(render()).save(buffer, kind, quality=JPEG_QUALITY)
            write_atomically(file, buffer.getvalue(), scratch=self.scratch, durable=False)
        return path


def is_there(file: Path) -> bool:
    """Whether a picture is on disk and not empty."""
    return file.is_file() and file.stat().st_size > 0


def check_order(
    order: Order, *, forms: tuple[str, ...], workers: int, shard: tuple[int, int]
) -> None:
    """Refuse what makes no sense.

    Raises:
        DataError: a name is unknown, or a number out of range.
    """
    if order.area not in REGIONS:
        raise DataError(unknown("split of the town", order.area, REGIONS))
    if order.form not in forms:
        raise DataError(unknown("form of the town", order.form, forms))
    numbers = {"number of pairs": order.pairs, "tile size": order.size.aerial, "workers": workers}
    numbers |= dict(zip(("panorama height", "panorama width"), order.size.panorama, strict=True))
    for what, value in numbers.items():
        if value < 1:
            raise DataError(f"a town needs at least 1 for its {what}, not {value}.")
    if order.pairs > MOST_PAIRS:
        raise DataError(f"a split has at most {MOST_PAIRS:,} pairs, not {order.pairs:,}.")
    if order.seed < 0:
        raise DataError(f"a town's seed is a whole number from 0, not {order.seed}.")
    if not 1 <= shard[0] <= shard[1]:
        raise DataError(f"there is no shard {shard[0]} of {shard[1]}: they count from 1.")
