import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.errors import ModelError
from cvgl_bench.training import augment
from cvgl_bench.training.augment import flip_and_turn, narrowed, photometric, quarter_turned
from cvgl_bench.training.chance import draws

torch.set_num_threads(1)


def pictures(count, height=16, width=16, *, low=0.0, high=1.0, seed=0):
    drawn = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * drawn


# Each makes pictures from pictures, a seed and the first row's place.
EVERY_AUGMENTATION = {
    "light": lambda images, seed, first=0: photometric(images, seed, strength="light", first=first),
    "paper": lambda images, seed, first=0: photometric(images, seed, first=first),
    "turned panorama": lambda images, seed, first=0: flip_and_turn(
        images, images, seed, first=first
    )[0],
    "turned tile": lambda images, seed, first=0: flip_and_turn(images, images, seed, first=first)[
        1
    ],
    "narrowed": lambda images, seed, first=0: narrowed(images, 5, seed, first=first),
    "quarter_turned": lambda images, seed, first=0: quarter_turned(images, 0.7, seed, first=first),
    "augmix": lambda images, seed, first=0: augment.augmix(images, seed, first=first),
}
every_augmentation = pytest.mark.parametrize(
    "vary", EVERY_AUGMENTATION.values(), ids=EVERY_AUGMENTATION
)


@every_augmentation
def test_the_seed_alone_decides_and_no_global_state_is_touched(vary):
    images = pictures(12)
    once = vary(images, 3)
    torch.manual_seed(99)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert torch.equal(vary(images, 3), once)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.equal(images, pictures(12))
    assert not torch.equal(vary(images, 4), once)


@every_augmentation
def test_colours_stay_float32_from_0_to_1_also_inside_autocast(vary):
    images = pictures(24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = vary(images, 1)
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.isfinite().all()
    assert torch.equal(result, vary(images, 1))


@every_augmentation
def test_a_part_of_a_batch_that_says_where_it_begins_is_varied_as_in_the_whole_batch(vary):
    images = pictures(20)
    whole = vary(images, 8)
    for begin, end in ((0, 7), (7, 8), (8, 20)):
        part = vary(images[begin:end], 8, begin)
        torch.testing.assert_close(part, whole[begin:end], atol=1e-6, rtol=0)


@every_augmentation
def test_equal_pictures_of_a_batch_are_varied_differently(vary):
    result = vary(pictures(1).expand(40, 3, 16, 16), 0)
    different = {row.numpy().tobytes() for row in result}
    # There are 8 mirror images and turns of a tile, 3 quarter turns, and 16 starts of a view.
    assert len(different) >= {5: 8}.get(result.shape[3], 3)


def test_draws_depend_on_the_name_the_seed_and_the_row_alone():
    whole = draws("a", 5, 0, 9, 4)
    assert torch.equal(draws("a", 5, 3, 2, 4), whole[3:5])
    assert not torch.equal(draws("b", 5, 0, 9, 4), whole)
    assert not torch.equal(draws("a", 6, 0, 9, 4), whole)


def landmarks(bearings, width, side):
    """A panorama and a tile a bearing, each with a light in that direction."""
    ground = torch.zeros(len(bearings), 3, 1, width)
    aerial = torch.zeros(len(bearings), 3, side, side)
    centre, radius = (side - 1) / 2, 0.45 * side
    for row, bearing in enumerate(bearings):
        ground[row, :, 0, int((bearing + 180) / 360 * width)] = 1
        angle = math.radians(bearing)
        up, right = radius * math.cos(angle), radius * math.sin(angle)
        aerial[row, :, round(centre - up), round(centre + right)] = 1
    return ground, aerial


def bearings_seen(ground, aerial):
    """Where the lights are, in degrees clockwise from the panorama's centre and the tile's top."""
    centre = (aerial.shape[2] - 1) / 2
    for panorama, tile in zip(ground[:, 0, 0], aerial[:, 0], strict=True):
        (column,) = panorama.nonzero()[:, 0].tolist()
        ((row, place),) = tile.nonzero().tolist()
        from_above = math.degrees(math.atan2(place - centre, centre - row))
        yield (column + 0.5) / len(panorama) * 360 - 180, from_above


@settings(max_examples=20)
@given(st.integers(0, 2**63), st.sampled_from([64, 66, 67, 128]), st.sampled_from([64, 65]))
def test_a_landmark_lies_in_one_direction_of_both_pictures_after_mirroring_and_turning(
    seed, width, side
):
    bearings = np.linspace(-179, 178, 25)
    before = list(bearings_seen(*landmarks(bearings, width, side)))
    after = list(bearings_seen(*flip_and_turn(*landmarks(bearings, width, side), seed)))
    assert sum(abs(one[1] - other[1]) > 5 for one, other in zip(before, after, strict=True)) >= 5
    for from_ground, from_above in before + after:
        # Half a column, half a column more where 4 does not divide the width, and the tile's pixel.
        tolerance = 360 / width + math.degrees(math.asin(0.75 / (0.45 * side)))
        assert abs((from_ground - from_above + 180) % 360 - 180) < tolerance


def test_pairs_become_all_eight_mirror_images_and_turns_at_the_stated_shares():
    ground, aerial = pictures(1, 2, 8), pictures(1, 3, 3, seed=1)
    variants = {}
    for mirrored in (False, True):
        for quarters in range(4):
            panorama, tile = ground[0].numpy(), aerial[0].numpy()
            if mirrored:
                panorama, tile = panorama[:, :, ::-1], tile[:, :, ::-1]
            panorama = np.roll(panorama, 2 * quarters, axis=2)
            # numpy turns anticlockwise.
            tile = np.rot90(tile, -quarters, axes=(1, 2))
            variants[panorama.tobytes(), tile.tobytes()] = (mirrored, quarters)
    count = 4000
    results = flip_and_turn(ground.expand(count, -1, -1, -1), aerial.expand(count, -1, -1, -1), 0)
    seen = [
        variants[one.numpy().tobytes(), other.numpy().tobytes()]
        for one, other in zip(*results, strict=True)
    ]
    for mirrored in (False, True):
        for quarters in range(4):
            assert seen.count((mirrored, quarters)) / count == pytest.approx(1 / 8, abs=0.025)


@settings(max_examples=20)
@given(st.integers(0, 2**40), st.integers(1, 11))
def test_a_narrowed_view_is_consecutive_columns_that_wrap_around(seed, columns):
    ground = torch.arange(11.0).expand(6, 3, 2, 11)
    result = narrowed(ground, columns, seed)
    assert result.shape == (6, 3, 2, columns)
    for view in result:
        start = int(view[0, 0, 0])
        expected = torch.tensor([(start + step) % 11 for step in range(columns)]).float()
        assert torch.equal(view, expected.expand(3, 2, columns))


def test_a_narrowed_view_looks_in_every_direction_equally_often():
    starts = narrowed(torch.arange(8.0).expand(4000, 3, 1, 8), 1, 0)[:, 0, 0, 0]
    assert (starts.long().bincount(minlength=8) / 4000 - 1 / 8).abs().max() < 0.025


@pytest.mark.parametrize("columns", [0, -1, 12])
def test_a_view_that_the_panorama_has_not_is_refused(columns):
    with pytest.raises(ModelError, match=f"11 columns has no view of {columns}"):
        narrowed(torch.zeros(2, 3, 2, 11), columns, 0)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_tiles_are_turned_by_a_quarter_to_either_side_with_the_probability(probability):
    tile = pictures(1, 3, 3)
    kinds = {torch.rot90(tile[0], k, (1, 2)).numpy().tobytes(): k for k in range(4)}
    result = quarter_turned(tile.expand(3000, -1, -1, -1), probability, 0)
    seen = [kinds[row.numpy().tobytes()] for row in result]
    shares = [seen.count(k) / 3000 for k in range(4)]
    half = probability / 2
    assert shares == pytest.approx([1 - probability, half, 0, half], abs=0.03)


def test_tiles_that_are_not_square_are_refused():
    with pytest.raises(ModelError, match="tiles of 8 x 9 pixels cannot be turned"):
        quarter_turned(torch.zeros(2, 3, 8, 9), 0.5, 0)
    with pytest.raises(ModelError, match="they must be square"):
        flip_and_turn(torch.zeros(2, 3, 8, 32), torch.zeros(2, 3, 8, 9), 0)


def test_light_is_one_mild_affine_map_of_each_pictures_colours():
    images = pictures(30, low=0.35, high=0.6)
    for old, new in zip(images, photometric(images, 2, strength="light"), strict=True):
        colours = np.c_[old.flatten(1).T.double().numpy(), np.ones(256)]
        targets = new.flatten(1).T.double().numpy()
        fitted, *_ = np.linalg.lstsq(colours, targets, rcond=None)
        assert np.abs(colours @ fitted - targets).max() < 1e-5
        # A grey's gain: contrast (which saturation keeps) times brightness times cast.
        gains = fitted[:3].sum(axis=0)
        assert (gains > 0.85 * 0.85 * 0.95 - 1e-4).all()
        assert (gains < 1.15 * 1.15 * 1.05 + 1e-4).all()
        assert gains.max() / gains.min() < 1.05 / 0.95 + 1e-4


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (augment._compressed, 0.5),
        (augment._jittered, 0.5),
        (augment._filtered, 0.3),
        (augment._with_holes, 0.3),
    ],
)
def test_the_papers_steps_change_their_share_of_pictures_and_leave_the_others(step, share):
    images = pictures(600, 10, 10, low=0.2, high=0.8)
    is_changed = (step(images, 0, 0) != images).flatten(1).any(dim=1)
    assert is_changed.float().mean() == pytest.approx(share, abs=0.07)


def test_compression_is_that_of_a_jpeg_of_high_quality():
    small = torch.nn.functional.interpolate(pictures(40, 4, 6), scale_factor=8, mode="bilinear")
    result = augment._compressed(small, 0, 0)
    error = (result - small).abs().flatten(1).mean(dim=1)
    assert error.max() < 0.02
    assert (error > 0).sum() >= 10
