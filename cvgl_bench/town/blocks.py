"""The ground: carriageways, markings, and a use for every block between the streets."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.materials import ASPHALT, FIELD, GRASS, GRAVEL, MARKING, PAVING, WATER
from cvgl_bench.town.scene import METRES_PER_PIXEL
from cvgl_bench.town.streets import Line, Street

SHIFT = 4
TAKEN = 2
WHITE = (0.88, 0.88, 0.86)
YELLOW = (0.82, 0.66, 0.24)

# How common each use of a block is, by the character of the district.
USES = ("houses", "flats", "works", "park", "field", "parking", "wood", "pond")
CHARACTERS: dict[str, tuple[float, ...]] = {
    "suburb": (0.52, 0.08, 0.04, 0.12, 0.06, 0.04, 0.08, 0.06),
    "centre": (0.14, 0.46, 0.08, 0.12, 0.00, 0.14, 0.02, 0.04),
    "outskirts": (0.24, 0.06, 0.20, 0.04, 0.24, 0.08, 0.12, 0.02),
}


@dataclass
class Ground:
    """The ground while it is being laid.

    Attributes:
        side_metres: length of each side.
        albedo: (H, W, 3) uint8, row 0 in the north.
        kinds: kind of ground, (H, W) uint8.
        block: number of the block, (H, W) int32; 0 on streets and pavements.
        uses: use of every block; the first, of the streets, is "street".
        occupied: (H, W) uint8: 0 free, 1 street or water, TAKEN by something.
    """

    side_metres: float
    albedo: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    block: NDArray[np.int32]
    uses: list[str]
    occupied: NDArray[np.uint8]

    def pixels(self, points: Line) -> NDArray[np.int32]:
        """Raster coordinates of places in metres, (N, 2), in OpenCV's fixed point."""
        flipped = np.stack([points[:, 0], self.side_metres - points[:, 1]], axis=1)
        return fixed_point(flipped / METRES_PER_PIXEL - 0.5)

    def cell(self, place: Line) -> tuple[int, int] | None:
        """Row and column of a place in metres; None outside."""
        size = len(self.kinds)
        column = int(place[0] // METRES_PER_PIXEL)
        row = size - 1 - int(place[1] // METRES_PER_PIXEL)
        return (row, column) if 0 <= row < size and 0 <= column < size else None

    def use_at(self, place: Line) -> str:
        """Use of the block at a place in metres; "street" on streets and outside."""
        cell = self.cell(place)
        return "street" if cell is None else self.uses[self.block[cell]]

    def claim(self, corners: Line, *, on_street: bool = False) -> bool:
        """Take a convex piece of ground, if it is in the district and nothing stands on it.

        Args:
            corners: metres east and north, (N, 2).
            on_street: whether it must lie on a street, or on none.
        """
        if corners.min() < 1 or corners.max() > self.side_metres - 1:
            return False
        mask, window = self._covered(corners)
        there = self.occupied[window]
        if (there[mask > 0] != int(on_street)).any():
            return False
        there[mask > 0] = TAKEN
        return True

    def paint_polygon(self, corners: Line, colour: materials.Colour, kind: int) -> None:
        """Lay a colour on a convex piece of ground that lies in the district."""
        if corners.min() < 1 or corners.max() > self.side_metres - 1:
            return
        mask, window = self._covered(corners)
        self.albedo[window][mask > 0] = np.rint(255 * np.array(colour))
        self.kinds[window][mask > 0] = kind

    def _covered(self, corners: Line) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
        pixels = self.pixels(corners)
        left, top = (pixels.min(axis=0) >> SHIFT).tolist()
        right, bottom = ((pixels.max(axis=0) >> SHIFT) + 2).tolist()
        mask = np.zeros((bottom - top, right - left), np.uint8)
        inner = pixels - np.array([left, top], np.int32) * 2**SHIFT
        cv2.fillConvexPoly(mask, inner, 1, cv2.LINE_8, SHIFT)
        return mask, np.s_[top:bottom, left:right]

    def paint(self, mask: NDArray[np.uint8], colour: materials.Colour, kind: int) -> None:
        """Lay a colour where a mask says so, softly at its edges.

        Args:
            mask: coverage, (H, W), 0 to 255.
            colour: RGB in 0..1.
            kind: kind of ground.
        """
        left, top, width, height = cv2.boundingRect(mask)
        window = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero(mask[window] > 0)
        share = mask[window][rows, columns, None] / np.float32(255)
        old = self.albedo[window][rows, columns]
        mixed = old * (1 - share) + np.float32(255) * np.array(colour, np.float32) * share
        self.albedo[window][rows, columns] = np.rint(mixed).astype(np.uint8)
        self.kinds[window][mask[window] > 127] = kind


def fixed_point(pixels: Line) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV takes them with SHIFT fractional bits."""
    fixed: NDArray[np.int32] = np.rint(pixels * 2**SHIFT).astype(np.int32)
    return fixed


def lay_ground(rng: np.random.Generator, streets: list[Street], side_metres: float) -> Ground:
    """Lay out the ground of a district.

    Args:
        rng: the only source of chance.
        streets: its streets.
        side_metres: length of each side.
    """
    size = round(side_metres / METRES_PER_PIXEL)
    ground = Ground(
        side_metres,
        np.zeros((size, size, 3), np.uint8),
        np.full((size, size), GRASS, np.uint8),
        np.zeros((size, size), np.int32),
        ["street"],
        np.zeros((size, size), np.uint8),
    )
    for street in streets:
        _stroke(
            ground, ground.occupied, street.points, street.form.width + 2 * street.form.pavement
        )
    ground.occupied[:] = ground.occupied > 0
    _lay_blocks(rng, ground)
    _lay_streets(rng, ground, streets)
    return ground


def _stroke(ground: Ground, mask: NDArray[np.uint8], points: Line, width: float) -> None:
    thickness = max(1, round(width / METRES_PER_PIXEL))
    pixels = ground.pixels(points)
    cv2.polylines(mask, [pixels], False, 255, thickness, cv2.LINE_AA, SHIFT)


def _lay_blocks(rng: np.random.Generator, ground: Ground) -> None:
    """Number the blocks and give each a use, a colour and a texture."""
    count, block, boxes, _ = cv2.connectedComponentsWithStats(1 - ground.occupied, connectivity=4)
    ground.block[:] = block
    shares = [*CHARACTERS.values()][rng.integers(len(CHARACTERS))]
    size = len(ground.kinds)
    relief = materials.mottle(rng, (size, size), 96, 5)
    base = np.full((count, 3), 0.45, np.float32)
    kinds = np.zeros(count, np.uint8)
    for number in range(1, count):
        area = boxes[number, cv2.CC_STAT_AREA] * METRES_PER_PIXEL**2
        use = str(rng.choice(USES, p=shares)) if area > 500 else "park"
        ground.uses.append(use)
        palette, kinds[number] = materials.GRASSES, GRASS
        if use == "field":
            palette, kinds[number] = materials.FIELDS, FIELD
        elif use == "works":
            palette, kinds[number] = materials.GRAVELS, GRAVEL
        elif use == "parking":
            palette, kinds[number] = materials.ASPHALTS, ASPHALT
        base[number] = materials.pick(rng, palette)
    strength = np.where(np.isin(kinds, materials.VEGETATION), 0.07, 0.03).astype(np.float32)
    tone = 1 + strength[block] * relief
    ground.albedo[:] = np.clip(base[block] * tone[..., None] * 255, 0, 255).astype(np.uint8)
    ground.kinds[:] = kinds[block]
    for number in range(1, count):
        left, top, width, height = boxes[number, :4]
        window = np.s_[top : top + height, left : left + width]
        _lay_use(rng, ground, number, window)


def _lay_use(
    rng: np.random.Generator, ground: Ground, number: int, window: tuple[slice, slice]
) -> None:
    """Furrows of a field, water of a pond, paths of a park."""
    use = ground.uses[number]
    own = ground.block[window] == number
    if use == "field":
        rows, columns = np.nonzero(own)
        angle, period = rng.uniform(0, np.pi), rng.uniform(1.2, 5.0) / METRES_PER_PIXEL
        wave = np.sin(2 * np.pi * (np.cos(angle) * columns + np.sin(angle) * rows) / period)
        patch = ground.albedo[window]
        patch[rows, columns] = np.clip(patch[rows, columns] * (1 + 0.09 * wave[:, None]), 0, 255)
    elif use == "pond":
        depth = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, 3)
        shore = rng.uniform(0.25, 0.5) * depth.max() + 3 * materials.mottle(rng, own.shape, 120, 2)
        wet = (depth > np.maximum(shore, 24)).astype(np.uint8)
        mask = np.zeros_like(ground.occupied)
        mask[window] = cv2.blur(255 * wet, (5, 5))
        ground.paint(mask, materials.pick(rng, materials.WATERS), WATER)
        ground.occupied[mask > 0] = 1
    elif use in ("park", "flats") and own.sum() * METRES_PER_PIXEL**2 > 1500:
        mask = np.zeros_like(ground.occupied)
        rows, columns = np.nonzero(own)
        for _ in range(rng.integers(1, 4)):
            ends = np.sort(rng.integers(len(rows), size=3))
            path = np.stack([columns[ends] + window[1].start, rows[ends] + window[0].start], axis=1)
            steps = np.linspace(0, 1, 24)[:, None]
            curve = (
                (1 - steps) ** 2 * path[0] + 2 * steps * (1 - steps) * path[1] + steps**2 * path[2]
            )
            fixed = fixed_point(curve)
            cv2.polylines(mask, [fixed], False, 255, 9, cv2.LINE_AA, SHIFT)
        mask[ground.block != number] = 0
        ground.paint(mask, materials.pick(rng, materials.GRAVELS), PAVING)


def _lay_streets(rng: np.random.Generator, ground: Ground, streets: list[Street]) -> None:
    """Pavements under carriageways under markings; no marking goes across a junction."""
    size = len(ground.kinds)
    relief = materials.mottle(rng, (size, size), 32, 4)
    paving = materials.pick(rng, materials.PAVINGS)
    asphalts = {street.kind: materials.pick(rng, materials.ASPHALTS) for street in streets}
    covered = np.zeros((size, size), np.uint8)
    crossed = np.zeros((size, size), np.uint8)
    for street in streets:
        if street.form.pavement:
            mask = np.zeros((size, size), np.uint8)
            _stroke(ground, mask, street.points, street.form.width + 2 * street.form.pavement)
            ground.paint(mask, paving, PAVING)
    for street in streets:
        mask = np.zeros((size, size), np.uint8)
        _stroke(ground, mask, street.points, street.form.width)
        ground.paint(mask, asphalts[street.kind], ASPHALT)
        crossed |= covered & mask
        covered |= mask
    streetwise = ground.block == 0
    toned = ground.albedo[streetwise] * (1 + 0.035 * relief[streetwise])[:, None]
    ground.albedo[streetwise] = np.clip(toned, 0, 255).astype(np.uint8)
    junctions = cv2.dilate((crossed > 127).astype(np.uint8), np.ones((13, 13), np.uint8))
    marks = {WHITE: np.zeros((size, size), np.uint8), YELLOW: np.zeros((size, size), np.uint8)}
    median = np.zeros((size, size), np.uint8)
    for street in streets:
        _mark(ground, street, marks, median)
    for colour, mask in marks.items():
        mask[junctions > 0] = 0
        ground.paint(mask // 10 * 9, colour, MARKING)
    median[junctions > 0] = 0
    ground.paint(median, materials.pick(rng, materials.GRASSES), GRASS)


def _mark(
    ground: Ground,
    street: Street,
    marks: dict[materials.Colour, NDArray[np.uint8]],
    median: NDArray[np.uint8],
) -> None:
    """Draw the lines of one street into the masks of their colours."""
    form = street.form
    if form.centre == "dashed":
        for start in range(0, len(street.points) - 1, 3):
            _stroke(ground, marks[WHITE], street.points[start : start + 2], 0.25)
    elif form.centre == "double":
        for offset in (-0.25, 0.25):
            _stroke(ground, marks[YELLOW], street.beside(offset), 0.25)
    elif form.centre == "median":
        _stroke(ground, median, street.points, 2.5)
        for offset in (-0.27 * form.width, 0.27 * form.width):
            lane = street.beside(offset)
            for start in range(0, len(lane) - 1, 3):
                _stroke(ground, marks[WHITE], lane[start : start + 2], 0.25)
    if form.edges:
        for offset in (-0.5 * form.width + 0.4, 0.5 * form.width - 0.4):
            _stroke(ground, marks[WHITE], street.beside(offset), 0.25)
