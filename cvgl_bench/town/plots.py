"""What is built: buildings and gardens along the streets, and cars."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from cvgl_bench.town import materials
from cvgl_bench.town.blocks import SHIFT, Ground
from cvgl_bench.town.materials import MARKING, PAVING, Colour
from cvgl_bench.town.scene import METRES_PER_PIXEL
from cvgl_bench.town.streets import Line, Street

Range = tuple[float, float]
Row = tuple[object, ...]
BRICK: Colour = (0.50, 0.33, 0.28)
FLAT: Range = (-1.0, 0.0)
BLIND: Range = (0.0, 0.5)


@dataclass(frozen=True)
class Building:
    """How the buildings of a block's use are drawn; every range is (least, most) in metres.

    Attributes:
        front: length along the street.
        depth: length away from it.
        eave: height of the walls.
        setback: distance from the pavement.
        gap: distance to the next one.
        bay: metres of wall a window; 0 for none.
        pitched: share with a pitched roof.
    """

    front: Range
    depth: Range
    eave: Range
    setback: Range
    gap: Range
    bay: Range
    pitched: float


BUILDINGS = {
    "houses": Building((8, 15), (8, 11), (3.0, 6.2), (3.5, 9), (4, 14), (2.4, 3.6), 0.92),
    "flats": Building((14, 38), (11, 15), (8.5, 27), (2, 6), (4, 22), (2.2, 3.4), 0.25),
    "works": Building((22, 46), (16, 34), (5.5, 10), (5, 12), (8, 30), (5.0, 9.0), 0.35),
    "park": Building((6, 9), (6, 9), (3, 4), (6, 12), (120, 300), (2.0, 3.0), 0.9),
    "field": Building((16, 30), (10, 14), (4, 6), (10, 20), (150, 400), (0, 0), 1.0),
}


@dataclass
class Site:
    """A district while it is being built.

    Attributes:
        rng: the only source of chance.
        ground: driveways and bays are painted on it, and what is taken is marked.
        solids: rows of `rays.SOLID_FIELDS`.
        crowns: rows of `rays.CROWN_FIELDS`.
    """

    rng: np.random.Generator
    ground: Ground
    solids: list[Row] = field(default_factory=list)
    crowns: list[Row] = field(default_factory=list)


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

    def corners(self) -> Line:
        """Metres east and north, (4, 2)."""
        ends = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (self.length / 2, self.width / 2)
        corners: Line = self.place + ends @ np.stack([self.axis, self.normal])
        return corners


def solid_row(
    base: Footprint,
    eave: float,
    colours: tuple[Colour, Colour],
    *,
    pitch: Range = FLAT,
    windows: Range = BLIND,
    leafy: float = 0.0,
) -> Row:
    """A row of `rays.SOLID_FIELDS`.

    Args:
        base: where it stands.
        eave: height of its walls in metres.
        colours: of its walls and its roof.
        pitch: slope of the roof's ends and sides; negative ends are gables.
        windows: metres of wall a window (0: none), and the share that is glass.
        leafy: 1 for a hedge.
    """
    halves = (base.length / 2, base.width / 2)
    place, axis = base.place.tolist(), base.axis.tolist()
    return (*place, *axis, *halves, eave, *pitch, *windows, leafy, *colours)


def build(site: Site, streets: list[Street]) -> None:
    """Put up buildings along both sides of every street, and cars where they park.

    Args:
        site: the district.
        streets: its streets.
    """
    drives = materials.pick(site.rng, materials.GRAVELS)
    for index in site.rng.permutation(len(streets)):
        for side in (1.0, -1.0):
            _build_along(site, streets[index], side, drives)
    for number, use in enumerate(site.ground.uses):
        if use == "parking":
            _fill_car_park(site, number)
    for street in streets:
        if street.form.parking:
            _park_along(site, street)


def _build_along(site: Site, street: Street, side: float, drives: Colour) -> None:
    """Buildings on one side of a street, facing it."""
    rng, ground = site.rng, site.ground
    normals, edge = side * street.normals(), 0.5 * street.form.width + street.form.pavement
    walls = [materials.pick(rng, materials.WALLS) for _ in range(4)]
    walked = np.cumsum(np.hypot(*np.diff(street.points, axis=0).T))
    next_at = rng.uniform(0, 15)
    for index in np.flatnonzero(walked >= 0) + 1:
        point, normal = street.points[index], normals[index]
        plan = BUILDINGS.get(ground.use_at(point + (edge + 8) * normal))
        if walked[index - 1] < next_at or plan is None:
            continue
        front, depth = rng.uniform(*plan.front), rng.uniform(*plan.depth)
        setback = rng.uniform(*plan.setback)
        axis = np.array([normal[1], -normal[0]])
        base = Footprint(point + (edge + setback + depth / 2) * normal, axis, front, depth)
        if not ground.claim(base.shifted(0, 0, front + 1, depth + 1).corners()):
            continue
        next_at = walked[index - 1] + front + rng.uniform(*plan.gap)
        _raise_building(site, plan, base, materials.pick(rng, walls, 0.03))
        if plan is BUILDINGS["houses"]:
            _add_garden(site, base, setback, drives)


def _raise_building(site: Site, plan: Building, base: Footprint, wall: Colour) -> None:
    """One building: a body, and on it a chimney or the housing of a lift."""
    rng = site.rng
    eave, windows = rng.uniform(*plan.eave), (rng.uniform(*plan.bay), rng.uniform(0.32, 0.62))
    pitch, roof = FLAT, materials.pick(rng, materials.FLAT_ROOFS)
    if rng.random() < plan.pitched:
        slope = rng.uniform(0.35, 0.95) if base.width < 16 else rng.uniform(0.1, 0.25)
        pitch = (slope if rng.random() < 0.35 else -1.0, slope)
        roof = materials.pick(rng, materials.TILES)
        if base.width > base.length:
            base = Footprint(base.place, base.normal, base.width, base.length)
    site.solids.append(solid_row(base, eave, (wall, roof), pitch=pitch, windows=windows))
    along = rng.uniform(-0.28, 0.28) * base.length
    if pitch == FLAT:
        top = base.shifted(along, 0, rng.uniform(0.2, 0.4) * base.length, 0.45 * base.width)
        site.solids.append(solid_row(top, eave + rng.uniform(1.0, 3.0), (wall, roof)))
    elif rng.random() < 0.6:
        top = base.shifted(along, 0.2 * base.width, 0.9, 0.9)
        high = eave + 0.5 * pitch[1] * base.width + 0.7
        site.solids.append(solid_row(top, high, (BRICK, BRICK)))


def _add_garden(site: Site, base: Footprint, setback: float, drives: Colour) -> None:
    """A driveway with or without a car, and perhaps hedges, between a house and its street."""
    rng, ground = site.rng, site.ground
    half_way = -0.5 * (base.width + setback)
    has_hedges = rng.random() < 0.4
    beside = (0.5 * base.length - 1.6) * rng.choice([-1, 1])
    drive = base.shifted(beside, half_way, 3.0, setback + 0.6)
    ground.paint_polygon(drive.corners(), drives, PAVING)
    upright = Footprint(drive.place, base.normal, drive.width, drive.length)
    if setback > 5.5 and rng.random() < 0.5:
        _add_car(site, upright)
    if not has_hedges:
        return
    leaves = materials.pick(rng, materials.LEAVES)
    for sign in (-1, 1):
        hedge = base.shifted(sign * (0.5 * base.length + 1.4), half_way, 0.9, setback - 1)
        if ground.claim(hedge.corners()):
            high = rng.uniform(0.9, 1.7)
            site.solids.append(solid_row(hedge, high, (leaves, leaves), leafy=1.0))


def _add_car(site: Site, around: Footprint, *, on_street: bool = False) -> None:
    """A body with a cabin of glass on it, if nothing else is there."""
    body = around.shifted(0, 0, 4.2, 1.75)
    if site.ground.claim(body.corners(), on_street=on_street):
        paint = materials.pick(site.rng, materials.PAINTS)
        cabin = body.shifted(-0.2, 0, 2.2, 1.5)
        site.solids.append(solid_row(body, 0.85, (paint, paint)))
        site.solids.append(solid_row(cabin, 1.42, (materials.GLASS, paint)))


def _park_along(site: Site, street: Street) -> None:
    rate = site.rng.choice([0.0, 0.04, 0.12])
    normals, half = street.normals(), 0.5 * street.form.width
    for side in (-1.0, 1.0):
        line, beyond = street.beside(side * (half - 1.05)), street.beside(side * (half + 4))
        for index in np.flatnonzero(site.rng.random(len(line)) < rate):
            # At a junction the place beside the car is another street's, not a block's.
            if site.ground.use_at(beyond[index]) != "street":
                axis = np.array([normals[index][1], -normals[index][0]])
                _add_car(site, Footprint(line[index], axis, 4.2, 1.75), on_street=True)


def _fill_car_park(site: Site, number: int) -> None:
    """Rows of bays, some with cars."""
    ground = site.ground
    own = ground.block == number
    rows, columns = np.nonzero(own)
    centre = METRES_PER_PIXEL * np.array([columns.mean(), len(own) - rows.mean()])
    reach = 0.75 * METRES_PER_PIXEL * max(np.ptp(rows), np.ptp(columns))
    angle, full = site.rng.uniform(0, np.pi), site.rng.uniform(0.15, 0.6)
    park = Footprint(centre, np.array([np.cos(angle), np.sin(angle)]), 0, 0)
    inside = cv2.erode(own.astype(np.uint8), np.ones((9, 9), np.uint8))
    mask = np.zeros_like(ground.occupied)
    aisles = np.arange(-reach, reach, 17.0)
    grid = np.meshgrid(np.arange(-reach, reach, 2.7), np.concatenate([aisles, aisles + 5.2]))
    for offset in np.stack([axis.ravel() for axis in grid], axis=1):
        cell = ground.cell(centre + offset @ np.stack([park.axis, park.normal]))
        if cell is None or not inside[cell]:
            continue
        bay = park.shifted(offset[0], offset[1], 2.7, 5.0)
        line = ground.pixels(bay.corners()[:2])
        cv2.polylines(mask, [line], False, 255, 1, cv2.LINE_AA, SHIFT)
        if site.rng.random() < full:
            _add_car(site, Footprint(bay.place, park.normal, 5.0, 2.7))
    mask[inside == 0] = 0
    ground.paint(mask, (0.85, 0.85, 0.83), MARKING)
