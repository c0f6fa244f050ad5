"""Where streets meet and end: junctions, their arms, roundabouts and turning circles."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.town.rays import compiled
from cvgl_bench.town.streets import Line, Street

LONGEST_STEP = 8.0
ROUNDABOUT_KINDS = {"street", "road", "avenue"}


@dataclass(frozen=True)
class Arm:
    """A part of a street at a junction or at its end.

    Attributes:
        street: number of the street.
        walked: metres from the street's start to the middle of the junction.
        clear: metres from the middle to where the markings of the street begin again.
    """

    street: int
    walked: float
    clear: float


@dataclass(frozen=True)
class Circle:
    """A round piece of carriageway.

    Attributes:
        place: its centre, metres east and north.
        radius: of the carriageway in metres.
        island: radius of the island in its middle; 0 for a turning circle.
        pavement: metres of pavement around it.
    """

    place: Line
    radius: float
    island: float
    pavement: float


@dataclass(frozen=True)
class Network:
    """The streets of a district and where they meet.

    Attributes:
        streets: in the order in which they are laid.
        arms: two for every junction.
        circles: roundabouts and turning circles.
    """

    streets: list[Street]
    arms: list[Arm]
    circles: list[Circle]

    def clear(self, street: int, walked: Line, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether places along a street are outside its junctions, (N,).

        Args:
            street: its number.
            walked: metres from its start.
            margin: metres to keep from the junctions' ends.
        """
        result = np.ones(np.shape(walked), bool)
        for arm in self.arms:
            if arm.street == street:
                result &= np.abs(walked - arm.walked) > arm.clear + margin
        return result


@compiled
def crossings(
    points: NDArray[np.float64], owner: NDArray[np.int64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where polylines cross each other, or a polyline of its own, (K, 4).

    Columns are the numbers of the two segments and how far along them the crossing is, 0..1.

    Args:
        points: of all polylines, one after another, (N, 2).
        owner: number of the polyline that each belongs to, (N,); nothing crosses its own.
        other: one polyline, (M, 2), to be crossed instead of each other, or none, (0, 2).
    """
    found = np.zeros((4096, 4))
    count = 0
    alone = len(other) == 0
    for i in range(len(points) - 1):
        if owner[i] != owner[i + 1]:
            continue
        first = i + 2 if alone else 0
        last = len(points) - 1 if alone else len(other) - 1
        px, py = points[i, 0], points[i, 1]
        rx, ry = points[i + 1, 0] - px, points[i + 1, 1] - py
        for j in range(first, last):
            qx = (points[j, 0] if alone else other[j, 0]) - px
            qy = (points[j, 1] if alone else other[j, 1]) - py
            if abs(qx) > LONGEST_STEP or abs(qy) > LONGEST_STEP:
                continue
            if alone and (owner[j] != owner[j + 1] or owner[j] == owner[i]):
                continue
            sx = (points[j + 1, 0] if alone else other[j + 1, 0]) - px - qx
            sy = (points[j + 1, 1] if alone else other[j + 1, 1]) - py - qy
            area = rx * sy - ry * sx
            if abs(area) < 1e-9:
                continue
            u, v = (qx * sy - qy * sx) / area, (qx * ry - qy * rx) / area
            if 0.0 <= u < 1.0 and 0.0 <= v < 1.0 and count < len(found):
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = i, j, u, v
                count += 1
    return found[:count]


def joined(streets: list[Street]) -> tuple[Line, NDArray[np.int64], NDArray[np.int64]]:
    """All streets' points, the street of each, and the number of each street's first point."""
    lengths = [len(street.points) for street in streets]
    points = np.concatenate([street.points for street in streets])
    owner = np.repeat(np.arange(len(streets)), lengths)
    return points, owner, np.concatenate([[0], np.cumsum(lengths)[:-1]])


def connect(
    rng: np.random.Generator, streets: list[Street], side_metres: float, *, roundabouts: float
) -> Network:
    """Find the junctions of streets; make roundabouts of some, and turning circles of dead ends.

    Args:
        rng: the only source of chance.
        streets: of the district.
        side_metres: length of its sides.
        roundabouts: chance of one at a junction of two large streets.
    """
    points, owner, firsts = joined(streets)
    arms: list[Arm] = []
    circles: list[Circle] = []
    met: list[list[float]] = [[] for _ in streets]
    for i, j, u, v in crossings(points, owner, np.zeros((0, 2))).tolist():
        pair = (int(owner[int(i)]), int(owner[int(j)]))
        places = [
            streets[pair[0]].walked[int(i) - firsts[pair[0]]] + u * _step(points, int(i)),
            streets[pair[1]].walked[int(j) - firsts[pair[1]]] + v * _step(points, int(j)),
        ]
        sine = _sine(points, int(i), int(j))
        place = points[int(i)] + u * (points[int(i) + 1] - points[int(i)])
        circle = _roundabout(rng, [streets[k] for k in pair], place, sine, side_metres)
        if rng.random() >= roundabouts or len(circles) >= 2:
            circle = None
        if circle is not None:
            circles.append(circle)
        for own, across, walked in zip(pair, pair[::-1], places, strict=True):
            clear = _clearance(streets[own], streets[across], sine)
            if circle is not None:
                clear = max(clear, circle.radius + 3.0)
            arms.append(Arm(own, float(walked), clear))
            met[own].append(float(walked))
    circles += _turning_circles(rng, streets, met, side_metres)
    return Network(streets, arms, circles)


def _step(points: Line, index: int) -> float:
    return float(np.hypot(*(points[index + 1] - points[index])))


def _sine(points: Line, i: int, j: int) -> float:
    """Sine of the angle between two segments."""
    first, second = points[i + 1] - points[i], points[j + 1] - points[j]
    area = abs(first[0] * second[1] - first[1] * second[0])
    return float(area / (np.hypot(*first) * np.hypot(*second)))


def _clearance(own: Street, across: Street, sine: float) -> float:
    """Metres along a street from the middle of a junction to its edge."""
    angle = max(sine, 0.35)
    cotangent = math.sqrt(1.0 - angle * angle) / angle
    return 0.5 * across.form.width / angle + 0.5 * own.form.width * cotangent + 1.0


def _roundabout(
    rng: np.random.Generator, pair: list[Street], place: Line, sine: float, side_metres: float
) -> Circle | None:
    widths = [street.form.width for street in pair]
    radius = 0.5 * max(widths) + rng.uniform(7.0, 10.0)
    fits = all(street.kind in ROUNDABOUT_KINDS for street in pair) and sine > 0.8
    if not fits or place.min() < 30 or place.max() > side_metres - 30:
        return None
    return Circle(place, radius, radius - rng.uniform(6.0, 7.5), 2.0)


def _turning_circles(
    rng: np.random.Generator, streets: list[Street], met: list[list[float]], side_metres: float
) -> list[Circle]:
    """A circle at most ends of streets that lead nowhere."""
    circles = []
    for street, places in zip(streets, met, strict=True):
        length = street.walked[-1]
        for end, point in ((0.0, street.points[0]), (length, street.points[-1])):
            meets = any(abs(walked - end) < 14.0 for walked in places)
            is_inside = point.min() > 12.0 and point.max() < side_metres - 12.0
            if is_inside and not meets and street.kind != "track" and rng.random() < 0.8:
                radius = 0.5 * street.form.width + rng.uniform(3.0, 5.0)
                circles.append(Circle(point, radius, 0.0, street.form.pavement))
    return circles
