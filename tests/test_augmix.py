import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from cvgl_bench.training import augment, augmix
from cvgl_bench.training.chance import draws

torch.set_num_threads(1)


def pictures(count, height=16, width=16, *, low=0.0, high=1.0, seed=0):
    drawn = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * drawn


def test_four_or_fewer_bits_and_solarising_are_pillows():
    image = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(3, 1, 1, 1) / 255
    kinds = torch.tensor([augmix.POSTERIZE, augmix.POSTERIZE, augmix.SOLARIZE])
    result = augmix.applied(batch, kinds, torch.tensor([0.2, -0.26, 0.3], dtype=torch.float64))
    picture = Image.fromarray(image)
    for row, expected in enumerate((4, 3)):
        levels = 2**expected
        whole = np.array(ImageOps.posterize(picture, expected)) // (256 // levels)
        np.testing.assert_allclose(result[row].permute(1, 2, 0) * levels, whole, atol=1e-5)
    solarized = np.array(ImageOps.solarize(picture, 255 * 0.7)) / 255
    np.testing.assert_allclose(result[2].permute(1, 2, 0), solarized, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "matrix"),
    [
        (augmix.ROTATE, [[math.cos(0.3), -math.sin(0.3), 0], [math.sin(0.3), math.cos(0.3), 0]]),
        (augmix.SHEAR_X, [[1, 0.3 * 0.3 / math.radians(30), 0], [0, 1, 0]]),
        (augmix.SHEAR_Y, [[1, 0, 0], [0.3 * 0.3 / math.radians(30), 1, 0]]),
        (augmix.SHIFT_X, [[1, 0, 60 / 3 * 0.3 / math.radians(30)], [0, 1, 0]]),
        (augmix.SHIFT_Y, [[1, 0, 0], [0, 1, 40 / 3 * 0.3 / math.radians(30)]]),
    ],
)
def test_turns_shears_and_shifts_are_opencvs_in_pixels_about_the_middle(kind, matrix):
    smooth = cv2.GaussianBlur(np.random.default_rng(0).random((40, 60, 3)), (0, 0), 3)
    level = 0.3 / math.radians(30)
    batch = torch.from_numpy(smooth).permute(2, 0, 1)[None].float()
    result = augmix.applied(batch, torch.tensor([kind]), torch.tensor([level]).double())
    centre = np.array([29.5, 19.5])
    pixels = np.array(matrix, float)
    pixels[:, 2] += centre - pixels[:, :2] @ centre
    expected = cv2.warpAffine(
        smooth, pixels, (60, 40), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    # OpenCV interpolates in steps of a 32nd of a pixel and may round at the black border.
    error = np.abs(result[0].permute(1, 2, 0).numpy() - expected)
    assert np.quantile(error, 0.95) < 0.01
    assert np.abs(smooth - expected).mean() > 3 * error.mean()


def test_augmix_mixes_the_picture_with_three_chains_by_weights_that_add_up():
    images, chances = pictures(5), draws("augmix", 7, 0, 5, 34)
    literal = torch.zeros_like(images)
    for row, drawn in enumerate(chances.tolist()):
        kept, rest = drawn[0], np.reshape(drawn[1:], (3, 11))
        exponentials = [-math.log(1 - chain[0]) for chain in rest]
        literal[row] = kept * images[row]
        for chain, part in zip(rest, exponentials, strict=True):
            picture = images[row : row + 1]
            for step in range(1 + int(3 * chain[1])):
                kind, level, side = chain[2 + 3 * step : 5 + 3 * step]
                level = (0.1 + 2.9 * level) / 10 * (1 if side < 0.5 else -1)
                kinds = torch.tensor([int(9 * kind)])
                picture = augmix.applied(picture, kinds, torch.tensor([level]).double())
            literal[row] += (1 - kept) * part / sum(exponentials) * picture[0]
    torch.testing.assert_close(augment.augmix(images, 7), literal, atol=1e-5, rtol=0)


def test_every_change_of_augmix_changes_pictures_and_none_changes_nothing():
    images = pictures(augmix.KINDS, low=0.1, high=0.9)
    kinds = torch.arange(augmix.KINDS)
    result = augmix.applied(images, kinds, torch.full((augmix.KINDS,), 0.3).double())
    assert (result != images).flatten(1).any(dim=1).all()
    assert torch.equal(augmix.applied(images, kinds - 99, torch.zeros(9).double()), images)
