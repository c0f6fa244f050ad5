import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia import enhance

from cvgl_bench.training.chance import draws
from cvgl_bench.training.photometry import (
    blurring,
    grid_of_holes,
    holed,
    hue_mixing,
    recoloured,
    saturation_mixing,
    scattered_holes,
    sharpening,
)

torch.set_num_threads(1)


def pictures(count, height=16, width=16, *, low=0.0, high=1.0, seed=0):
    drawn = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * drawn


def test_recolouring_is_kornias_brightness_contrast_and_saturation():
    images = pictures(6, low=0.3, high=0.6).double()
    brightness, contrast, saturation = 0.9 + 0.2 * pictures(6, 1, 1)[:, :, 0, 0].double().T
    expected = enhance.adjust_brightness_accumulative(images, brightness)
    expected = enhance.adjust_contrast_with_mean_subtraction(expected, contrast)
    expected = enhance.adjust_saturation_with_gray_subtraction(expected, saturation)
    result = recoloured(images, brightness, contrast, saturation_mixing(saturation))
    torch.testing.assert_close(result, expected, atol=2e-4, rtol=0)


def test_recolouring_without_a_change_gives_the_picture_back():
    images = pictures(2)
    result = recoloured(images, torch.ones(2), torch.ones(2), torch.eye(3).expand(2, 3, 3))
    assert torch.equal(result, images)


@settings(max_examples=30)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_turns_of_the_hue_add_up_and_leave_greys_and_lengths(one, other):
    first, second, both = hue_mixing(torch.tensor([one, other, one + other], dtype=torch.float64))
    torch.testing.assert_close(first @ second, both, atol=1e-12, rtol=0)
    torch.testing.assert_close(first @ first.T, torch.eye(3).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(first.sum(1), torch.ones(3).double(), atol=1e-12, rtol=0)


def test_a_third_of_the_hues_circle_turns_red_into_green_into_blue():
    (third,) = hue_mixing(torch.tensor([1 / 3], dtype=torch.float64))
    red, green, blue = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(third @ red, green)
    torch.testing.assert_close(third @ green, blue)


def test_blur_is_a_gaussian_of_two_deviations_along_and_across_an_angle():
    deviations = torch.tensor([[1.0, 0.4], [0.3, 0.9]], dtype=torch.float64)
    angles = torch.tensor([0.7, 2.0], dtype=torch.float64)
    kernels = blurring(deviations, angles)
    for kernel, (along, across), angle in zip(kernels, deviations, angles, strict=True):
        literal = np.zeros((7, 7))
        for row in range(-3, 4):
            for column in range(-3, 4):
                u = column * math.cos(angle) + row * math.sin(angle)
                v = row * math.cos(angle) - column * math.sin(angle)
                literal[row + 3, column + 3] = math.exp(-((u / along) ** 2 + (v / across) ** 2) / 2)
        np.testing.assert_allclose(kernel, literal / literal.sum(), atol=1e-12)


def test_sharpening_mixes_the_picture_with_its_contrast_to_the_neighbours():
    shares, lightness = [0.2, 0.5], [0.5, 1.0]
    kernels = sharpening(torch.tensor(shares), torch.tensor(lightness))
    for kernel, share, light in zip(kernels, shares, lightness, strict=True):
        plain, edges = np.zeros((7, 7)), np.zeros((7, 7))
        plain[3, 3] = 1
        edges[2:5, 2:5] = -1
        edges[3, 3] = 8 + light
        np.testing.assert_allclose(kernel, (1 - share) * plain + share * edges, atol=1e-6)


def test_scattered_holes_are_10_to_25_rectangles_of_the_stated_sides():
    height, width = 60, 100
    rows, columns = scattered_holes(draws("test", 0, 0, 200, 101), height, width)
    counts = rows.any(dim=2).sum(dim=1)
    assert set(counts.tolist()) == set(range(10, 26))
    sides = torch.cat([rows.sum(2)[rows.any(2)], columns.sum(2)[rows.any(2)]])
    assert sides.min() == 6
    assert sides.max() == 11
    for lines in (rows[rows.any(2)], columns.flatten(0, 1)):
        # One run each: it begins once, counting a beginning at the picture's edge.
        begins = lines[:, :1].sum(1) + (lines[:, 1:] & ~lines[:, :-1]).sum(1)
        assert (begins == 1).all()
    assert rows.any(0).any(0).all()
    assert columns.any(0).any(0).all()


def test_scattered_holes_fit_into_views_narrower_than_high():
    rows, columns = scattered_holes(draws("test", 0, 0, 50, 101), 64, 8)
    assert rows.shape == (50, 25, 64)
    assert columns.shape == (50, 25, 8)
    assert columns.any(2).all()


def test_holes_in_a_grid_return_at_a_tenth_of_the_width():
    rows, columns = grid_of_holes(draws("test", 0, 0, 100, 3), 40, 100)
    for lines in (rows[:, 0], columns[:, 0]):
        assert torch.equal(lines[:, 10:], lines[:, :-10])
        assert set(lines[:, :10].sum(1).tolist()) == {4, 5}
        assert lines.any(0).all()


def test_holes_are_black_where_a_holes_row_and_its_column_meet():
    images = pictures(3, 12, 14, low=0.2)
    rows, columns = scattered_holes(draws("test", 1, 0, 3, 101), 12, 14)
    literal = images.clone()
    for picture in range(3):
        for hole in range(25):
            for row in range(12):
                for column in range(14):
                    if rows[picture, hole, row] and columns[picture, hole, column]:
                        literal[picture, :, row, column] = 0
    assert torch.equal(holed(images, rows.float(), columns.float()), literal)
