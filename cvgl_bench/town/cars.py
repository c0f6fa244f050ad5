"""Cars: places for them along streets and in car parks, and who stands there in a year."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import CELL_METRES, Line
from cvgl_bench.town.junctions import Network
from cvgl_bench.town.materials import MARKING, WHITE
from cvgl_bench.town.plots import Footprint, Site, solid_table
from cvgl_bench.town.rays import Things

# Half length, half width, height of the body and of the cabin, and the cabin's half length.
FORMS = np.array(
    [
        (2.1, 0.88, 0.85, 1.42, 1.10),
        (2.25, 0.92, 1.0, 1.72, 1.65),
        (2.6, 1.0, 1.15, 2.1, 2.35),
        (1.8, 0.82, 0.85, 1.45, 1.15),
    ]
)
FORM_SHARES = (0.5, 0.27, 0.08, 0.15)
BAY = (2.7, 5.0)
EMPTY = {"field", "wood", "pond", "village"}


def lay_slots(site: Site, network: Network) -> None:
    """Find places for cars along the streets and in car parks, and mark the bays of these.

    Args:
        site: the district.
        network: its streets.
    """
    for number in range(len(network.streets)):
        _along(site, network, number)
    for number, use in enumerate(site.ground.uses):
        if use == "parking":
            _car_park(site, number, site.rng.uniform(0.15, 0.75))


def _along(site: Site, network: Network, number: int) -> None:
    """Places at the kerbs, and a few cars that drive."""
    street, rng = network.streets[number], site.rng
    rate = rng.choice([0.0, 0.15, 0.45, 0.75]) if street.form.parking else 0.0
    half = 0.5 * street.form.width
    for side in (-1.0, 1.0):
        for offset, share, step in ((half - 1.05, rate, 6.0), (0.25 * street.form.width, 0.04, 17)):
            walked = np.arange(rng.uniform(2, step), street.walked[-1] - 2, step)
            walked = walked[network.clear(number, walked, 8.0)]
            if share == 0.0 or not len(walked):
                continue
            places, normals = street.at(walked, side * offset), street.normals_at(walked)
            beside = site.ground.blocks_at(street.at(walked, side * (street.edge + 3.0)))
            busy = np.array([use not in EMPTY for use in site.ground.uses])[beside]
            share_at = np.where(busy, share, 0.1 * share).tolist()
            for place, normal, chance in zip(
                places.tolist(), normals.tolist(), share_at, strict=True
            ):
                site.slots.append((*place, side * normal[1], -side * normal[0], chance))


def _car_park(site: Site, number: int, full: float) -> None:
    """Rows of bays that follow the longer side of the block."""
    ground = site.ground
    left, top, width, height = site.blocks.boxes[number, :4].tolist()
    own = (ground.block[top : top + height, left : left + width] == number).astype(np.uint8)
    inside = cv2.erode(cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT), np.ones((5, 5)))
    outline, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    (x, y), (wide, tall), degrees = cv2.minAreaRect(max(outline, key=len))
    angle = -np.radians(degrees if wide > tall else degrees + 90.0)
    centre = CELL_METRES * np.array([left + x, len(ground.block) - top - y])
    park = Footprint(centre, np.array([np.cos(angle), np.sin(angle)]), 0, 0)
    reach, depth = 0.5 * CELL_METRES * max(wide, tall), 0.5 * CELL_METRES * min(wide, tall)
    aisles = np.arange(-depth + 3.0, depth, 16.6)
    across = np.concatenate([aisles, aisles + BAY[1] + 0.1])
    lines = []
    for along in np.arange(-reach, reach, BAY[0]).tolist():
        for beside in across.tolist():
            bay = park.shifted(along, beside, *BAY)
            column = int(bay.place[0] / CELL_METRES) - left + 1
            row = len(ground.block) - 1 - int(bay.place[1] / CELL_METRES) - top + 1
            if not (0 <= row < len(inside) and 0 <= column < inside.shape[1]) or (
                not inside[row, column] or not ground.claim(bay.corners(), margin=0.2)
            ):
                continue
            lines.append(bay.corners()[:2])
            site.slots.append((*bay.place.tolist(), *park.normal.tolist(), full))
    ground.draw(lines, 0.25, WHITE, MARKING)


def parked(rng: np.random.Generator, slots: NDArray[np.float64]) -> Things:
    """The cars of one year, fields in `rays.SOLID_FIELDS`: a body and a cabin of glass for each.

    Args:
        rng: the only source of chance.
        slots: east, north, axis and chance of a car, (N, 5).
    """
    taken = slots[rng.random(len(slots)) < slots[:, 4]]
    count = len(taken)
    form = FORMS[rng.choice(len(FORMS), count, p=FORM_SHARES)]
    paints = np.array(materials.PAINTS)[rng.integers(len(materials.PAINTS), size=count)]
    paints = np.clip(paints * rng.uniform(0.85, 1.15, (count, 3)), 0.03, 0.95)
    axes = taken[:, 2:4] * rng.choice((-1.0, 1.0), (count, 1))
    axes = _wobbled(rng, axes)
    places = taken[:, :2] + rng.normal(0, 0.12, (count, 2))
    body = solid_table(places, axes, form[:, [0, 1, 2]], (paints, paints))
    cabins = np.stack([form[:, 4], 0.86 * form[:, 1], form[:, 3]], axis=1)
    glass = np.array(materials.GLASS)
    cabin = solid_table(places - 0.15 * axes, axes, cabins, (glass, paints))
    return np.concatenate([body, cabin])


def _wobbled(rng: np.random.Generator, axes: Line) -> Line:
    """Turn axes by a degree or two."""
    angle = rng.normal(0, 0.025, len(axes))
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = (axes[:, 0] * cosine - axes[:, 1] * sine, axes[:, 0] * sine + axes[:, 1] * cosine)
    return np.stack(turned, axis=1)
