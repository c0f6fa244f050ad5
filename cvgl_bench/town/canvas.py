"""The ground while it is being laid: colours and kinds, blocks, and what is taken already."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.materials import GRASS, Colour
from cvgl_bench.town.scene import METRES_PER_PIXEL

Line = NDArray[np.float64]
CELL_METRES = 0.5
SHIFT = 4
FREE, STREET, TAKEN = 0, 1, 2
# In which of the two years something is there; the numbers are bits.
IN_STREET, IN_ABOVE, BOTH = 1, 2, 3


@dataclass(frozen=True)
class Patch:
    """A piece of ground that differs between the two years.

    Attributes:
        corners: metres east and north, (N, 2).
        colour: RGB in 0..1.
        kind: of ground.
        years: in which it is there.
    """

    corners: Line
    colour: Colour
    kind: int
    years: int


@dataclass
class Ground:
    """The ground while it is being laid.

    Attributes:
        side_metres: length of each side.
        albedo: (H, W, 3) uint8, row 0 in the north, METRES_PER_PIXEL.
        kinds: kind of ground, (H, W) uint8.
        block: number of the block, (h, w) uint16, CELL_METRES; 0 on streets and pavements.
        uses: use of every block; the first, of the streets, is "street".
        occupied: (h, w) uint8: FREE, STREET (or water) or TAKEN by something.
        patches: what is painted last, in one year only.
        other: albedo in the year of the tiles, if it is another.
    """

    side_metres: float
    albedo: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    block: NDArray[np.uint16]
    uses: list[str]
    occupied: NDArray[np.uint8]
    patches: list[Patch] = field(default_factory=list)
    other: NDArray[np.uint8] | None = None

    @classmethod
    def empty(cls, side_metres: float) -> "Ground":
        """A lawn of the given side, without blocks."""
        size, cells = round(side_metres / METRES_PER_PIXEL), round(side_metres / CELL_METRES)
        return cls(
            side_metres,
            np.zeros((size, size, 3), np.uint8),
            np.full((size, size), GRASS, np.uint8),
            np.zeros((cells, cells), np.uint16),
            ["street"],
            np.zeros((cells, cells), np.uint8),
        )

    def fixed(self, points: Line, step: float = METRES_PER_PIXEL) -> NDArray[np.int32]:
        """Raster coordinates of places in metres, (..., 2), in OpenCV's fixed point."""
        scale = 2.0**SHIFT / step
        pixels = points * (scale, -scale)
        pixels += (-(2.0 ** (SHIFT - 1)), self.side_metres * scale - 2.0 ** (SHIFT - 1))
        return np.rint(pixels).astype(np.int32)

    def cells(self, places: Line) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Rows and columns of places in metres, (N, 2), moved into the raster, and which lay there.

        Args:
            places: metres east and north.
        """
        size = len(self.block)
        columns = np.floor(places[:, 0] / CELL_METRES).astype(np.intp)
        rows = size - 1 - np.floor(places[:, 1] / CELL_METRES).astype(np.intp)
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        return rows.clip(0, size - 1), columns.clip(0, size - 1), inside

    def blocks_at(self, places: Line) -> NDArray[np.uint16]:
        """Number of the block at places in metres, (N,); 0 on streets and outside."""
        rows, columns, inside = self.cells(places)
        return np.where(inside, self.block[rows, columns], 0).astype(np.uint16)

    def free_at(self, places: Line, room: float) -> NDArray[np.bool_]:
        """Whether nothing is at places in metres and a distance around them, (N,)."""
        free = np.ones(len(places), bool)
        for shift in ((0, 0), (room, 0), (-room, 0), (0, room), (0, -room)):
            rows, columns, inside = self.cells(places + np.array(shift))
            free &= inside & (self.occupied[rows, columns] == FREE)
        return free

    def within(self, corners: Line, use_of: int) -> bool:
        """Whether a rectangle, (4, 2) metres, lies wholly in the block of a number."""
        steps = np.linspace(0.0, 1.0, 5)
        sides = corners[0] + steps[:, None] * (corners[1] - corners[0])
        across = corners[3] - corners[0]
        places = (sides[:, None] + steps[None, :, None] * across).reshape(-1, 2)
        return bool((self.blocks_at(places) == use_of).all())

    def claim(self, corners: Line, *, margin: float = 0.0, on_street: bool = False) -> bool:
        """Take a convex piece of ground, if it is in the district and nothing stands on it.

        Args:
            corners: metres east and north, (N, 2).
            margin: share by which a smaller piece of it must be free.
            on_street: it may lie on streets and pavements.
        """
        if corners.min() < 1 or corners.max() > self.side_metres - 1:
            return False
        probe = corners if margin == 0.0 else corners + margin * (corners.mean(axis=0) - corners)
        mask, window = self._covered(probe, TAKEN if on_street else STREET | TAKEN)
        if cv2.countNonZero(cv2.bitwise_and(self.occupied[window], mask)):
            return False
        cv2.fillConvexPoly(
            self.occupied, self.fixed(corners, CELL_METRES), TAKEN, cv2.LINE_8, SHIFT
        )
        return True

    def _covered(self, corners: Line, value: int) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
        pixels = self.fixed(corners, CELL_METRES)
        left, top = (max(0, edge) for edge in (pixels.min(axis=0) >> SHIFT).tolist())
        right, bottom = ((pixels.max(axis=0) >> SHIFT) + 2).tolist()
        mask = np.zeros((bottom - top, right - left), np.uint8)
        pixels -= np.array([left, top], np.int32) << SHIFT
        cv2.fillConvexPoly(mask, pixels, value, cv2.LINE_8, SHIFT)
        window = np.s_[top:bottom, left:right]
        shape = self.occupied[window].shape
        return mask[: shape[0], : shape[1]], window

    def fill(self, polygons: Sequence[Line], colour: Colour, kind: int) -> None:
        """Lay a colour and a kind on polygons, (N, 2) metres each, softly at their edges."""
        for polygon in polygons:
            _fill(self.albedo, self.kinds, self.fixed(polygon), colour, kind)

    def draw(self, lines: Sequence[Line], width: float, colour: Colour, kind: int) -> None:
        """Lay a colour and a kind along lines, (N, 2) metres each, softly at their edges."""
        if not lines:
            return
        pixels = [self.fixed(line) for line in lines]
        rgb = tuple(255.0 * band for band in colour)
        thickness = max(1, round(width / METRES_PER_PIXEL))
        cv2.polylines(self.albedo, pixels, False, rgb, thickness, cv2.LINE_AA, SHIFT)
        cv2.polylines(self.kinds, pixels, False, (kind,), thickness, cv2.LINE_8, SHIFT)

    def occupy(self, lines: Sequence[Line], width: float) -> None:
        """Count what lies along lines, (N, 2) metres each, as STREET."""
        pixels = [self.fixed(line, CELL_METRES) for line in lines]
        thickness = max(1, round(width / CELL_METRES))
        cv2.polylines(self.occupied, pixels, False, (STREET,), thickness, cv2.LINE_8, SHIFT)

    def in_year(self, year: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Albedo and kinds of one year, with the patches of that year painted on copies."""
        albedo, kinds = self.albedo, self.kinds
        if year == IN_ABOVE and self.other is not None:
            albedo = self.other
        patches = [patch for patch in self.patches if patch.years & year]
        if patches:
            albedo, kinds = albedo.copy(), kinds.copy()
        for patch in patches:
            _fill(albedo, kinds, self.fixed(patch.corners), patch.colour, patch.kind)
        return albedo, kinds


def _fill(
    albedo: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    pixels: NDArray[np.int32],
    colour: Colour,
    kind: int,
) -> None:
    rgb = tuple(255.0 * band for band in colour)
    cv2.fillPoly(albedo, [pixels], rgb, cv2.LINE_AA, SHIFT)
    cv2.fillPoly(kinds, [pixels], (kind,), cv2.LINE_8, SHIFT)


def disc(place: Line, radius: float, corners: int = 28) -> Line:
    """A circle as a polygon, (corners, 2) metres."""
    angle = np.arange(corners) * (2 * np.pi / corners)
    circle: Line = place + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle
