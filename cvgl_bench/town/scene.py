"""A town as the cameras see it: rasters of the ground, and the things that stand on it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import DataError
from cvgl_bench.town.ground import LEVEL_STEP, Levels, Rasters
from cvgl_bench.town.materials import GRASS
from cvgl_bench.town.overhead import cast_down
from cvgl_bench.town.rays import CROWN, CROWN_FIELDS, SOLID_FIELDS, Things
from cvgl_bench.town.shadows import Shelter, find_shelter

METRES_PER_PIXEL = 0.25
COARSEST = LEVEL_STEP**2
NO_SOLIDS, NO_CROWNS = np.zeros(0, SOLID_FIELDS), np.zeros(0, CROWN_FIELDS)


@dataclass(frozen=True)
class Town:
    """A square of land and what stands on it; x is metres east, y metres north of its corner.

    Attributes:
        side_metres: length of each side.
        metres_per_pixel: of the finest raster.
        levels: ground albedo without anything on it, (H, W, 3) uint8, row 0 in the north; each
            level is LEVEL_STEP times coarser than the one before.
        kinds: kind of ground, (H, W) uint8; see `materials`.
        height: metres of whatever stands there, crowns included, (H, W) float32.
        shelter: of `shadows.find_shelter`: where the sky's light is dimmed.
        objects: (H, W) int32: 0 nothing, n solid n - 1, -n crown n - 1.
        solids: buildings, trunks, cars and hedges; fields in `rays.SOLID_FIELDS`.
        crowns: ellipsoids of leaves; fields in `rays.CROWN_FIELDS`.
    """

    side_metres: float
    metres_per_pixel: float
    levels: Levels
    kinds: NDArray[np.uint8]
    height: NDArray[np.float32]
    shelter: Shelter
    objects: NDArray[np.int32]
    solids: Things
    crowns: Things

    @property
    def albedo(self) -> NDArray[np.uint8]:
        """The ground's albedo at the finest resolution, (H, W, 3)."""
        return self.levels[0]

    @property
    def ground(self) -> Rasters:
        """What a renderer needs of the ground."""
        return self.levels, self.kinds, self.metres_per_pixel

    def check_inside(self, x: float, y: float) -> None:
        """Refuse a place outside the town.

        Raises:
            DataError: it is outside.
        """
        if not (0 <= x <= self.side_metres and 0 <= y <= self.side_metres):
            raise DataError(
                f"({x}, {y}) is outside the town, whose sides are {self.side_metres} m long."
            )


@dataclass(frozen=True)
class District:
    """A piece of the town in two years: not all that the tiles show is there for the panoramas.

    Attributes:
        street: what panoramas see.
        above: what tiles see.
        cameras: places on streets, metres east and north of the district's corner, (N, 2).
    """

    street: Town
    above: Town
    cameras: NDArray[np.float64]


def assemble(
    albedo: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    solids: Things = NO_SOLIDS,
    crowns: Things = NO_CROWNS,
) -> Town:
    """Make a town of ground and things; what is seen from above follows.

    Args:
        albedo: ground colours, (H, W, 3), row 0 in the north, METRES_PER_PIXEL.
        kinds: kinds of ground, (H, W).
        solids: fields in `rays.SOLID_FIELDS`.
        crowns: fields in `rays.CROWN_FIELDS`.

    Raises:
        DataError: the rasters are not square and alike, or no multiple of COARSEST.
    """
    size = len(kinds)
    if kinds.shape != (size, size) or albedo.shape != (size, size, 3) or size % COARSEST:
        raise DataError(
            f"a town's rasters are square and a multiple of {COARSEST} pixels wide: albedo is "
            f"{albedo.shape}, kinds {kinds.shape}."
        )
    side = size * METRES_PER_PIXEL
    height, surface, thing, _ = cast_down(
        (solids, crowns), (0.0, side), (size, size), METRES_PER_PIXEL
    )
    return Town(
        side,
        METRES_PER_PIXEL,
        (albedo, _coarser(albedo, LEVEL_STEP), _coarser(albedo, COARSEST)),
        kinds,
        height,
        find_shelter(height, METRES_PER_PIXEL, LEVEL_STEP),
        np.where(surface == CROWN, -(thing + 1), thing + 1).astype(np.int32),
        solids,
        crowns,
    )


def lawn(side_metres: float, solids: Things = NO_SOLIDS, crowns: Things = NO_CROWNS) -> Town:
    """A town that is a lawn with the given things on it.

    Args:
        side_metres: length of each side; a multiple of 4.
        solids: fields in `rays.SOLID_FIELDS`.
        crowns: fields in `rays.CROWN_FIELDS`.

    Raises:
        DataError: the side is no multiple of 4 metres.
    """
    size = round(side_metres / METRES_PER_PIXEL)
    albedo = np.full((size, size, 3), (100, 120, 60), np.uint8)
    return assemble(albedo, np.full((size, size), GRASS, np.uint8), solids, crowns)


def _coarser(albedo: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    size = len(albedo) // factor
    return cv2.resize(albedo, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
