"""The street network: a warped grid with gaps in it, and curved avenues across."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """

    width: float
    pavement: float
    centre: str
    edges: bool
    parking: bool


CLASSES = {
    "track": StreetClass(4.5, 0.0, "none", edges=False, parking=False),
    "lane": StreetClass(6.0, 1.5, "none", edges=False, parking=True),
    "street": StreetClass(8.0, 2.0, "dashed", edges=False, parking=True),
    "road": StreetClass(10.0, 0.0, "double", edges=True, parking=False),
    "avenue": StreetClass(15.0, 3.0, "median", edges=True, parking=False),
}
GRID_SHARES = (0.12, 0.28, 0.36, 0.14, 0.10)


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

    def normals(self) -> Line:
        """Unit vectors to the left of its axis, (N, 2)."""
        tangents = np.gradient(self.points, axis=0)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        return np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)

    def beside(self, offset: float) -> Line:
        """Its axis moved to the left by metres (to the right if negative), (N, 2)."""
        return self.points + offset * self.normals()

    def lane(self) -> Line:
        """Where a car drives: in the middle of the right half, (N, 2)."""
        return self.beside(-0.25 * self.form.width)


def street_network(rng: np.random.Generator, side_metres: float) -> list[Street]:
    """Draw the streets of a district.

    A grid with uneven gaps is turned, bent by two slow waves, and a part of its stretches left
    out; curved avenues may run across.

    Args:
        rng: the only source of chance.
        side_metres: length of the district's sides; the streets leave it on all sides.
    """
    reach = 0.75 * side_metres
    turn = rng.uniform(0, np.pi / 2)
    amplitude, waves = rng.uniform(0, 16), rng.uniform(220, 420, 2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    rows, columns = _offsets(rng, reach), _offsets(rng, reach)
    streets = []
    for own, across, swapped in ((rows, columns, False), (columns, rows, True)):
        for offset in own:
            kind = [*CLASSES][rng.choice(len(CLASSES), p=GRID_SHARES)]
            for start, end in _stretches(rng, across, reach):
                along = np.arange(start, end + STEP_METRES, STEP_METRES)
                plan = np.stack([along, np.full_like(along, offset)], axis=1)
                plan = plan[:, ::-1] if swapped else plan
                bent = plan + amplitude * np.sin(2 * np.pi * plan[:, ::-1] / waves + phases)
                streets.append(Street(_placed(bent, turn, side_metres), kind))
    for _ in range(rng.choice(3, p=(0.3, 0.5, 0.2))):
        streets.append(_avenue(rng, reach, side_metres))
    inside = [_inside(street, side_metres) for street in streets]
    return [street for street in inside if len(street.points) >= 4]


def _offsets(rng: np.random.Generator, reach: float) -> Line:
    gaps = rng.uniform(52, 125, int(2 * reach / 52) + 1)
    offsets: Line = -reach + rng.uniform(0, 60) + np.cumsum(gaps)
    return offsets[offsets < reach]


def _stretches(
    rng: np.random.Generator, crossings: Line, reach: float
) -> list[tuple[float, float]]:
    """The parts of a line that are built: some stretches between crossings are left out."""
    ends = [-reach, *crossings.tolist(), reach]
    built = rng.random(len(ends) - 1) < 0.8
    stretches: list[tuple[float, float]] = []
    for start, end, is_built in zip(ends[:-1], ends[1:], built, strict=True):
        if not is_built:
            continue
        if stretches and stretches[-1][1] == start:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return stretches


def _avenue(rng: np.random.Generator, reach: float, side_metres: float) -> Street:
    turn = rng.uniform(0, 2 * np.pi)
    bow, shift = rng.uniform(-0.35, 0.35) * reach, rng.uniform(-0.4, 0.4) * reach
    along = np.arange(-reach, reach, STEP_METRES)
    plan = np.stack([along, shift + bow * (along / reach) ** 2], axis=1)
    return Street(_placed(plan, turn, side_metres), str(rng.choice(["street", "road", "avenue"])))


def _placed(plan: Line, turn: float, side_metres: float) -> Line:
    """Turn a plan around its origin and move that to the district's centre."""
    cosine, sine = np.cos(turn), np.sin(turn)
    placed: Line = plan @ np.array([[cosine, sine], [-sine, cosine]]) + side_metres / 2
    return placed


def _inside(street: Street, side_metres: float) -> Street:
    """The part of a street near the district; it stays in one piece, being nearly straight."""
    near = ((street.points > -30) & (street.points < side_metres + 30)).all(axis=1)
    return Street(street.points[near], street.kind)
