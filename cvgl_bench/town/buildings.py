"""Buildings along the streets: plans of one or more wings, roofs, fronts and what is on them."""

from dataclasses import dataclass, replace

import numpy as np

from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town import materials
from cvgl_bench.town.blocks import Look
from cvgl_bench.town.facades import BANDS, PLAIN, SHOPS, WINDOWS
from cvgl_bench.town.gardens import add_garden, farmyard
from cvgl_bench.town.materials import BRICK, Colour
from cvgl_bench.town.plots import FLAT, Footprint, Range, Site, solid_row
from cvgl_bench.town.streets import Street
from cvgl_bench.town.styles import Style

MISSING = 0.03


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
        shapes: how common plans I, L, T and U are.
        shops: share with a shop on the ground floor.
    """

    front: Range
    depth: Range
    eave: Range
    setback: Range
    gap: Range
    bay: Range
    pitched: float
    shapes: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    shops: float = 0.0


HOUSE = Building(
    (8, 15), (7.5, 10.5), (2.9, 6.2), (3.5, 9), (4, 13), (2.4, 3.6), 0.93, (0.5, 0.28, 0.2, 0.02)
)
BUILDINGS = {
    "houses": HOUSE,
    "village": replace(HOUSE, setback=(2, 8), gap=(6, 30), eave=(2.8, 5.6)),
    "terrace": Building(
        (8, 26), (9, 13), (8.5, 19), (0.0, 0.6), (0, 0), (2.0, 3.2), 0.6, (0.6, 0.3, 0.1, 0), 0.55
    ),
    "flats": Building(
        (14, 38), (11, 15), (8.5, 30), (2, 7), (4, 24), (2.2, 3.4), 0.2, (0.5, 0.25, 0.1, 0.15), 0.2
    ),
    "works": Building(
        (20, 46), (16, 34), (5.5, 10), (5, 12), (8, 30), (4.0, 9.0), 0.35, (0.8, 0.2, 0, 0), 0.25
    ),
    "school": Building(
        (30, 46), (11, 14), (4, 10), (8, 16), (40, 90), (2.4, 4), 0.4, (0.1, 0.3, 0.2, 0.4)
    ),
    "park": Building((6, 9), (6, 9), (3, 4), (6, 12), (120, 300), (2.0, 3.0), 0.9),
    "field": Building(
        (11, 18), (8, 11), (3, 5.5), (7, 16), (90, 240), (2.6, 3.8), 1.0, (0.5, 0.3, 0.2, 0)
    ),
}


@dataclass(frozen=True)
class Form:
    """One building before it is put up, or all like ones of an estate.

    Attributes:
        front: metres along the street.
        depth: metres of its body away from it.
        eave: metres of the walls.
        setback: metres from the pavement.
        gap: metres to the next one.
        pitch: slopes of the roof's ends and sides.
        windows: metres of wall a window, and the share that is glass.
        facade: what is painted on the walls.
        shape: 0 to 3 for I, L, T and U.
        wings: metres of the wings' width and reach.
        colours: of walls and roof.
        mirrored: 1 or -1.
    """

    front: float
    depth: float
    eave: float
    setback: float
    gap: float
    pitch: Range
    windows: Range
    facade: int
    shape: int
    wings: Range
    colours: tuple[Colour, Colour]
    mirrored: float


def build_along(site: Site, street: Street, side: float) -> None:
    """Put up buildings on one side of a street, facing it.

    Args:
        site: the district.
        street: that they stand along.
        side: 1 for the left side, -1 for the right.
    """
    ground, normals = site.ground, side * street.normals
    numbers = ground.blocks_at(street.points + (street.edge + 5.0) * normals)
    position = site.rng.uniform(0, 8)
    drawn: tuple[int, Form] | None = None
    while position < street.walked[-1] - 3.0:
        number = int(numbers[np.searchsorted(street.walked, position)])
        use, look = ground.uses[number], site.blocks.looks[number]
        plan = BUILDINGS.get(use)
        if plan is None:
            position += 4.0
            continue
        if drawn is None or drawn[0] != number:
            drawn = (number, draw_form(site.rng, plan, look, site.style, use))
        form = drawn[1]
        base = _placed(street, side, form, position)
        margin = 0.12 if use == "terrace" else 0.0
        room = 0.0 if use == "terrace" else 1.0
        area = base.shifted(0, 0, form.front + room, form.depth + room)
        if not ground.claim(area.corners(), margin=margin):
            position += 2.0 if use == "terrace" else 4.0
            drawn = (number, _smaller(form))
            continue
        drawn = None
        years = site.drawn_years(MISSING)
        raise_building(site, form, base, look, years)
        if use in ("houses", "village", "field"):
            add_garden(site, base, form.setback, form.gap, look)
        if use == "field":
            farmyard(site, base, look)
        position += form.front + max(form.gap, 0.1)


def _smaller(form: Form) -> Form:
    """A little smaller and nearer to the street, where a building found no room."""
    depth, front = max(6.5, 0.96 * form.depth), max(7.0, 0.94 * form.front)
    wings = (min(form.wings[0], 0.48 * front), form.wings[1])
    return replace(form, front=front, depth=depth, setback=0.95 * form.setback, wings=wings)


def _placed(street: Street, side: float, form: Form, position: float) -> Footprint:
    """Where a building stands that begins some metres along a street."""
    offset = street.edge + form.setback + form.depth / 2
    place, normal = street.facing(position + form.front / 2, side, offset)
    return Footprint(place, np.array([normal[1], -normal[0]]), form.front, form.depth)


def draw_form(rng: np.random.Generator, plan: Building, look: Look, style: Style, use: str) -> Form:
    """Draw a building; those of an estate are all alike.

    Args:
        rng: the only source of chance.
        plan: of the block's use.
        look: of the block.
        style: of the part of the world.
        use: of the block.
    """
    mirrored = float(rng.choice((-1.0, 1.0)))
    if look.twin >= 0 and use not in ("field", "park"):
        twin = generator(identity_seed("cvtown", "twin", use, look.twin, *map(str, look.walls[0])))
        return replace(_drawn(twin, plan, look, style, use), mirrored=mirrored)
    return replace(_drawn(rng, plan, look, style, use), mirrored=mirrored)


def _drawn(rng: np.random.Generator, plan: Building, look: Look, style: Style, use: str) -> Form:
    front, depth = rng.uniform(*plan.front), rng.uniform(*plan.depth)
    eave = rng.uniform(*plan.eave) * (style.storeys if plan.eave[1] > 7 else style.storeys**0.5)
    pitch, roof = FLAT, look.flats[rng.integers(2)]
    if rng.random() < plan.pitched * style.pitched:
        slope = rng.uniform(0.35, 0.95) if depth < 16 else rng.uniform(0.1, 0.25)
        pitch = (slope if rng.random() < 0.35 and use != "terrace" else -1.0, slope)
        roof = materials.pick(rng, look.tiles, 0.03)
    facade = SHOPS if rng.random() < plan.shops else WINDOWS
    if use == "works":
        facade = BANDS if rng.random() < 0.7 else PLAIN
    wide = min(rng.uniform(5.0, 9.0), 0.48 * front)
    return Form(
        front=front,
        depth=depth,
        eave=eave,
        setback=rng.uniform(*plan.setback),
        gap=rng.uniform(*plan.gap),
        pitch=pitch,
        windows=(rng.uniform(*plan.bay), rng.uniform(0.32, 0.62)),
        facade=facade,
        shape=int(rng.choice(4, p=plan.shapes)),
        wings=(wide, rng.uniform(3.0, 8.0) if use != "terrace" else rng.uniform(4, 9)),
        colours=(materials.pick(rng, look.walls, 0.03), roof),
        mirrored=1.0,
    )


def raise_building(site: Site, form: Form, base: Footprint, look: Look, years: int) -> None:
    """Put up a building: its body, its wings, and what is on the roof.

    Args:
        site: the district.
        form: of the building.
        base: of its body, with the axis along the street.
        look: of its block.
        years: in which it is there.
    """
    body = base.turned() if base.width > base.length and form.pitch != FLAT else base
    for part in (body, *_wings(site, form, base)):
        is_body = part is body
        facade = form.facade if is_body or form.facade == BANDS else WINDOWS
        row = solid_row(
            part,
            form.eave if is_body else form.eave - 0.02,
            form.colours,
            pitch=form.pitch if is_body else (-1.0, form.pitch[1]),
            windows=form.windows,
            facade=facade,
        )
        site.add(row, years)
    _top(site, form, body, look, years)


def _wings(site: Site, form: Form, base: Footprint) -> list[Footprint]:
    """Wings behind the body; their roofs run into its roof."""
    wide, reach = form.wings
    ends: tuple[float, ...] = ((), (form.mirrored,), (0.0,), (-1.0, 1.0))[form.shape]
    wings = []
    for end in ends:
        beside, behind = end * (base.length - wide) / 2, (base.width + reach) / 2
        if not site.ground.claim(base.shifted(beside, behind, wide, reach).corners(), margin=0.15):
            continue
        # From the middle of the body, so that the ridges meet.
        depth = reach + base.width / 2
        wings.append(base.shifted(beside, depth / 2, wide, depth).turned())
    return wings


def _top(site: Site, form: Form, body: Footprint, look: Look, years: int) -> None:
    """A chimney, or the housing of a lift and machines."""
    rng = site.rng
    along = form.mirrored * (0.12 + 0.2 * (form.front % 1.0)) * body.length
    if form.pitch != FLAT:
        if form.gap % 1.0 < 0.6:
            top = body.shifted(along, 0.2 * body.width, 0.9, 0.9)
            high = form.eave + 0.5 * form.pitch[1] * body.width + 0.7
            site.add(solid_row(top, high, (BRICK, BRICK)), years)
        return
    if form.eave > 7.0:
        top = body.shifted(along, 0, min(6.0, 0.3 * body.length), 0.4 * body.width)
        site.add(solid_row(top, form.eave + 2.6, (form.colours[0], form.colours[1])), years)
    if form.eave > 5.0 and look.twin < 0:
        for _ in range(rng.integers(0, 4)):
            place = rng.uniform(-0.38, 0.38, 2) * (body.length, body.width)
            along, across = place.tolist()
            unit = body.shifted(along, across, rng.uniform(1, 2.5), rng.uniform(1, 2))
            site.add(solid_row(unit, form.eave + 1.2, (materials.STEEL, materials.STEEL)), years)
