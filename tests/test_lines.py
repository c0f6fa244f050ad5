"""What lines of pixels become: enlarged, or dragged along."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corruptions.dragging import drag_picture, line
from corruptions.zooming import average_of_zooms, kept, stretch


def dragged_point(angle_degrees):
    plane = np.zeros((21, 41, 3), dtype=np.uint8)
    plane[10, 30] = 255
    dragged = drag_picture(plane, line(5, 3, angle_degrees))
    assert (dragged == dragged[..., :1]).all()
    return dragged[..., 0].astype(int)


def test_dragging_a_point_leaves_a_fading_line_in_one_direction():
    level = dragged_point(0)
    row = level[10, 20:31]
    assert np.all(np.diff(row) >= 0)
    assert row[-1] > 2 * row[5] > 0
    assert 255 - 11 < row.sum() <= 255
    assert level.sum() == row.sum()
    upright = dragged_point(90)
    assert upright.sum() == upright[:11, 30].sum() == row.sum()
    assert np.array_equal(upright[:11, 30], row)


@given(
    radius=st.integers(1, 25),
    sigma=st.floats(1, 20),
    angle=st.floats(-180, 180),
    height=st.integers(16, 50),
    width=st.integers(16, 50),
)
def test_a_drag_stays_within_the_values_it_is_made_of(radius, sigma, angle, height, width):
    image = np.random.default_rng(0).integers(90, 120, (height, width, 3), np.uint8)
    along = line(radius, sigma, angle)
    assert along.weights.sum() == pytest.approx(1)
    assert (along.rows[0], along.columns[0]) == (0, 0)
    dragged = drag_picture(image, along)
    assert dragged.min() >= 90
    assert dragged.max() <= 119


@given(size=st.integers(16, 4000), zoom=st.floats(1, 5))
def test_enlarging_a_line_covers_it_from_within(size, zoom):
    pixel, share = stretch(size, zoom)
    assert len(pixel) == len(share) >= size
    assert pixel.min() >= 0
    assert pixel.max() + 1 < size
    assert share.min() >= 0
    assert share.max() <= 1
    old, positions = kept(size, zoom), pixel + share.astype(float)
    assert positions[0] == (size - old) // 2
    assert positions[-1] == pytest.approx(positions[0] + old - 1)
    assert np.all(np.diff(positions) > 0)


def test_zooming_by_one_changes_nothing():
    pixel, share = stretch(17, 1.0)
    assert np.array_equal(pixel + share, np.arange(17))


def test_two_layers_are_the_picture_twice_and_its_enlarged_middle():
    """Worked out by hand: of 32 pixels 16 are enlarged to 32, the last onto the last."""
    ramp = np.repeat(np.arange(0, 96, 3, np.uint8), 32 * 3).reshape(32, 32, 3)
    middle = 3 * (8 + np.arange(32) * 15 / 31)
    expected = np.floor((2.0 * ramp[:, 0, 0] + middle) / 3)
    averaged = average_of_zooms(ramp, 2, 1.0)
    assert (averaged == averaged[:, :1, :1]).all()
    inner = slice(1, -1)  # the first and the last mean are whole numbers
    assert np.array_equal(averaged[inner, 0, 0], expected[inner])
