import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from corruptions import corrupt, parameters
from corruptions.blocks import show_blocks

BOX, NEAREST = PillowImage.Resampling.BOX, PillowImage.Resampling.NEAREST


def by_pillow(image, height, width):
    """Shrunk across, shrunk down, enlarged, each by Pillow."""
    picture = PillowImage.fromarray(image)
    shrunk = picture.resize((width, picture.height), BOX).resize((width, height), BOX)
    return np.asarray(shrunk.resize(picture.size, NEAREST))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=150)
@given(st.data())
def test_blocks_of_any_size_equal_pillows(data):
    height, width = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 400))
    blocks = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    image = noise(height, width)
    assert np.array_equal(show_blocks(image, *blocks), by_pillow(image, *blocks))


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("shape", [(224, 1232), (832, 1664), (512, 512), (1024, 97), (16, 16)])
def test_pixelate_equals_pillows_way_at_the_sizes_of_the_datasets(shape, severity):
    image = noise(*shape, severity)
    scale = parameters("pixelate", severity)["scale"]
    expected = by_pillow(image, *(int(side * scale) for side in shape))
    assert np.array_equal(corrupt(image, "pixelate", severity), expected)


@pytest.mark.parametrize("severity", range(1, 6))
def test_flat_pictures_stay_what_they_are(severity):
    for level in range(256):
        flat = np.full((33, 47, 3), level, dtype=np.uint8)
        assert (corrupt(flat, "pixelate", severity) == level).all()


def test_a_picture_with_as_many_blocks_as_pixels_is_itself():
    image = noise(19, 31)
    assert np.array_equal(show_blocks(image, 19, 31), image)


def test_one_block_is_the_mean():
    image = noise(64, 64)
    shown = show_blocks(image, 1, 1)
    assert (shown == shown[0, 0]).all()
    assert shown[0, 0] == pytest.approx(image.mean(axis=(0, 1)), abs=1)
