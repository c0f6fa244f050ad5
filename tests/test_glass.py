import numpy as np
import pytest
from scipy import ndimage

from corruptions.blur import glass_blur
from corruptions.chance import fill
from corruptions.glass import losses_of_blur, shuffle_pixels
from corruptions.pixels import gaussian

KEY = np.uint64(2024)


def picture(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def walked(image, key, max_shift):
    """The walk as ImageNet-C writes it, with a partner for every pixel from its own word."""
    height, width = image.shape[:2]
    even = width + width % 2
    words = np.empty(height * even, dtype=np.uint32)
    fill(key, 0, words)
    walk = image.copy()
    for row in range(height - max_shift, max_shift, -1):
        for column in range(width - max_shift, max_shift, -1):
            word = int(words[row * even + column])
            down, across = ((half * 2 * max_shift) >> 16 for half in (word >> 16, word & 0xFFFF))
            walk[row, column] = walk[row + down - max_shift, column + across - max_shift]
    return walk


def shuffled(image, max_shift, key=KEY):
    return shuffle_pixels(image, [key], max_shift)


@pytest.mark.parametrize("shape", [(19, 31), (16, 16), (33, 20)])
@pytest.mark.parametrize("max_shift", [1, 2, 3, 4])
def test_the_shuffle_equals_the_walk_it_stands_for(shape, max_shift):
    image = picture(*shape)
    assert np.array_equal(shuffled(image, max_shift), walked(image, KEY, max_shift))


@pytest.mark.parametrize("max_shift", [1, 2, 3, 4])
def test_a_frame_stays_in_place(max_shift):
    """As in ImageNet-C: a pixel more at the top and left than would be needed, one less below."""
    image = picture(60, 90)
    moved = (shuffled(image, max_shift) != image).any(axis=-1)
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    assert (rows[0], rows[-1]) == (max_shift + 1, 60 - max_shift)
    assert (columns[0], columns[-1]) == (max_shift + 1, 90 - max_shift)


def test_partners_are_drawn_evenly():
    """Seen in lone pixels: the first that the walk meets copies a pixel not yet overwritten."""
    places = np.zeros((16, 16, 3), dtype=np.uint8)
    places[..., 0], places[..., 1] = np.mgrid[:16, :16]
    counts = np.zeros((4, 4), dtype=int)
    for key in range(8000):
        row, column, _ = shuffled(places, 2, np.uint64(key * 7919))[14, 14].astype(int) - 12
        counts[row, column] += 1
    assert counts.sum() == 8000
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)


def test_pixels_travel_as_wholes():
    image = picture(40, 50)
    colours = {tuple(pixel) for pixel in image.reshape(-1, 3)}
    assert {tuple(pixel) for pixel in shuffled(image, 4).reshape(-1, 3)} <= colours


def test_glass_blur_shuffles_the_whole_width_of_a_panorama():
    column = np.arange(1232) // 3 * 97 % 256
    image = np.broadcast_to(column[None, :, None], (32, 1232, 3)).astype(np.uint8)
    rng = np.random.default_rng(0)
    blurred = glass_blur(image, rng, sigma=0.7, max_shift=4, iterations=1)
    rows_differ = (blurred[10:20] != blurred[10]).any(axis=(0, 2))
    assert rows_differ[6:1226].mean() > 0.95


@pytest.mark.parametrize("sigma", [0.7, 0.9, 1.0, 1.5, 6.0])
def test_the_original_filter_is_scipys_and_hangs_on_no_exponentials_of_numpys(sigma, monkeypatch):
    levels = np.random.default_rng(0).random((20, 30, 3))
    expected = ndimage.gaussian_filter(levels, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    losses = losses_of_blur.__wrapped__(sigma)
    exact = np.exp
    monkeypatch.setattr(np, "exp", lambda x: np.nextafter(exact(x), np.inf))
    np.testing.assert_allclose(gaussian(levels, sigma), expected, rtol=0, atol=1e-14)
    assert np.array_equal(losses_of_blur.__wrapped__(sigma), losses)
