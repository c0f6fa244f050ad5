import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench.errors import SuiteError
from cvgl_bench.views import FULL, View, crop, draw_heading, parse_view, view_width


def panorama(width, height=2):
    """Column c holds the value c."""
    columns = np.arange(width, dtype=np.uint8)
    return np.broadcast_to(columns[None, :, None], (height, width, 3)).copy()


def test_the_full_view_is_the_panorama_itself():
    picture = panorama(72)
    same = crop(picture, heading_degrees=0, fov_degrees=360)
    np.testing.assert_array_equal(same, picture)
    assert not np.shares_memory(same, picture)


def test_looking_east_puts_the_column_a_quarter_right_of_north_in_the_centre():
    turned = crop(panorama(72), heading_degrees=90, fov_degrees=360)
    assert turned[0, 36, 0] == 36 + 18


def test_a_narrow_view_is_centred_on_its_heading_and_wraps_at_the_seam():
    south = crop(panorama(72), heading_degrees=180, fov_degrees=40)
    assert south[0, :, 0].tolist() == [68, 69, 70, 71, 0, 1, 2, 3]


@given(width=st.integers(8, 200), heading=st.floats(-720, 720), turns=st.integers(-3, 3))
def test_whole_turns_change_nothing(width, heading, turns):
    picture = panorama(width)
    one = crop(picture, heading_degrees=heading, fov_degrees=360)
    other = crop(picture, heading_degrees=heading + 360 * turns, fov_degrees=360)
    shift = np.flatnonzero((one[0, 0] == other[0, :])[:, 0])
    assert min(shift[0], width - shift[0]) <= 1  # half a column, where rounding meets a tie


@given(width=st.integers(8, 200), heading=st.integers(0, 359))
def test_a_turned_panorama_keeps_every_column_once(width, heading):
    turned = crop(panorama(width), heading_degrees=heading, fov_degrees=360)
    assert sorted(turned[0, :, 0].tolist()) == list(range(width))


@given(width=st.integers(64, 200), heading=st.integers(0, 359), fov=st.integers(1, 360))
def test_a_narrower_view_is_the_middle_of_the_turned_panorama(width, heading, fov):
    picture = panorama(width)
    wide = crop(picture, heading_degrees=heading, fov_degrees=360)
    narrow = crop(picture, heading_degrees=heading, fov_degrees=fov)
    first = width // 2 - narrow.shape[1] // 2
    assert narrow.shape[1] == view_width(width, fov)
    np.testing.assert_array_equal(narrow, wide[:, first : first + narrow.shape[1]])


def test_the_cvusa_widths_of_the_usual_fields_of_view():
    assert [view_width(1232, fov) for fov in (360, 180, 90, 70)] == [1232, 616, 308, 240]


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("full", FULL),
        ("heading0", FULL),
        ("fov90", View("fov90", 90, None)),
        ("fov360", View("fov360", 360, None)),
        ("fov72.5", View("fov72.5", 72.5, None)),
        ("heading90", View("heading90", 360, 90)),
        ("heading-90", View("heading270", 360, 270)),
        ("fov70-heading45", View("fov70-heading45", 70, 45)),
        ("fov360-heading45", View("heading45", 360, 45)),
    ],
)
def test_names_are_read_and_spelled_one_way(name, view):
    assert parse_view(name) == view
    assert parse_view(view.name) == view


@pytest.mark.parametrize(
    "name",
    ["", "fov", "fov0", "fov361", "-", "fov90-", "90", "fov9e1", "٩", "fov0.00001", "heading1000"],
)
def test_other_names_are_refused(name):
    with pytest.raises(SuiteError, match="view"):
        parse_view(name)


@pytest.mark.parametrize("fov", [0, -1, 361, float("nan")])
def test_a_field_of_view_outside_its_range_is_refused(fov):
    with pytest.raises(ValueError, match="field of view"):
        crop(panorama(16), heading_degrees=0, fov_degrees=fov)


def test_headings_are_whole_degrees_spread_over_the_circle():
    drawn = [draw_heading(1, "cvusa", str(number)) for number in range(2000)]
    assert min(drawn) >= 0
    assert max(drawn) < 360
    counts = np.bincount(np.array(drawn) // 90, minlength=4)
    assert counts.min() > 420


def test_a_heading_depends_on_seed_data_set_and_query():
    draws = {draw_heading(*key) for key in [(1, "a", "x"), (2, "a", "x"), (1, "b", "x")]}
    assert len(draws) == 3
    assert draw_heading(1, "a", "x") == draw_heading(1, "a", "x")
