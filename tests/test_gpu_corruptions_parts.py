"""The parts of corruptions.gpu beside the libraries and functions that they follow."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import corruptions.gpu.ice
import corruptions.ice
from corruptions import chance, corrupt
from corruptions.codecs import PILLOW
from corruptions.gpu import corrupt_batch
from corruptions.gpu.chance import draw_keys, normals, words, words_at
from corruptions.gpu.glass import walk
from corruptions.gpu.jpeg import recode
from corruptions.gpu.outlines import outlines
from corruptions.gpu.plasma import plasma
from corruptions.gpu.relief import relief
from corruptions.gpu.splashes import _equalised
from corruptions.plasma import plasma as plasma_of_one
from corruptions.relief import relief as relief_of_one

CPU = torch.device("cpu")
SEEDS = (0, 7, 2**70)


def keys():
    return draw_keys([np.random.default_rng(seed) for seed in SEEDS], CPU)


def keys_of_one():
    return [chance.draw_key(np.random.default_rng(seed)) for seed in SEEDS]


def test_words_and_normals_are_those_of_the_processor():
    drawn = words(keys(), 1001)
    at = words_at(keys(), torch.tensor([[1000, 3], [2**40 + 1, 0]]))
    bells = normals(keys(), 31, 37)
    for place, key in enumerate(keys_of_one()):
        expected, far = np.empty(1002, np.uint32), np.empty(2, np.uint32)
        chance.fill(key, 0, expected)
        chance.fill(key, 2**40, far)
        assert np.array_equal(drawn[place], expected[:1001])
        assert at[place].tolist() == [[expected[1000], expected[3]], [far[1], expected[0]]]
        assert np.array_equal(bells[place], chance.normals(key, (31, 37)))


@pytest.mark.parametrize("shape", [(16, 16), (300, 20), (17, 700), (520, 530)])
def test_clouds_are_those_of_the_processor(shape):
    clouds = plasma(*shape, keys(), decay=1.7)
    for cloud, key in zip(clouds, keys_of_one(), strict=True):
        assert np.array_equal(cloud, plasma_of_one(*shape, key, decay=1.7))


@settings(max_examples=60)
@given(
    height=st.integers(8, 60),
    width=st.integers(8, 60),
    quality=st.integers(1, 100),
    seed=st.integers(0, 2**32),
    smooth=st.booleans(),
)
def test_jpeg_comes_out_like_the_library_to_the_value(height, width, quality, seed, smooth):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if smooth:
        image = cv2.GaussianBlur(image, (0, 0), 2)
    ours = recode(torch.from_numpy(image).permute(2, 0, 1)[None], quality)[0].permute(1, 2, 0)
    assert np.array_equal(ours, PILLOW.recode(image, quality))


@settings(max_examples=60)
@given(
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    seed=st.integers(0, 2**32),
    sigma=st.floats(0.5, 6),
)
def test_outlines_are_opencvs(height, width, seed, sigma):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width))
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    layer = np.clip(128 + 300 * blurred * (blurred > 0.1 * seed % 1), 0, 255).astype(np.uint8)
    ours = outlines(torch.from_numpy(layer)[None].to(torch.int32))[0]
    assert np.array_equal(ours, cv2.Canny(layer, 50, 150) > 0)


def test_a_weak_outline_is_followed_to_its_end():
    layer = np.zeros((40, 600), np.uint8)
    layer[20:] = 30  # a slope of 120: weak
    layer[20:, :4] = 200
    ours = outlines(torch.from_numpy(layer)[None].to(torch.int32))[0].numpy()
    assert np.array_equal(ours, cv2.Canny(layer, 50, 150) > 0)
    assert ours[18:22, 590].any()


@settings(max_examples=60)
@given(
    height=st.integers(2, 70),
    width=st.integers(2, 70),
    seed=st.integers(0, 2**32),
    few=st.integers(0, 12),
)
def test_reliefs_are_those_of_the_sweeps(height, width, seed, few):
    rng = np.random.default_rng(seed)
    marks = np.zeros((2, height, width), np.uint8)
    for plane in marks:
        plane[rng.integers(0, height, few), rng.integers(0, width, few)] = 255
    ours = relief(torch.from_numpy(marks > 0))
    for plane, ours_of_it in zip(marks, ours, strict=True):
        assert np.array_equal(ours_of_it, relief_of_one(plane))


@pytest.mark.parametrize("levels", [[0], [20], [3, 20], [0, 1, 2], range(21)])
def test_histograms_are_equalised_as_opencv_does(levels):
    rng = np.random.default_rng(1)
    planes = rng.choice([*levels], (3, 33, 41)).astype(np.uint8)
    ours = _equalised(torch.from_numpy(planes).to(torch.int32))
    for plane, ours_of_it in zip(planes, ours, strict=True):
        assert np.array_equal(ours_of_it, cv2.equalizeHist(plane))


def test_chains_of_partners_are_followed_to_their_ends():
    image = np.arange(16 * 25 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 25, 3)
    shifts = np.random.default_rng(0).integers(-30, 10, (16, 25))
    shifts[4:8] = 1  # a chain of 100
    shifts[0] = shifts[-1] = 0
    shifts[1:3] = np.maximum(shifts[1:3], -20)
    walked = image.reshape(-1, 3).copy()
    for place in reversed(range(len(walked))):
        walked[place] = walked[place + shifts.flat[place]]
    ours = walk(torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(shifts)[None])
    assert np.array_equal(ours[0].permute(1, 2, 0), walked.reshape(image.shape))


def test_ice_too_large_to_keep_is_cut_like_on_the_processor(monkeypatch):
    for module in (corruptions.ice, corruptions.gpu.ice):
        monkeypatch.setattr(module, "_MOST_KEPT", 1000)
    image = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
    ours = corrupt_batch(torch.from_numpy(image).permute(2, 0, 1)[None], "frost", 3, rngs=[4])
    assert np.array_equal(ours[0].permute(1, 2, 0), corrupt(image, "frost", 3, rng=4))
