"""Streets as they are laid: pavements, carriageways, lines, crosswalks and repairs."""

import numpy as np

from cvgl_bench.town import materials
from cvgl_bench.town.canvas import Ground, Line, disc
from cvgl_bench.town.junctions import Arm, Network
from cvgl_bench.town.materials import ASPHALT, GRASS, GRAVEL, MARKING, PAVING, WHITE, Colour
from cvgl_bench.town.streets import Street
from cvgl_bench.town.styles import Style

LINE_METRES = 0.25
DASH_METRES, GAP_METRES = 3.0, 5.0
CROSSWALK_METRES = 3.2


def lay_streets(rng: np.random.Generator, ground: Ground, network: Network, style: Style) -> None:
    """Lay pavements under carriageways under markings; no line goes across a junction.

    Args:
        rng: the only source of chance.
        ground: of the district.
        network: its streets.
        style: of the part of the world.
    """
    paving = materials.pick(rng, style.pavings)
    for street in network.streets:
        if street.form.pavement:
            colour = materials.pick(rng, style.pavings)
            ground.draw([street.points], 2 * street.edge, colour, PAVING)
    for circle in network.circles:
        ground.fill([disc(circle.place, circle.radius + circle.pavement)], paving, PAVING)
    asphalts: list[Colour] = []
    for street in network.streets:
        surface = materials.GRAVELS if street.kind == "track" else materials.ASPHALTS
        asphalts.append(materials.pick(rng, surface))
    # The widest last: where a lane ends at a road, the road goes on and the lane stops short.
    for number in sorted(range(len(asphalts)), key=lambda n: network.streets[n].form.width):
        street = network.streets[number]
        kind = GRAVEL if street.kind == "track" else ASPHALT
        ground.draw([street.points], street.form.width, asphalts[number], kind)
    for circle in network.circles:
        colour = asphalts[_nearest(network, circle.place)]
        ground.fill([disc(circle.place, circle.radius)], colour, ASPHALT)
    _repair(rng, ground, network.streets)
    lines: dict[Colour, list[Line]] = {}
    for number in range(len(network.streets)):
        _mark(rng, ground, network, number, setting=(style, lines))
    for arm in network.arms:
        _mark_arm(rng, network, arm, style, lines)
    for colour, drawn in lines.items():
        ground.draw(drawn, LINE_METRES, colour, MARKING)
    for circle in network.circles:
        if circle.island:
            ground.fill([disc(circle.place, circle.island + 0.5)], paving, PAVING)
            green = materials.pick(rng, style.grasses)
            ground.fill([disc(circle.place, circle.island)], green, GRASS)


def _nearest(network: Network, place: Line) -> int:
    gaps = [np.hypot(*(street.points - place).T).min() for street in network.streets]
    return int(np.argmin(gaps))


def _repair(rng: np.random.Generator, ground: Ground, streets: list[Street]) -> None:
    """Darker and lighter patches where a carriageway was opened."""
    for street in streets:
        if street.kind == "track":
            continue
        half = 0.5 * street.form.width
        for _ in range(rng.poisson(street.walked[-1] / 110)):
            start = rng.uniform(0, max(1.0, street.walked[-1] - 30))
            walked = start + np.arange(0.0, rng.uniform(3, 26), 2.0)
            offset = rng.uniform(-half + 1, half - 1)
            place = street.at(walked, offset)
            if (ground.blocks_at(place) == 0).all():
                colour = materials.pick(rng, materials.ASPHALTS, 0.04)
                ground.draw([place], rng.uniform(0.8, 1.8), colour, ASPHALT)


def _mark(
    rng: np.random.Generator,
    ground: Ground,
    network: Network,
    number: int,
    *,
    setting: tuple[Style, dict[Colour, list[Line]]],
) -> None:
    """The lines along one street."""
    style, lines = setting
    street = network.streets[number]
    form, white = street.form, lines.setdefault(WHITE, [])
    centre = lines.setdefault(style.centre_line, [])
    quarter = 0.27 * form.width
    if form.centre == "dashed":
        centre += _dashes(network, number, 0.0)
    elif form.centre == "double":
        for offset in (-0.25, 0.25):
            centre += _runs(network, number, offset)
    elif form.centre == "median":
        green, kind = materials.pick(rng, style.grasses), GRASS
        if rng.random() < 0.3:
            green, kind = materials.pick(rng, style.pavings), PAVING
        ground.draw(_runs(network, number, 0.0, 2.5), 2.5, green, kind)
        for offset in (-quarter, quarter):
            white += _dashes(network, number, offset)
    if form.edges:
        for offset in (-0.5 * form.width + 0.4, 0.5 * form.width - 0.4):
            white += _runs(network, number, offset)


def _runs(network: Network, number: int, offset: float, margin: float = 0.0) -> list[Line]:
    """Lines beside a street's axis from junction to junction."""
    street = network.streets[number]
    walked = np.arange(0.0, street.walked[-1], 2.0)
    clear = network.clear(number, walked, margin).astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], clear, [0]]))).reshape(-1, 2)
    return [street.at(walked[first:last], offset) for first, last in edges if last - first > 1]


def _dashes(network: Network, number: int, offset: float) -> list[Line]:
    street = network.streets[number]
    starts = np.arange(0.0, street.walked[-1] - DASH_METRES, DASH_METRES + GAP_METRES)
    starts = starts[network.clear(number, starts + DASH_METRES / 2, 2.5)]
    return list(street.at(np.stack([starts, starts + DASH_METRES], axis=1), offset))


def _mark_arm(
    rng: np.random.Generator,
    network: Network,
    arm: Arm,
    style: Style,
    lines: dict[Colour, list[Line]],
) -> None:
    """Crosswalks and stop lines where a street comes to a junction."""
    street = network.streets[arm.street]
    form, white = street.form, lines.setdefault(WHITE, [])
    if street.kind == "track":
        return
    half = 0.5 * form.width
    for sign in (-1.0, 1.0):
        near = arm.walked + sign * (arm.clear + 0.5)
        far = near + sign * CROSSWALK_METRES
        beyond = np.array([near + sign * 14.0])
        is_street = 0.0 < beyond[0] < street.walked[-1] and network.clear(arm.street, beyond)[0]
        is_crossed, is_stopped = rng.random() < form.crossed, rng.random() < 0.7
        if not is_street:
            continue
        if is_crossed:
            white += crosswalk(street, near, far, style.crosswalk)
        elif form.centre != "none" and is_stopped:
            far = near
        else:
            continue
        # Whoever comes to the junction drives on the right.
        stop = far + sign * 1.0
        ends = np.array([sign * 0.4, sign * (half - 0.4)])
        for step in (0.0, 0.2):
            white.append(street.at(np.full(2, stop + sign * step), ends))


def crosswalk(street: Street, near: float, far: float, form: str) -> list[Line]:
    """The lines of a crosswalk.

    Args:
        street: that it goes across.
        near: metres along the street where it begins.
        far: where it ends.
        form: "zebra" (stripes along the street) or "ladder" (two lines with fewer stripes).
    """
    half = 0.5 * street.form.width - 0.5
    is_ladder = form == "ladder"
    centres = np.arange(-half + 0.25, half, 1.6 if is_ladder else 1.0)
    ends = np.array([near, far])
    offsets = np.concatenate([centres - 0.12, centres + 0.12])
    lines = list(street.at(ends[None], offsets[:, None]))
    if is_ladder:
        lines += list(street.at(ends[:, None], np.array([[-half, half]])))
    return lines
