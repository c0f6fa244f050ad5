import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from cvgl_bench.datasets.cvtown import AREAS
from cvgl_bench.datasets.cvtown import SIZES as SIZE_NAMES
from cvgl_bench.town.layout import CAMERAS, SIDE_METRES, STYLES
from cvgl_bench.town.order import SIZES
from cvgl_bench.town.regions import (
    MOST_PAIRS,
    REGIONS,
    coordinates,
    district_cell,
    district_corner,
    pair_id,
)


def metres_between(first, second):
    """Distances on the globe of (latitude, longitude) pairs, (N, 2) each."""
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    return Geod(ellps="WGS84").inv(first[:, 1], first[:, 0], second[:, 1], second[:, 0])[2]


def test_regions_are_those_of_the_data_set_with_ids_of_their_own():
    assert tuple(REGIONS) == AREAS
    assert tuple(SIZES) == SIZE_NAMES
    assert {region.style for region in REGIONS.values()} <= set(STYLES)
    first = [pair_id(area, 1) for area in AREAS]
    assert first == ["0000001", "1000001", "2000001", "3000001"]
    for area in AREAS:
        last = int(pair_id(area, MOST_PAIRS))
        assert len(pair_id(area, MOST_PAIRS)) == 7
        assert sum(int(identity) <= last for identity in first) == AREAS.index(area) + 1


def test_no_two_districts_share_a_cell():
    cells = [district_cell(number) for number in range(400)]
    assert len(set(cells)) == 400
    assert max(max(abs(column), abs(row)) for column, row in cells) == 10
    assert cells[:10] == [
        *((0, 0), (1, 0), (1, 1), (0, 1), (-1, 1)),
        *((-1, 0), (-1, -1), (0, -1), (1, -1), (2, -1)),
    ]


def bounds(area, pairs):
    """Latitudes and longitudes around all tiles of an area; camera and error stay inside."""
    districts = -(-pairs // CAMERAS)
    # The outline of a spiral is that of its last two rounds.
    outer = range(max(0, districts - 8 * int(np.sqrt(districts)) - 8), districts)
    corners = np.array([district_corner(district) for district in outer])
    low, high = corners.min(axis=0), corners.max(axis=0) + SIDE_METRES
    edges = np.linspace(low, high, 33)
    outline = [(x, y) for x in edges[:, 0] for y in (low[1], high[1])]
    outline += [(x, y) for x in (low[0], high[0]) for y in edges[:, 1]]
    degrees = coordinates(area, np.array(outline))
    return degrees.min(axis=0), degrees.max(axis=0)


@pytest.mark.parametrize("most", [False, True], ids=["default numbers", "as many as there can be"])
def test_areas_never_meet(most):
    boxes = {area: bounds(area, MOST_PAIRS if most else REGIONS[area].pairs) for area in AREAS}
    for first in AREAS:
        for second in AREAS[: AREAS.index(first)]:
            (low, high), (other_low, other_high) = sorted(
                (boxes[first], boxes[second]), key=lambda box: box[0][1]
            )
            assert high[1] < other_low[1]
            latitudes = np.linspace(min(low[0], other_low[0]), max(high[0], other_high[0]), 50)
            east = np.stack([latitudes, np.full(50, high[1])], axis=1)
            west = np.stack([latitudes, np.full(50, other_low[1])], axis=1)
            assert metres_between(east, west).min() > (100_000 if most else 200_000)


@settings(max_examples=40)
@given(
    area=st.sampled_from(AREAS),
    place=st.tuples(*[st.floats(-9000, 9000)] * 2),
    step=st.tuples(*[st.floats(-800, 800)] * 2),
)
def test_distances_on_the_globe_are_those_in_the_plane(area, place, step):
    start, end = coordinates(area, np.array([place, np.add(place, step)]))
    expected = np.hypot(*step)
    assert metres_between(start, end)[0] == pytest.approx(expected, rel=2e-6, abs=1e-4)


def test_north_and_east_of_the_plane_are_those_of_the_globe():
    start, north, east = coordinates("test", np.array([(0.0, 0.0), (0.0, 100.0), (100.0, 0.0)]))
    np.testing.assert_allclose(start, REGIONS["test"].origin_degrees, atol=1e-9)
    assert north[0] > start[0]
    assert north[1] == pytest.approx(start[1], abs=1e-9)
    assert east[1] > start[1]
    assert east[0] == pytest.approx(start[0], abs=1e-7)
