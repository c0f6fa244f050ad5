"""At the seam of a 360-degree panorama, where its left edge continues its right one.

By ImageNet-C's definitions no corruption wraps around it: blurs repeat or reflect the pixels at
each edge, and what falls on the picture or lies over it ends there. Those that treat every value by
itself, or the picture as a whole, do not care where the seam lies.
"""

import numpy as np
import pytest

from corruptions import CORRUPTIONS, corrupt

SEVERITIES = range(1, 6)
NOISES = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
# The mean of the whole picture goes into every value.
OF_THE_WHOLE = {"contrast"}


def panorama(height=48, width=320, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image[height // 2, width // 2] = 255  # fog asks for the brightest value
    return image


def opposites(height=48, width=320):
    """Black on the left, white on the right, so that the seam is a step."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, width // 2 :] = 255
    return image


def turned(image, columns):
    return np.roll(image, columns, axis=1)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - OF_THE_WHOLE))
def test_the_left_edge_does_not_see_the_right_one(name, severity):
    image = panorama()
    other = image.copy()
    other[:, 224:] = panorama(seed=1)[:, 224:]
    here, there = (corrupt(each, name, severity, rng=3) for each in (image, other))
    assert np.array_equal(here[:, :96], there[:, :96])
    assert not np.array_equal(here[:, 224:], there[:, 224:])


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"])
def test_a_step_at_the_seam_is_not_blurred(name, severity):
    blurred = corrupt(opposites(), name, severity, rng=3)
    assert not blurred[:, 0].any()
    assert (blurred[:, -1] >= 254).all()
    middle = blurred[:, 159:161].astype(int)
    assert np.abs(np.diff(middle, axis=1)).max() < 254


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["brightness", "contrast"])
@pytest.mark.parametrize("columns", [1, 37, 160])
def test_brightness_and_contrast_do_not_care_where_the_seam_lies(name, severity, columns):
    image = panorama()
    expected = turned(corrupt(image, name, severity), columns)
    assert np.array_equal(corrupt(turned(image, columns), name, severity), expected)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", NOISES)
def test_noises_do_not_care_in_law_because_each_value_goes_wrong_by_itself(name, severity):
    """Where a turned picture has the same value, it gets the same noise."""
    image = panorama() // 64 * 64
    moved = turned(image, 37)
    here, there = (corrupt(each, name, severity, rng=3) for each in (image, moved))
    same = image == moved
    assert 0.2 < same.mean() < 0.3
    assert np.array_equal(here[same], there[same])


@pytest.mark.parametrize(("severity", "block"), [(2, 2), (5, 4)])
def test_pixelate_does_not_care_by_whole_blocks(severity, block):
    image = panorama()
    expected = corrupt(image, "pixelate", severity)
    for columns in (block, 37 * block):
        found = corrupt(turned(image, columns), "pixelate", severity)
        assert np.array_equal(found, turned(expected, columns))
    assert not np.array_equal(corrupt(turned(image, 1), "pixelate", severity), turned(expected, 1))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_does_not_care_by_whole_blocks_but_beside_the_seams(severity):
    """Its blocks have 16 pixels; at the edges colours are not smoothed across."""
    image = panorama()
    expected = turned(corrupt(image, "jpeg_compression", severity), 48)
    found = corrupt(turned(image, 48), "jpeg_compression", severity)
    inner = np.ones(320, dtype=bool)
    inner[[0, 1, 46, 47, 48, 49, -2, -1]] = False
    assert np.array_equal(found[:, inner], expected[:, inner])
    shifted = corrupt(turned(image, 1), "jpeg_compression", severity)
    assert not np.array_equal(turned(shifted, 47)[:, inner], expected[:, inner])


@pytest.mark.parametrize("name", ["snow", "frost", "fog", "spatter"])
def test_what_lies_over_the_picture_has_no_seam_to_continue(name):
    """The same draw on a turned flat picture is the same picture: the layer does not turn along."""
    flat = np.full((48, 320, 3), 90, dtype=np.uint8)
    layer = corrupt(flat, name, 5, rng=3)
    assert not np.array_equal(turned(layer, 100), layer)
    assert np.array_equal(corrupt(turned(flat, 100), name, 5, rng=3), layer)
