"""What lies in blocks that are not built up: parks, pitches, squares, ponds, and streams."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import CELL_METRES, SHIFT, STREET, Ground, Line, disc
from cvgl_bench.town.junctions import Network, crossings, joined
from cvgl_bench.town.materials import GRASS, MARKING, PAVING, WATER, WHITE, Colour
from cvgl_bench.town.plots import Footprint, Site, solid_row
from cvgl_bench.town.streets import placed

# Length and width in metres, colour, and whether it is of grass.
PITCHES: list[tuple[float, float, Colour, bool]] = [
    (64.0, 42.0, (0.36, 0.48, 0.22), True),
    (40.0, 24.0, (0.40, 0.50, 0.24), True),
    (30.0, 16.0, (0.62, 0.34, 0.26), False),
    (30.0, 16.0, (0.26, 0.42, 0.40), False),
    (26.0, 14.0, (0.30, 0.38, 0.56), False),
]
STREAM_STEP = 4.0


def lay_commons(site: Site) -> None:
    """Lay paths, pitches, fountains and ponds where a block's use asks for them.

    Args:
        site: the district.
    """
    for number, use in enumerate(site.ground.uses):
        if use not in ("park", "school", "square", "pond", "flats", "terrace"):
            continue
        left, top, width, height, area = site.blocks.boxes[number].tolist()
        window = np.s_[top : top + height, left : left + width]
        own = (site.ground.block[window] == number).astype(np.uint8)
        corner = np.array([left, top])
        if area * CELL_METRES**2 < 900:
            continue
        if use == "pond":
            _pond(site, own, corner)
        elif use == "square":
            _square(site, own, corner)
        elif use == "terrace":
            _courtyard(site, own, corner)
        else:
            _paths(site, own, corner, number)
            if use == "school" or (use == "park" and site.rng.random() < 0.6):
                _pitch(site, own, corner)


def _depth(own: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Metres from every cell of a block to the block's edge."""
    bordered = cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(bordered, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.asarray(distance * np.float32(CELL_METRES), np.float32)


def _metres(ground: Ground, corner: NDArray[np.int64], row: float, column: float) -> Line:
    size = len(ground.block)
    return np.array(
        [(corner[0] + column + 0.5) * CELL_METRES, (size - corner[1] - row - 0.5) * CELL_METRES]
    )


def _middle(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64]) -> tuple[Line, float]:
    """The place of a block that is farthest from its edge, and how far that is."""
    depth = _depth(own)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return _metres(site.ground, corner, float(row), float(column)), float(depth.max())


def _pitch(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64]) -> None:
    """The largest pitch that fits around the middle of the block, along its longer side."""
    rng = site.rng
    place, _ = _middle(site, own, corner)
    outline, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, (wide, tall), degrees = cv2.minAreaRect(max(outline, key=len))
    angle = -np.radians(degrees if wide > tall else degrees + 90.0)
    axis = np.array([np.cos(angle), np.sin(angle)])
    first = rng.integers(0, 2)
    for length, width, colour, is_grass in PITCHES[first:]:
        field = Footprint(place, axis, length, width)
        if not is_grass and rng.random() < 0.4:
            continue
        if site.ground.claim(field.shifted(0, 0, length + 3, width + 3).corners()):
            turf = materials.pick(rng, [colour])
            site.ground.fill([field.corners()], turf, GRASS if is_grass else PAVING)
            inner = field.shifted(0, 0, length - 2.5, width - 2.5)
            edge = inner.corners()
            half = inner.shifted(0, 0, 0.0, inner.width).corners()[[1, 0]]
            lines = [edge[[0, 1, 2, 3, 0]], half, disc(place, 0.16 * width)]
            for sign in (-1, 1):
                box = inner.shifted(sign * 0.42 * inner.length, 0, 0.16 * length, 0.5 * width)
                lines.append(box.corners()[[0, 1, 2, 3, 0]])
            site.ground.draw(lines, 0.25, WHITE, MARKING)
            return


def _square(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64]) -> None:
    """Bands of another paving, and a fountain or a lawn in the middle."""
    rng, ground = site.rng, site.ground
    place, room = _middle(site, own, corner)
    rings = np.arange(room - 1.5, 4.0, -rng.uniform(3, 7))
    ground.draw([disc(place, radius) for radius in rings], 0.75, (0.45, 0.43, 0.41), PAVING)
    middle = disc(place, min(0.35 * room, rng.uniform(2.5, 6.0)))
    if ground.claim(middle):
        if rng.random() < 0.5:
            ground.fill([middle], materials.pick(rng, materials.WATERS), WATER)
            basin = Footprint(place, np.array([1.0, 0.0]), 1.2, 1.2)
            site.add(solid_row(basin, rng.uniform(1.5, 4.0), (materials.STEEL, materials.STEEL)))
        else:
            ground.fill([middle], materials.pick(rng, site.style.grasses), GRASS)


def _courtyard(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64]) -> None:
    """Green or paved ground behind the houses of a closed block."""
    inner = (_depth(own) > 16.0).astype(np.uint8)
    outlines, _ = cv2.findContours(inner, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        cells = outline[:, 0, :].astype(np.float64)
        size = len(site.ground.block)
        polygon = np.stack(
            [
                (cells[:, 0] + corner[0] + 0.5) * CELL_METRES,
                (size - cells[:, 1] - corner[1] - 0.5) * CELL_METRES,
            ],
            axis=1,
        )
        if len(polygon) > 8:
            colour = materials.pick(site.rng, site.style.grasses)
            site.ground.fill([polygon[::3]], colour, GRASS)


def _pond(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64]) -> None:
    rng, ground = site.rng, site.ground
    depth = _depth(own)
    shore = rng.uniform(0.25, 0.5) * depth.max()
    shore = shore + 1.5 * materials.mottle(rng, (own.shape[0], own.shape[1]), 60, 2)
    wet = (depth > np.maximum(shore, 6.0)).astype(np.uint8)
    outlines, _ = cv2.findContours(wet, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    colour, size = materials.pick(rng, materials.WATERS), len(ground.block)
    for outline in outlines:
        cells = outline[::3, 0, :] + corner + 0.5
        polygon = CELL_METRES * np.stack([cells[:, 0], size - cells[:, 1]], axis=1)
        if len(polygon) > 12:
            ground.fill([polygon], colour, WATER)
            pixels = ground.fixed(polygon, CELL_METRES)
            cv2.fillPoly(ground.occupied, [pixels], (STREET,), cv2.LINE_8, SHIFT)


def _paths(site: Site, own: NDArray[np.uint8], corner: NDArray[np.int64], number: int) -> None:
    """Curved paths between places at a block's edge."""
    rng, ground = site.rng, site.ground
    rows, columns = np.nonzero(own)
    steps = np.linspace(0, 1, 20)[:, None]
    lines = []
    for _ in range(rng.integers(1, 4)):
        picked = np.sort(rng.integers(len(rows), size=3)).tolist()
        first, middle, last = (
            _metres(ground, corner, float(rows[i]), float(columns[i])) for i in picked
        )
        lines.append((1 - steps) ** 2 * first + 2 * steps * (1 - steps) * middle + steps**2 * last)
    inside = [line[ground.blocks_at(line) == number] for line in lines]
    inside = [line for line in inside if len(line) > 3]
    inside = [line for line in inside if np.hypot(*np.diff(line, axis=0).T).max() < 25]
    ground.draw(inside, 2.25, site.blocks.looks[number].drives, PAVING)


def lay_stream(site: Site, network: Network, width: float) -> None:
    """A stream or canal across the district, under bridges where it meets streets.

    Args:
        site: the district; its streets are laid afterwards.
        network: its streets.
        width: metres of water.
    """
    rng, ground = site.rng, site.ground
    side = ground.side_metres
    reach, turn = 0.75 * side, rng.uniform(0, 2 * np.pi)
    along = np.arange(-reach, reach, STREAM_STEP)
    bow = rng.uniform(4, 22) if width < 8 else rng.uniform(0, 6)
    across = rng.uniform(-0.3, 0.3) * side + bow * np.sin(along / rng.uniform(22, 60))
    stream = placed(np.stack([along, across], axis=1), turn, side)
    near = ((stream > -40) & (stream < side + 40)).all(axis=1)
    stream = stream[near]
    if len(stream) < 4:
        return
    ground.draw([stream], width + 4.0, materials.pick(rng, site.style.grasses), GRASS)
    ground.draw([stream], width, materials.pick(rng, materials.WATERS), WATER)
    ground.occupy([stream], width + 2.0)
    _bridges(site, network, stream, width)


def _bridges(site: Site, network: Network, stream: Line, width: float) -> None:
    """Parapets where streets go across a stream."""
    points, owner, firsts = joined(network.streets)
    for i, _, u, _ in crossings(points, owner, stream).tolist():
        number = int(owner[int(i)])
        street = network.streets[number]
        walked = street.walked[int(i) - firsts[number]] + 3.0 * u
        place, normal = street.at(walked), street.normals_at(walked)
        normal = normal / np.hypot(*normal)
        axis = np.array([normal[1], -normal[0]])
        for side in (-1.0, 1.0):
            beside = place + side * (street.edge + 0.1) * normal
            parapet = Footprint(beside, axis, width + 7.0, 0.3)
            if parapet.corners().min() > 1 and parapet.corners().max() < site.ground.side_metres:
                stone = materials.pick(site.rng, materials.PAVINGS)
                site.add(solid_row(parapet, 1.0, (stone, stone)))
