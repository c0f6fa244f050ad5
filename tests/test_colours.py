import numpy as np
import pytest

from corruptions import corrupt, parameters
from corruptions.colours import raise_value
from corruptions.pixels import to_bytes

SEVERITIES = range(1, 6)
LEVELS = np.arange(256, dtype=np.uint8)


def way_of_hsv(colours, added):
    """The definition in doubles, to HSV and back, in scikit-image's order of operations."""
    red, green, blue = (colours[..., channel] / 255.0 for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(spread == 0, 1, spread)
    hue = np.where(green == value, 2 + (blue - red) / divisor, (green - blue) / divisor)
    hue = np.where(blue == value, 4 + (red - green) / divisor, hue)
    hue = (hue / 6) % 1 * 6
    saturation = spread / np.where(value == 0, 1, value)
    value = np.clip(value + added, 0, 1)
    sextant = np.floor(hue)
    low = value * (1 - saturation)
    falling = value * (1 - (hue - sextant) * saturation)
    rising = value * (1 - (1 - (hue - sextant)) * saturation)
    which = sextant.astype(int) % 6
    raised = [
        np.choose(which, [value, falling, low, low, rising, value]),
        np.choose(which, [rising, value, value, falling, low, low]),
        np.choose(which, [low, low, rising, value, value, falling]),
    ]
    return to_bytes(np.stack(raised, axis=-1))


def all_pairs(order):
    """Every pair of levels, one of them twice or with a fixed third, in a given order."""
    first, second = (level.ravel() for level in np.meshgrid(LEVELS, LEVELS))
    thirds = [first, np.zeros_like(first), np.full_like(first, 255)]
    colours = np.concatenate([np.stack([first, second, third], -1) for third in thirds])
    return np.ascontiguousarray(colours[:, order])


def assert_equal(colours, added):
    image = colours.reshape(1, -1, 3)
    raised, expected = raise_value(image, added), way_of_hsv(image, added)
    differs = (raised != expected).any(axis=-1)[0]
    assert not differs.any(), (colours[differs][:3], raised[0, differs][:3])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_colours_drawn_at_random_come_out_as_by_way_of_hsv(severity):
    colours = np.random.default_rng(severity).integers(0, 256, (400_000, 3), np.uint8)
    assert_equal(colours, parameters("brightness", severity)["added_value"])


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_colours_with_two_equal_channels_and_saturated_ones_do_too(severity, order):
    """These are the ones at the edges between sextants, where the last bit decides."""
    assert_equal(all_pairs(order), parameters("brightness", severity)["added_value"])


@pytest.mark.parametrize("added", [0.0, 0.07, 1 / 255, 1.0])
def test_so_do_amounts_that_are_none_of_the_benchmarks(added):
    colours = np.random.default_rng(5).integers(0, 256, (100_000, 3), np.uint8)
    assert_equal(np.concatenate([colours, all_pairs((0, 1, 2))]), added)


def test_grey_is_raised_by_the_amount_and_black_turns_grey():
    grey = np.repeat(LEVELS, 3).reshape(16, 16, 3)
    raised = corrupt(grey, "brightness", 3)
    assert np.array_equal(raised, to_bytes(grey / 255.0 + 0.3))
    assert (raised[0, 0] == 76).all()


def test_raising_keeps_the_order_of_the_channels():
    colours = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    raised = corrupt(colours, "brightness", 5).astype(int)
    before, after = (values[..., 1] - values[..., 0] for values in (colours.astype(int), raised))
    assert (before * after >= 0).all()
