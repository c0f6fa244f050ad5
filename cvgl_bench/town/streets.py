"""The street network: a grid, even or warped, with gaps in it, and curved avenues across."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.styles import Style

Line = NDArray[np.float64]
STEP_METRES = 3.0


@dataclass(frozen=True)
class StreetClass:
    """What a kind of street looks like.

    Attributes:
        width: metres of carriageway.
        pavement: metres of pavement on each side; 0 for none.
        centre: "none", "dashed", "double" or "median".
        edges: whether lines mark both edges.
        parking: whether cars park along it.
        crossed: how likely there is a crosswalk where it meets another street.
    """

    width: float
    pavement: float
    centre: str
    edges: bool
    parking: bool
    crossed: float


CLASSES = {
    "track": StreetClass(4.0, 0.0, "none", edges=False, parking=False, crossed=0.0),
    "alley": StreetClass(5.0, 1.25, "none", edges=False, parking=False, crossed=0.1),
    "lane": StreetClass(6.0, 1.5, "none", edges=False, parking=True, crossed=0.1),
    "street": StreetClass(8.0, 2.25, "dashed", edges=False, parking=True, crossed=0.6),
    "road": StreetClass(9.5, 0.0, "double", edges=True, parking=False, crossed=0.1),
    "avenue": StreetClass(15.0, 3.5, "median", edges=True, parking=False, crossed=0.8),
}


@dataclass(frozen=True)
class Plan:
    """How the streets of a character of district are drawn.

    Attributes:
        gaps: metres between streets, (least, most).
        waves: metres by which they wind.
        built: share of the stretches that are built.
        kinds: how common the kinds of CLASSES are.
        avenues: chance of none, one and two avenues across.
        crossing: kinds of such avenues.
    """

    gaps: tuple[float, float]
    waves: tuple[float, float]
    built: float
    kinds: tuple[float, ...]
    avenues: tuple[float, float, float]
    crossing: tuple[str, ...]


PLANS = {
    "dense": Plan(
        (44, 92),
        (0, 10),
        0.9,
        (0.0, 0.26, 0.22, 0.42, 0.0, 0.10),
        (0.4, 0.45, 0.15),
        ("street", "avenue", "avenue"),
    ),
    "suburban": Plan(
        (56, 122),
        (0, 20),
        0.8,
        (0.02, 0.06, 0.40, 0.36, 0.08, 0.08),
        (0.3, 0.5, 0.2),
        ("street", "road", "avenue"),
    ),
    "rural": Plan(
        (110, 190),
        (8, 30),
        0.8,
        (0.42, 0.0, 0.26, 0.06, 0.26, 0.0),
        (0.2, 0.6, 0.2),
        ("road", "road", "lane"),
    ),
}


@dataclass(frozen=True)
class Street:
    """A stretch of street.

    Attributes:
        points: its axis, metres east and north, (N, 2), about STEP_METRES apart.
        kind: key of CLASSES.
    """

    points: Line
    kind: str

    @property
    def form(self) -> StreetClass:
        """What its kind looks like."""
        return CLASSES[self.kind]

    @property
    def edge(self) -> float:
        """Metres from its axis to the outer edge of its pavement."""
        return 0.5 * self.form.width + self.form.pavement

    @cached_property
    def normals(self) -> Line:
        """Unit vectors to the left of its axis, (N, 2)."""
        tangents = np.gradient(self.points, axis=0)
        tangents /= np.hypot(tangents[:, :1], tangents[:, 1:])
        return np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)

    def facing(self, walked: float, side: float, offset: float) -> tuple[Line, Line]:
        """A place beside the axis and the unit vector that leads there, (2,) each.

        Args:
            walked: metres from its start.
            side: 1 for the left side, -1 for the right.
            offset: metres from the axis.
        """
        index = min(int(np.searchsorted(self.walked, walked)), len(self.points) - 1)
        normal = side * self.normals[index]
        along = side * np.array([normal[1], -normal[0]])
        place: Line = self.points[index] + (walked - self.walked[index]) * along + offset * normal
        return place, normal

    @cached_property
    def walked(self) -> Line:
        """Metres from its start to each of its points, (N,)."""
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def beside(self, offset: float) -> Line:
        """Its axis moved to the left by metres (to the right if negative), (N, 2)."""
        return self.points + offset * self.normals

    def at(self, walked: Line, offset: Line | float = 0.0) -> Line:
        """Places some metres from its start and to the left of its axis, (..., 2)."""
        return self._between(self.points, walked) + (
            np.asarray(offset)[..., None] * self._between(self.normals, walked)
        )

    def normals_at(self, walked: Line) -> Line:
        """Vectors to the left some metres from its start, (..., 2), of length about 1."""
        return self._between(self.normals, walked)

    def _between(self, values: Line, walked: Line) -> Line:
        between = np.empty((*np.shape(walked), 2))
        for band in (0, 1):
            between[..., band] = np.interp(walked, self.walked, values[:, band])
        return between

    def lane(self) -> Line:
        """Where a car drives: in the middle of the right half, (N, 2)."""
        return self.beside(-0.25 * self.form.width)


def street_network(
    rng: np.random.Generator, side_metres: float, character: str, style: Style, *, regular: bool
) -> list[Street]:
    """Draw the streets of a district.

    A grid is turned, bent around a far centre and by two slow waves, and a part of its stretches
    left out; curved avenues may run across. A regular one has even gaps and hardly bends.

    Args:
        rng: the only source of chance.
        side_metres: length of the district's sides; the streets leave it on all sides.
        character: key of PLANS.
        style: of the part of the world.
        regular: whether the gaps are even.
    """
    plan, reach = PLANS[character], 0.78 * side_metres
    turn = rng.uniform(0, np.pi / 2)
    bend = 0.1 * style.bend if regular else style.bend
    curve = bend * rng.choice([0.0, rng.uniform(-1, 1) / (1.4 * side_metres)])
    amplitude, waves = bend * rng.uniform(*plan.waves), rng.uniform(220, 420, 2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    lines = [_offsets(rng, plan, reach, stretch, regular=regular) for stretch in style.stretch]
    built = 0.97 if regular else plan.built
    streets = []
    for own, across, swapped in (
        (lines[0], lines[1], False),
        (lines[1], lines[0], True),
    ):
        usual = [*CLASSES][rng.choice(len(CLASSES), p=plan.kinds)]
        for offset in own:
            kind = [*CLASSES][rng.choice(len(CLASSES), p=plan.kinds)]
            kind = usual if regular and rng.random() < 0.75 else kind
            for start, end in _stretches(rng, across, reach, built):
                along = np.arange(start - 1.0, end + STEP_METRES, STEP_METRES)
                grid = np.stack([along, np.full_like(along, offset)], axis=1)
                grid = grid[:, ::-1] if swapped else grid
                bent = grid + amplitude * np.sin(2 * np.pi * grid[:, ::-1] / waves + phases)
                streets.append(Street(placed(_curved(bent, curve), turn, side_metres), kind))
    for _ in range(0 if regular else rng.choice(3, p=plan.avenues)):
        streets.append(_avenue(rng, reach, side_metres, plan))
    inside = [_inside(street, side_metres) for street in streets]
    return [street for street in inside if len(street.points) >= 4]


def _offsets(
    rng: np.random.Generator, plan: Plan, reach: float, stretch: float, *, regular: bool
) -> Line:
    least, most = plan.gaps[0] * stretch, plan.gaps[1] * stretch
    count = int(2 * reach / least) + 1
    gaps = (
        np.full(count, rng.uniform(least + 8, most)) if regular else rng.uniform(least, most, count)
    )
    offsets: Line = -reach + rng.uniform(0, 60) + np.cumsum(gaps)
    return offsets[offsets < reach]


def _stretches(
    rng: np.random.Generator, crossings: Line, reach: float, share: float
) -> list[tuple[float, float]]:
    """The parts of a line that are built: some stretches between crossings are left out."""
    ends = [-reach, *crossings.tolist(), reach]
    built = rng.random(len(ends) - 1) < share
    stretches: list[tuple[float, float]] = []
    for start, end, is_built in zip(ends[:-1], ends[1:], built, strict=True):
        if not is_built:
            continue
        if stretches and stretches[-1][1] == start:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return stretches


def _avenue(rng: np.random.Generator, reach: float, side_metres: float, plan: Plan) -> Street:
    turn = rng.uniform(0, 2 * np.pi)
    bow, shift = rng.uniform(-0.35, 0.35) * reach, rng.uniform(-0.4, 0.4) * reach
    along = np.arange(-reach, reach, STEP_METRES)
    line = np.stack([along, shift + bow * (along / reach) ** 2], axis=1)
    return Street(placed(line, turn, side_metres), str(rng.choice(plan.crossing)))


def _curved(line: Line, curve: float) -> Line:
    """Roll a plan up around a centre that is 1 / curve metres away."""
    if curve == 0.0:
        return line
    angle, radius = line[:, 0] * curve, 1.0 / curve - line[:, 1]
    return np.stack([radius * np.sin(angle), 1.0 / curve - radius * np.cos(angle)], axis=1)


def placed(plan: Line, turn: float, side_metres: float) -> Line:
    """Turn a plan around its origin and move that to the district's centre, (N, 2) metres.

    Args:
        plan: metres, (N, 2).
        turn: in radians, counted from east to north.
        side_metres: length of the district's sides.
    """
    cosine, sine = np.cos(turn), np.sin(turn)
    turned: Line = plan @ np.array([[cosine, sine], [-sine, cosine]])
    return turned + side_metres / 2


def _inside(street: Street, side_metres: float) -> Street:
    """The longest part of a street near the district."""
    near = ((street.points > -30) & (street.points < side_metres + 30)).all(axis=1)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], near.astype(int), [0]])))
    if not len(ends):
        return Street(street.points[:0], street.kind)
    first, last = max(ends.reshape(-1, 2).tolist(), key=lambda run: run[1] - run[0])
    return Street(street.points[first:last], street.kind)
