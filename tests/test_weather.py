import hashlib

import numpy as np
import pytest

from corruptions import corrupt
from corruptions.ice import FROST_PICTURES, TEXTURES, cut_frost, frost_picture, frost_texture
from corruptions.plasma import plasma

KEY = np.uint64(1)
SEVERITIES = range(1, 6)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_plasma_fills_zero_to_one_and_is_rougher_with_less_decay():
    smooth, rough = (plasma(128, 128, KEY, decay=decay) for decay in (2.0, 1.4))
    for cloud in (smooth, rough):
        assert cloud.shape == (128, 128)
        assert (cloud.min(), cloud.max()) == (0, 1)
    assert np.abs(np.diff(rough)).mean() > 1.5 * np.abs(np.diff(smooth)).mean()


@pytest.mark.parametrize(("height", "width"), [(65, 128), (128, 65), (100, 100), (16, 97)])
def test_a_picture_sees_the_corner_of_the_whole_cloud(height, width):
    whole = plasma(128, 128, KEY, decay=1.7)
    assert np.array_equal(plasma(height, width, KEY, decay=1.7), whole[:height, :width])


@pytest.mark.parametrize("shape", [(224, 1232), (1232, 224), (832, 1664), (16, 2000)])
def test_large_clouds_are_cut_before_they_grow_and_look_the_same(shape):
    """But for their scale: extremes out of sight count less, by under a hundredth."""
    side = 1 << (max(shape) - 1).bit_length()
    whole = plasma(side, side, KEY, decay=1.7)[: shape[0], : shape[1]].astype(float)
    cut = plasma(*shape, KEY, decay=1.7).astype(float)
    slope, start = np.polyfit(whole.ravel(), cut.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.01)
    assert start == pytest.approx(0, abs=0.01)
    assert np.abs(slope * whole + start - cut).max() < 1e-5
    assert cut.min() >= 0
    assert cut.max() <= 1


def test_plasma_wraps_so_that_its_first_row_continues_its_last():
    cloud = plasma(256, 256, KEY, decay=2.0)
    within = np.abs(np.diff(cloud, axis=0)).mean()
    assert np.abs(cloud[0] - cloud[-1]).mean() < 2 * within
    assert np.abs(cloud[:, 0] - cloud[:, -1]).mean() < 2 * within


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_keeps_the_brightest_value_what_it_was_at_most(severity):
    image = picture(64, 96) // 2
    foggy = corrupt(image, "fog", severity, rng=0)
    assert foggy.max() <= image.max()
    assert foggy.std() < image.std()
    assert not corrupt(np.zeros_like(image), "fog", severity, rng=0).any()


def test_frost_pictures_are_the_files_their_readme_names():
    readme = (TEXTURES / "README.md").read_text(encoding="utf-8")
    for file in sorted(TEXTURES.glob("frost*")):
        assert f"{file.name} | {hashlib.sha256(file.read_bytes()).hexdigest()}" in readme
    assert len(list(TEXTURES.glob("frost*"))) == 6


@pytest.mark.parametrize("shape", [(16, 16), (224, 1232), (700, 300)])
def test_ice_covers_the_image_wherever_it_is_cut(shape):
    for index in range(len(FROST_PICTURES)):
        height, width = frost_picture(index, *shape).shape[:2]
        texture = frost_texture(index)
        assert height >= 1.099 * max(shape[0], texture.shape[0])
        assert width >= 1.099 * max(shape[1], texture.shape[1])


def test_frost_draws_each_of_five_pictures_and_crops_inside_it():
    rng = np.random.default_rng(0)
    ice = [frost_picture(index, 61, 97) for index in range(5)]
    counts = np.zeros(5, dtype=int)
    for _ in range(1000):
        cut = cut_frost(61, 97, rng)
        assert cut.shape == (61, 97, 3)
        counts += [np.shares_memory(cut, whole) for whole in ice]
    assert counts.sum() == 1000
    assert counts.min() > 150


def test_frost_cuts_where_it_is_told_to_the_last_place():
    rng = np.random.default_rng(0)
    for texture in range(1, 6):
        ice = frost_picture(texture - 1, 61, 97)
        for top, left in ((0, 0), (7, 11), (ice.shape[0] - 61, ice.shape[1] - 97)):
            cut = cut_frost(61, 97, rng, texture=texture, top=top, left=left)
            assert np.array_equal(cut, ice[top : top + 61, left : left + 97])


def test_cached_ice_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        frost_picture(0, 20, 20)[0, 0, 0] = 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_flakes_fall_twice_the_second_time_turned_around(severity):
    grey = np.full((60, 91, 3), 70, dtype=np.uint8)
    snowy = corrupt(grey, "snow", severity, rng=0)
    assert np.array_equal(snowy, snowy[::-1, ::-1])
    assert (snowy == snowy[..., :1]).all()
    assert snowy.min() > 70
    assert snowy.max() > snowy.min() + 30


def test_flakes_fall_down():
    """A drag at -135..-45 degrees leaves upright streaks, so columns vary less than rows."""
    grey = np.full((300, 300, 3), 70, dtype=np.uint8)
    snowy = np.mean([corrupt(grey, "snow", 5, rng=seed)[..., 0] for seed in range(5)], axis=0)
    assert np.abs(np.diff(snowy, axis=0)).mean() < np.abs(np.diff(snowy, axis=1)).mean()


def test_spatter_without_a_drop_changes_nothing():
    image = picture(16, 16)
    untouched = [
        np.array_equal(corrupt(image, "spatter", 1, rng=seed), image) for seed in range(60)
    ]
    assert any(untouched)
    assert not all(untouched)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_water_lights_up_and_mud_turns_brown(severity):
    grey = np.full((200, 300, 3), 120, dtype=np.uint8)
    change = corrupt(grey, "spatter", severity, rng=0).astype(int) - 120
    assert (change == 0).all(axis=-1).mean() > 0.05
    red, green, blue = change.reshape(-1, 3).mean(axis=0)
    if severity <= 3:
        assert change.min() >= -1  # rounded down once more where there is no water
        assert 0 < red < green
        assert green == blue
    else:
        assert blue < green < red < 0
