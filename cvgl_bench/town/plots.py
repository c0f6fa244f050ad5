"""What stands: rectangles on the ground, solids on them, and in which year each is there."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvgl_bench.town.blocks import Blocks
from cvgl_bench.town.canvas import BOTH, IN_ABOVE, IN_STREET, Ground, Line
from cvgl_bench.town.materials import Colour
from cvgl_bench.town.rays import CROWN_FIELDS, SOLID_FIELDS, Things
from cvgl_bench.town.styles import Style

Range = tuple[float, float]
Row = tuple[object, ...]
FLAT: Range = (-1.0, 0.0)
BLIND: Range = (0.0, 0.5)


@dataclass(frozen=True)
class Footprint:
    """A rectangle on the ground.

    Attributes:
        place: its centre, metres east and north.
        axis: unit vector along its length.
        length: metres along the axis.
        width: metres across.
    """

    place: Line
    axis: Line
    length: float
    width: float

    @property
    def normal(self) -> Line:
        """Unit vector across, to the left of the axis."""
        return np.array([-self.axis[1], self.axis[0]])

    def shifted(self, along: float, across: float, length: float, width: float) -> "Footprint":
        """A rectangle of another size, moved by metres along and across."""
        place = self.place + along * self.axis + across * self.normal
        return Footprint(place, self.axis, length, width)

    def turned(self) -> "Footprint":
        """The same rectangle with its axis the other way."""
        return Footprint(self.place, self.normal, self.width, self.length)

    def corners(self) -> Line:
        """Metres east and north, (4, 2)."""
        ax, ay = self.axis[0] * self.length / 2, self.axis[1] * self.length / 2
        bx, by = -self.axis[1] * self.width / 2, self.axis[0] * self.width / 2
        x, y = self.place
        return np.array(
            [
                [x + ax + bx, y + ay + by],
                [x + ax - bx, y + ay - by],
                [x - ax - bx, y - ay - by],
                [x - ax + bx, y - ay + by],
            ]
        )


def solid_row(
    base: Footprint,
    eave: float,
    colours: tuple[Colour, Colour],
    *,
    pitch: Range = FLAT,
    windows: Range = BLIND,
    leafy: float = 0.0,
    facade: int = 0,
) -> Row:
    """A row of `rays.SOLID_FIELDS`.

    Args:
        base: where it stands.
        eave: height of its walls in metres.
        colours: of its walls and its roof.
        pitch: slope of the roof's ends and sides; negative ends are gables.
        windows: metres of wall a window (0: none), and the share that is glass.
        leafy: 1 for a hedge.
        facade: what is painted on its walls; see `facades`.
    """
    halves = (base.length / 2, base.width / 2)
    place, axis = base.place.tolist(), base.axis.tolist()
    return (*place, *axis, *halves, eave, *pitch, *windows, leafy, facade, *colours)


@dataclass
class Site:
    """A district while it is being built.

    Attributes:
        rng: the only source of chance.
        ground: driveways and bays are painted on it, and what is taken is marked.
        blocks: what the things in each block have in common.
        style: of the part of the world.
        rows: rows of `rays.SOLID_FIELDS`.
        years: in which years each of them is there.
        tables: more solids, with their years.
        crowns: crowns, with their years and the factors of their size in the year of the tiles.
        slots: places for cars: east, north, its axis, and how likely one stands there.
    """

    rng: np.random.Generator
    ground: Ground
    blocks: Blocks
    style: Style
    rows: list[Row] = field(default_factory=list)
    years: list[int] = field(default_factory=list)
    tables: list[tuple[Things, NDArray[np.uint8]]] = field(default_factory=list)
    crowns: list[tuple[Things, NDArray[np.uint8], NDArray[np.float64]]] = field(
        default_factory=list
    )
    slots: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    def add(self, row: Row, years: int = BOTH) -> None:
        """Put up one solid in one year or both."""
        self.rows.append(row)
        self.years.append(years)

    def drawn_years(self, share: float) -> int:
        """The years of a thing of which a share is there in one year only."""
        chance = self.rng.random()
        return BOTH if chance >= share else IN_STREET if chance < share / 2 else IN_ABOVE

    def solids_in(self, year: int) -> Things:
        """All solids of one year, fields in `rays.SOLID_FIELDS`."""
        rows = [row for row, years in zip(self.rows, self.years, strict=True) if years & year]
        tables = [table[(years & year) > 0] for table, years in self.tables]
        return np.concatenate([np.array(rows, SOLID_FIELDS), *tables])

    def crowns_in(self, year: int) -> Things:
        """All crowns of one year, fields in `rays.CROWN_FIELDS`."""
        parts = [np.zeros(0, CROWN_FIELDS)]
        for table, years, growth in self.crowns:
            part = table.copy()
            if year == IN_ABOVE:
                part["radius"] *= growth
                part["half_height"] *= growth
            parts.append(part[(years & year) > 0])
        return np.concatenate(parts)


def solid_table(
    places: Line, axes: Line, sizes: ArrayLike, colours: tuple[ArrayLike, ArrayLike]
) -> Things:
    """Many plain solids with flat roofs, fields in `rays.SOLID_FIELDS`.

    Args:
        places: metres east and north, (N, 2).
        axes: unit vectors along their length, (N, 2) or (2,).
        sizes: metres of half length, half width and height, (N, 3) or (3,).
        colours: RGB of their walls and their roofs, (N, 3) or (3,) each.
    """
    table = np.zeros(len(places), SOLID_FIELDS)
    table["east"], table["north"] = places.T
    axes, sizes = np.broadcast_to(axes, (len(places), 2)), np.asarray(sizes)
    table["cosine"], table["sine"] = axes.T
    for name, size in zip(("half_length", "half_width", "eave"), sizes.T, strict=True):
        table[name] = size
    table["end_pitch"], table["side_pitch"] = FLAT
    table["bay"], table["glazing"] = BLIND
    table["wall"], table["roof"] = colours
    return table
