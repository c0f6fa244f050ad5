import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from corruptions import CORRUPTIONS, PROFILES, as_rgb, corrupt
from corruptions.inputs import LARGEST_SIDE, MOST_PIXELS, SMALLEST_SIDE


def colours(height=20, width=24, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def with_alpha(image, alpha):
    return np.dstack([image, np.full(image.shape[:2], alpha, np.uint8)])


def refused(image, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        as_rgb(image)


def test_rgb_bytes_stay_what_they_are():
    image = colours()
    assert as_rgb(image) is image
    assert np.array_equal(as_rgb(PillowImage.fromarray(image)), image)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1)])
def test_grey_gets_three_equal_channels(shape):
    grey = colours(channels=1).reshape(shape)
    expected = np.repeat(grey.reshape(20, 24, 1), 3, axis=2)
    assert np.array_equal(as_rgb(grey), expected)
    assert np.array_equal(as_rgb(PillowImage.fromarray(grey.reshape(20, 24))), expected)


def test_one_bit_becomes_black_and_white():
    bits = colours(channels=1)[..., 0] > 127
    picture = PillowImage.fromarray(bits)
    assert picture.mode == "1"
    assert np.array_equal(as_rgb(picture)[..., 1], bits * 255)


def test_palettes_become_their_colours():
    picture = PillowImage.fromarray(colours()).quantize(16)
    assert picture.mode == "P"
    assert np.array_equal(as_rgb(picture), np.array(picture.convert("RGB")))
    assert len(np.unique(as_rgb(picture).reshape(-1, 3), axis=0)) <= 16


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_dropped_where_all_is_opaque(channels):
    image = with_alpha(colours(channels=channels), 255)
    expected = np.repeat(image[..., :1], 3, axis=2) if channels == 1 else image[..., :3]
    assert np.array_equal(as_rgb(image), expected)
    assert as_rgb(image).flags.c_contiguous
    assert np.array_equal(as_rgb(PillowImage.fromarray(image)), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pictures_are_refused(channels):
    image = with_alpha(colours(channels=channels), 255)
    image[3, 4, -1] = 254
    refused(image, "transparent in places: put it on a background")
    refused(PillowImage.fromarray(image), "transparent in places")


def reopened(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return PillowImage.open(file)


def test_a_transparent_colour_counts_as_alpha():
    picture = PillowImage.fromarray(np.full((20, 24, 3), 40, np.uint8))
    refused(reopened(picture, transparency=(40, 40, 40)), "transparent in places")
    assert (as_rgb(reopened(picture, transparency=(1, 2, 3))) == 40).all()
    palette = picture.quantize(4)
    refused(reopened(palette, transparency=palette.getpixel((0, 0))), "transparent in places")


def test_palettes_with_alpha_follow_the_same_rule():
    opaque = PillowImage.fromarray(colours()).convert("PA")
    assert np.array_equal(as_rgb(opaque), np.array(opaque.convert("RGB")))
    opaque.putalpha(10)
    refused(opaque, "transparent in places")


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        (np.uint16, "(image >> 8).astype(numpy.uint8)"),
        (np.float32, "(image * 255).round().astype(numpy.uint8)"),
        (np.float64, "(image * 255).round().astype(numpy.uint8)"),
        (np.int64, "image.astype(numpy.uint8)"),
        (np.int8, "image.astype(numpy.uint8)"),
        (bool, "image.astype(numpy.uint8) * 255"),
        (np.complex64, "must hold uint8 values 0..255, not complex64."),
        (object, "must hold uint8 values 0..255, not object."),
    ],
)
def test_other_numbers_are_refused_with_a_word_on_how_to_convert(dtype, how):
    refused(np.zeros((20, 24, 3), dtype), how)


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        ("CMYK", 'picture.convert("RGB")'),
        ("YCbCr", 'picture.convert("RGB")'),
        ("LAB", 'picture.convert("RGB")'),
        ("HSV", 'picture.convert("RGB")'),
        ("RGBX", 'picture.convert("RGB")'),
        ("RGBa", 'picture.convert("RGB")'),
        ("I", "pass them as a uint8 array"),
        ("F", "pass them as a uint8 array"),
        ("I;16", "(numpy.asarray(picture) >> 8).astype(numpy.uint8)"),
    ],
)
def test_other_kinds_of_pictures_are_refused_with_a_word_on_how_to_convert(mode, how):
    picture = PillowImage.new(mode, (24, 20))
    refused(picture, f"of Pillow's kind {mode}, not RGB, grey or palette. ")
    refused(picture, how)


def test_sixteen_bit_colour_is_refused_before_pillow_makes_bytes_of_it():
    cv2 = pytest.importorskip("cv2")
    data = cv2.imencode(".png", np.zeros((20, 24, 3), np.uint16))[1].tobytes()
    refused(PillowImage.open(io.BytesIO(data)), "of Pillow's kind 16-bit RGB")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[1, 2]], "must be a numpy array or a Pillow picture, not list."),
        ("photo.jpg", "must be a numpy array or a Pillow picture, not str."),
        (None, "must be a numpy array or a Pillow picture, not NoneType."),
        (np.zeros(20, np.uint8), "must be (H, W, 3) for RGB or (H, W) for grey, not (20,)."),
        (np.uint8(3)[...], "must be (H, W, 3) for RGB or (H, W) for grey, not ()."),
        (np.zeros((20, 24, 5), np.uint8), "not (20, 24, 5)."),
        (np.zeros((20, 24, 0), np.uint8), "not (20, 24, 0)."),
        (np.zeros((1, 20, 24, 3), np.uint8), "not (1, 20, 24, 3)."),
        (np.zeros((3, 20, 24), np.uint8), "Put the channels last: numpy.moveaxis(image, 0, -1)."),
        (np.zeros((15, 20, 3), np.uint8), "at least 16 pixels high and wide, not 15 x 20."),
        (np.zeros((20, 0, 3), np.uint8), "at least 16 pixels high and wide, not 20 x 0."),
        (np.ma.masked_array(np.zeros((20, 24, 3), np.uint8)), "is a masked array"),
        (PillowImage.new("RGB", (15, 20)), "at least 16 pixels high and wide, not 20 x 15."),
    ],
)
def test_what_is_no_picture_is_refused(image, message):
    refused(image, message)


def test_pictures_beyond_the_limits_are_refused_before_they_are_read():
    wide = np.broadcast_to(np.uint8(0), (16, LARGEST_SIDE + 1, 3))
    large = np.broadcast_to(np.uint8(0), (10_001, MOST_PIXELS // 10_000, 3))
    refused(wide, "65500 pixels a side and 100 million in all, not 16 x 65501")
    refused(large, "65500 pixels a side and 100 million in all, not 10001 x 10000")


def test_cut_files_are_refused():
    file = io.BytesIO()
    PillowImage.fromarray(colours(200, 200)).save(file, "PNG")
    cut = io.BytesIO(file.getvalue()[:2000])
    refused(PillowImage.open(cut), "The picture cannot be decoded")


def views(image):
    """The same pixels in every layout that numpy has."""
    mirrored = np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    spread = np.zeros((image.shape[0] * 2, image.shape[1] * 3, 3), np.uint8)
    spread[::2, ::3] = image
    frozen = image.copy()
    frozen.flags.writeable = False
    yield from (mirrored, spread[::2, ::3], np.asfortranarray(image), frozen)
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(image, -1, 0)), 0, -1)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_any_layout_is_read_never_written_and_never_handed_back(name, profile):
    image = colours(33, 41)
    expected = corrupt(image, name, 2, rng=0, profile=profile)
    for view in views(image):
        corrupted = corrupt(view, name, 2, rng=0, profile=profile)
        assert np.array_equal(corrupted, expected)
        assert np.array_equal(view, image)
        assert not np.shares_memory(corrupted, view)
        assert corrupted.flags.writeable
        assert corrupted.flags.c_contiguous


@given(
    height=st.integers(SMALLEST_SIDE, 40),
    width=st.integers(SMALLEST_SIDE, 40),
    channels=st.sampled_from([0, 1, 2, 3, 4]),
    seed=st.integers(0, 5),
)
@settings(max_examples=40)
def test_arrays_and_pictures_of_the_same_pixels_become_the_same(height, width, channels, seed):
    image = colours(height, width, max(channels, 1), seed)
    if channels in (2, 4):
        image[..., -1] = 255
    picture = PillowImage.fromarray(image[..., 0] if channels < 2 else image)
    rgb = as_rgb(image[..., 0] if channels == 0 else image)
    assert np.array_equal(rgb, as_rgb(picture))
    assert (rgb.shape, rgb.dtype, rgb.flags.c_contiguous) == ((height, width, 3), np.uint8, True)
    assert channels >= 3 or np.array_equal(rgb[..., 0], rgb[..., 2])


def test_grey_pictures_are_corrupted_as_rgb_ones():
    grey = PillowImage.fromarray(colours(channels=1)[..., 0])
    assert corrupt(grey, "fog", 3, rng=0).shape == (20, 24, 3)
