import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cvgl_bench.errors import ModelError
from cvgl_bench.training.curriculum import SINGEO, Curriculum, Stage, curve

SHAPES = ["linear", "fast-to-slow", "slow-to-fast"]
BENT = SHAPES[1:]
shares = st.floats(0, 1)
steepnesses = st.floats(0.01, 50)


def literal(share, shape, steepness):
    """The formulas as they are printed."""
    if shape == "linear":
        return share
    if shape == "fast-to-slow":
        return (1 - math.exp(-steepness * share)) / (1 - math.exp(-steepness))
    return (math.exp(steepness * share) - 1) / (math.exp(steepness) - 1)


@pytest.mark.parametrize("shape", SHAPES)
@given(share=shares, steepness=steepnesses)
def test_the_curve_is_its_formula(shape, share, steepness):
    expected = literal(share, shape, steepness)
    assert curve(share, shape, steepness) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@given(steepness=st.floats(1e-6, 1e4))
def test_the_curve_goes_from_nothing_to_all_however_steep(shape, steepness):
    assert curve(0, shape, steepness) == 0
    assert curve(1, shape, steepness) == 1
    assert 0 <= curve(0.5, shape, steepness) <= 1


@pytest.mark.parametrize("shape", SHAPES)
@given(one=shares, other=shares, steepness=steepnesses)
def test_the_curve_never_turns_back(shape, one, other, steepness):
    earlier, later = sorted((one, other))
    assert curve(earlier, shape, steepness) <= curve(later, shape, steepness)


@given(share=st.floats(0.01, 0.99))
def test_the_names_say_where_it_is_fast(share):
    assert curve(share, "slow-to-fast") < curve(share, "linear") < curve(share, "fast-to-slow")


@pytest.mark.parametrize("shape", BENT)
@given(share=shares)
def test_a_curve_that_is_hardly_bent_is_the_line(shape, share):
    assert curve(share, shape, 1e-6) == pytest.approx(share, abs=1e-6)


def test_the_steepness_is_five_unless_told():
    assert curve(0.3, "fast-to-slow") == pytest.approx(literal(0.3, "fast-to-slow", 5))


@pytest.mark.parametrize("share", [-0.01, 1.01, math.nan])
def test_a_time_outside_the_training_is_refused(share):
    with pytest.raises(ValueError, match="no curve"):
        curve(share, "linear")
    with pytest.raises(ValueError, match="no curve"):
        SINGEO.at(share)


@pytest.mark.parametrize("steepness", [0.0, -1.0, math.nan])
def test_a_steepness_that_is_none_is_refused(steepness):
    with pytest.raises(ValueError, match="no curve"):
        curve(0.5, "fast-to-slow", steepness)


def test_an_unknown_shape_is_refused_with_the_nearest_one():
    with pytest.raises(ModelError, match="Did you mean 'linear'"):
        curve(0.5, "liner")


def test_singeo_narrows_to_seventy_degrees_and_turns_three_of_four_tiles():
    assert SINGEO.at(0) == Stage(fov_degrees=360, rotation=0)
    assert SINGEO.at(1) == Stage(fov_degrees=70, rotation=0.75)


def test_singeo_passes_the_points_of_its_released_schedule():
    assert SINGEO.at(1 / 80).fov_degrees == pytest.approx(360 - 290 / 80)
    assert SINGEO.at(1 / 80).rotation == pytest.approx(0.75 / 80)
    assert SINGEO.at(74 / 80).fov_degrees > 90 > SINGEO.at(75 / 80).fov_degrees


@pytest.mark.parametrize("shape", SHAPES)
@given(fovs=st.tuples(st.floats(1, 360), st.floats(1, 360)), turns=st.tuples(shares, shares))
def test_any_curriculum_begins_and_ends_as_it_says(shape, fovs, turns):
    curriculum = Curriculum(*fovs, *turns, shape)
    assert curriculum.at(0) == Stage(fovs[0], turns[0])
    assert curriculum.at(1) == Stage(fovs[1], turns[1])


@given(fov=st.floats(1, 360), rotation=shares, share=shares)
def test_a_curriculum_of_one_stage_stays_there(fov, rotation, share):
    same = Curriculum(fov, fov, rotation, rotation, "slow-to-fast")
    assert same.at(share) == Stage(fov, rotation)


def test_the_shape_bends_both_ways_alike():
    bent = dataclasses.replace(SINGEO, shape="slow-to-fast", steepness=2.0).at(0.5)
    gone = literal(0.5, "slow-to-fast", 2)
    assert bent.fov_degrees == pytest.approx(360 - 290 * gone)
    assert bent.rotation == pytest.approx(0.75 * gone)


@pytest.mark.parametrize(
    "change",
    [
        {"first_fov": 361.0},
        {"last_fov": 0.0},
        {"first_rotation": -0.1},
        {"last_rotation": 1.1},
        {"shape": "liner"},
        {"steepness": 0.0},
    ],
    ids=str,
)
def test_numbers_that_make_no_curriculum_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        dataclasses.replace(SINGEO, **change)


def test_a_curriculum_survives_json():
    adapter = TypeAdapter(Curriculum)
    assert adapter.validate_json(adapter.dump_json(SINGEO)) == SINGEO
