import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from corruptions import (
    CODECS,
    CORRUPTIONS,
    DETERMINISTIC,
    FAMILY_OF,
    PILLOW,
    PUBLISHED,
    corrupt,
    parameters,
)
from corruptions.ice import enlarged_cut, frost_texture
from corruptions.published import disk_kernel, shuffle_pixels
from corruptions.published_lines import drag, stretch_plane
from corruptions.published_weather import enlargement

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # the measuring instruments are no installed package
pictures = import_module("benchmarks.parity.synthetic")
GOLDEN = json.loads((ROOT / "tests/golden/corruptions.json").read_text(encoding="utf-8"))
PIXELS = dict(np.load(ROOT / "tests/golden/corruptions.npz"))

# What was drawn for query 0000002 of the released CVUSA-C, severity 1 to 5.
RELEASED_FROST = [(4, 342, 1385), (1, 2574, 1296), (2, 957, 664), (5, 482, 158), (1, 1011, 2776)]
RELEASED_ANGLES = [24.148, -42.936, -8.926, 6.838, 30.074]
IDENTICAL = sorted([*DETERMINISTIC, "frost", "motion_blur"])


def picture(height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3))
    return cv2.resize(values.astype(np.uint8), (width, height))


def published(image, name, severity, seed=0, **options):
    return corrupt(image, name, severity, rng=seed, profile="published", **options)


def released_draws(name, severity):
    if name == "frost":
        return dict(zip(("texture", "top", "left"), RELEASED_FROST[severity - 1], strict=True))
    if name == "motion_blur":
        return {"angle_degrees": RELEASED_ANGLES[severity - 1]}
    return None


def samples():
    pytest.importorskip("jpeglib", reason='pip install "cvgl-bench[published]"')
    folder = Path(os.environ.get("CVGL_BENCH_DATA", ROOT.parent / "shared/data"))
    released = folder / "published-samples/CVUSA-C"
    if not released.is_dir():
        pytest.skip(f"the published samples are not in {folder}; set CVGL_BENCH_DATA")
    return released


def clean():
    return CODECS["ijg9d"].decode((samples() / "clean/0000002.jpg").read_bytes())


def released(name, severity, seed=0):
    """The released file of a cell, and what comes out of the released clean file for it."""
    file = samples() / f"severity-{severity}/{FAMILY_OF[name]}/{name}/0000002.jpg"
    codec, draws = CODECS["ijg9d"], released_draws(name, severity)
    pixels = published(clean(), name, severity, seed, codec=codec, draws=draws)
    return file.read_bytes(), codec.encode(pixels, 75)


@pytest.mark.data
@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", IDENTICAL)
def test_released_files_come_out_to_the_byte(name, severity):
    theirs, ours = released(name, severity)
    assert ours == theirs


@pytest.mark.data
@pytest.mark.parametrize("severity", range(1, 6))
def test_released_glass_comes_out_to_the_pixel_where_nothing_was_shuffled(severity):
    theirs, ours = (
        CODECS["ijg9d"].decode(file).astype(int) for file in released("glass_blur", severity)
    )
    differs = (theirs != ours).any(axis=-1)
    assert differs[:224, :224].mean() > 0.5
    differs[:240, :240] = False
    assert not differs.any()


@pytest.mark.data
@pytest.mark.parametrize("severity", range(1, 6))
def test_released_snow_changes_its_picture_as_ours_does(severity):
    residuals = []
    for seed in range(12):
        theirs, ours = (
            CODECS["ijg9d"].decode(file).astype(int) - clean()
            for file in released("snow", severity, seed)
        )
        residuals.append((ours.mean(), ours.std()))
    seeds, released_moments = np.array(residuals), np.array([theirs.mean(), theirs.std()])
    assert np.all(np.abs(released_moments - seeds.mean(axis=0)) < 3 * seeds.std(axis=0) + 0.1)


def golden(name):
    """Severity, input, imagecorruptions' rows and draws of every golden picture of a corruption."""
    for key, rows in PIXELS.items():
        if key.startswith(f"{name}-"):
            severity, size = key.removeprefix(f"{name}-").split("-")
            image = pictures.synthetic(*(int(side) for side in size.split("x")))
            yield int(severity), image, rows, GOLDEN["draws"].get(key)


@pytest.mark.parametrize("name", ["defocus_blur", "zoom_blur"])
def test_exact_blurs_equal_the_oracle_at_every_size(name):
    cells = list(golden(name))
    assert {severity for severity, *_ in cells} == {1, 2, 3, 4, 5}
    for severity, image, rows, _ in cells:
        ours = published(image, name, severity)
        assert np.array_equal(ours[:: -(-len(image) // len(rows))], rows)


def test_motion_blur_differs_from_the_oracle_by_the_rounding_alone():
    """ImageMagick rounds to 16 bits before it rounds down; imagecorruptions only rounds down."""
    for severity, image, rows, draws in golden("motion_blur"):
        ours = published(image, "motion_blur", severity, draws=draws).astype(int)
        difference = ours[:: -(-len(image) // len(rows))] - rows
        assert set(np.unique(difference)) <= {0, 1}
        assert 0 < (difference == 1).mean() < 0.3


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("shape", [(41, 67), (66, 21), (112, 56), (77, 143)])
def test_zoom_blur_is_the_mean_of_scipys_zooms(shape, severity):
    image = picture(*shape)
    height, width = shape
    layers, step = parameters("zoom_blur", severity).values()
    unit = (image / 255.0).astype(np.float32)
    total = np.zeros_like(unit)
    for zoom in np.arange(1, 1 + (layers - 0.5) * step, step):
        kept = [int(np.ceil(side / zoom)) for side in image.shape[:2]]
        first = [(side - part) // 2 for side, part in zip(image.shape, kept, strict=False)]
        middle = unit[first[0] : first[0] + kept[0], first[1] : first[1] + kept[1]]
        total += ndimage.zoom(middle, (zoom, zoom, 1), order=1)[:height, :width]
    expected = (np.clip((unit + total) / (layers + 1), 0, 1) * 255).astype(np.uint8)
    assert np.array_equal(published(image, "zoom_blur", severity), expected)


@given(
    height=st.integers(16, 60),
    width=st.integers(16, 60),
    zoom=st.floats(1, 5),
    seed=st.integers(0, 9),
)
@settings(max_examples=40)
@example(height=16, width=30, zoom=1.875, seed=0)  # SciPy leaves the last column black
def test_a_stretched_plane_is_scipys_zoom_of_its_middle(height, width, zoom, seed):
    plane = np.random.default_rng(seed).random((height, width))
    rows, columns = int(np.ceil(height / zoom)), int(np.ceil(width / zoom))
    top, left = (height - rows) // 2, (width - columns) // 2
    expected = ndimage.zoom(plane[top : top + rows, left : left + columns], zoom, order=1)
    assert np.array_equal(stretch_plane(plane, zoom), expected[:height, :width])


def test_disks_touching_their_window_weigh_more_than_one():
    sums = [disk_kernel(**parameters("defocus_blur", severity)).sum() for severity in range(1, 6)]
    assert sums == pytest.approx([1, 1, 1, 1.013, 1.011], abs=6e-4)


@pytest.mark.parametrize("severity", range(1, 6))
def test_the_disk_is_opencvs_softened_one_but_for_the_last_bit(severity):
    radius, sigma = parameters("defocus_blur", severity).values()
    reach, size = (8, 3) if radius <= 8 else (10, 5)
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = (row**2 + column**2 <= radius**2).astype(np.float32)
    softened = cv2.GaussianBlur(inside / inside.sum(), (size, size), sigmaX=sigma)
    assert disk_kernel(radius, sigma) == pytest.approx(softened, rel=3e-7, abs=1e-12)


@pytest.mark.parametrize("max_shift", [1, 2, 4])
def test_glass_shuffle_equals_the_walk_it_stands_for(max_shift):
    image, rng = picture(19, 31), np.random.default_rng(5)
    shape = (19 - 2 * max_shift, 31 - 2 * max_shift)
    rows, columns = rng.integers(-max_shift, max_shift, (2, *shape), dtype=np.int8)
    walked = image.copy()
    for row in range(19 - max_shift, max_shift, -1):
        for column in range(31 - max_shift, max_shift, -1):
            place = row - max_shift - 1, column - max_shift - 1
            walked[row, column] = walked[row + rows[place], column + columns[place]]
    assert np.array_equal(shuffle_pixels(image, rows, columns, max_shift=max_shift), walked)


@pytest.mark.parametrize("shape", [(300, 500), (100, 400), (400, 90)])
def test_glass_shuffles_the_top_left_and_nothing_else(shape):
    image = picture(*shape)
    first, second = (published(image, "glass_blur", 5, seed) for seed in (1, 2))
    differs = (first != second).any(axis=-1)
    # the second blur carries a shuffled pixel six pixels further
    assert differs[6:215, 6:215].mean() > 0.5
    assert not differs[224 + 6 :].any()
    assert not differs[:, 224 + 6 :].any()


def test_a_white_sky_stays_white_in_motion():
    white = np.full((40, 60, 3), 255, dtype=np.uint8)
    for severity in range(1, 6):
        assert (published(white, "motion_blur", severity) == 255).all()


def test_dragging_follows_its_formula():
    image = np.zeros((16, 40), np.uint8)
    image[8, 30] = 200
    dragged = drag(image, radius=2, sigma=1, angle_degrees=0)
    weights = np.exp(-(np.arange(5) ** 2) / 2)
    sixteen = np.floor(257 * 200 * weights / weights.sum() + 0.5)
    # sample i comes from i columns to the right, so that the point is seen i columns to the left
    assert dragged[8, 26:31].tolist() == np.floor(sixteen / 257)[::-1].tolist()
    assert np.count_nonzero(dragged) == np.count_nonzero(dragged[8, 26:31])


@pytest.mark.parametrize("angle", [-120.0, -45.0, 0.0, 33.3, 100.0])
def test_dragging_does_not_depend_on_the_bands_it_works_in(angle, monkeypatch):
    image = picture(50, 70)
    whole = drag(image, radius=20, sigma=15, angle_degrees=angle)
    monkeypatch.setattr("corruptions.pixels._BAND_VALUES", 1)
    banded = drag(image, radius=20, sigma=15, angle_degrees=angle)
    assert np.array_equal(whole, banded)


@pytest.mark.parametrize("texture", range(1, 6))
def test_a_cut_of_the_ice_equals_a_cut_of_the_whole_enlarged_ice(texture):
    ice = frost_texture(texture - 1)
    whole = cv2.resize(ice, (0, 0), fx=5, fy=5, interpolation=cv2.INTER_LINEAR)
    height, width = whole.shape[:2]
    corners = [(0, 0), (height - 61, width - 97), (0, width - 97), (1, 2), (503, 704), (999, 1001)]
    for top, left in corners:
        rows, columns = slice(top, top + 61), slice(left, left + 97)
        assert np.array_equal(enlarged_cut(ice, 5, rows, columns), whole[rows, columns])


@given(data=st.data())
@settings(max_examples=60)
def test_any_cut_of_small_ice_equals_a_cut_of_the_whole(data):
    scale = data.draw(st.integers(5, 12))
    ice = picture(data.draw(st.integers(3, 12)), data.draw(st.integers(3, 12)))
    whole = cv2.resize(ice, (0, 0), fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    top, left = (data.draw(st.integers(0, side - 1)) for side in whole.shape[:2])
    bottom = data.draw(st.integers(top + 1, whole.shape[0]))
    right = data.draw(st.integers(left + 1, whole.shape[1]))
    cut = enlarged_cut(ice, scale, slice(top, bottom), slice(left, right))
    assert np.array_equal(cut, whole[top:bottom, left:right])


def test_ice_is_enlarged_five_times_and_more_only_for_pictures_beyond_that():
    ice = np.zeros((100, 200, 3), np.uint8)
    assert enlargement(ice, 499, 999) == 5
    assert enlargement(ice, 500, 999) == 6
    assert enlargement(ice, 16, 2000) == 11


def test_frost_given_its_draws_is_the_weighted_sum_and_leaves_the_generator_alone():
    image, rng = picture(40, 50), np.random.default_rng(3)
    before = rng.bit_generator.state
    draws = {"texture": 2, "top": 700, "left": 1234}
    frosted = corrupt(image, "frost", 3, rng=rng, profile="published", draws=draws)
    ice = cv2.resize(frost_texture(1), (0, 0), fx=5, fy=5)[700:740, 1234:1284]
    expected = np.clip(0.7 * image + 0.7 * ice, 0, 255).astype(np.uint8)
    assert np.array_equal(frosted, expected)
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    ("name", "draws", "message"),
    [
        ("frost", {"texture": 6}, "texture must be a whole number from 1 to 5, not 6."),
        ("frost", {"texture": 0}, "texture must be a whole number from 1 to 5, not 0."),
        ("frost", {"texture": 2, "top": -1}, "top must be a whole number from 0 to 1535, not -1."),
        ("frost", {"texture": 2, "left": 1.5}, "left must be a whole number from 0 to 2750, not"),
        (
            "motion_blur",
            {"angle_degrees": float("nan")},
            "must be a number from -360 to 360, not nan.",
        ),
    ],
)
def test_draws_that_cannot_be_are_refused(name, draws, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        published(picture(40, 50), name, 3, draws=draws)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (16, 300), (300, 16), (233, 241)])
def test_every_size_and_severity_gives_a_new_picture_that_a_seed_repeats(name, shape):
    image = picture(*shape)
    before = image.copy()
    for severity in range(1, 6):
        corrupted = published(image, name, severity, seed=4)
        assert (corrupted.shape, corrupted.dtype) == (image.shape, np.uint8)
        assert corrupted.flags.c_contiguous
        assert not np.shares_memory(corrupted, image)
        assert not np.array_equal(corrupted, image)
        assert np.array_equal(corrupted, published(image, name, severity, seed=4))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - DETERMINISTIC))
def test_another_seed_gives_another_picture(name):
    image = picture(48, 64)
    assert not np.array_equal(published(image, name, 4, 1), published(image, name, 4, 2))


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - set(PUBLISHED)))
def test_the_other_corruptions_are_the_same_in_both_profiles(name):
    image = picture(48, 64)
    assert np.array_equal(published(image, name, 3), corrupt(image, name, 3, rng=0))


def test_snow_of_both_profiles_changes_a_picture_by_as_much():
    image = picture(64, 128)
    for severity in (1, 3, 5):
        means = [
            np.mean(
                [
                    corrupt(image, "snow", severity, rng=seed, profile=profile).mean()
                    for seed in range(40)
                ]
            )
            for profile in ("standard", "published")
        ]
        # the released layer is rounded down twice, where the standard one is rounded to nearest
        assert -2.5 < means[1] - means[0] < 0.5


def test_the_codec_reaches_jpeg_compression_and_leaves_the_rest_alone():
    class Counting:
        name, version, calls = "counting", "1", 0

        def encode(self, image, quality):
            Counting.calls += 1
            return PILLOW.encode(image, quality)

        def decode(self, data):
            return PILLOW.decode(data)

        def recode(self, image, quality):
            return self.decode(self.encode(image, quality))

    image = picture(32, 48)
    same = published(image, "jpeg_compression", 2, codec=Counting())
    assert Counting.calls == 1
    assert np.array_equal(same, published(image, "jpeg_compression", 2))
    published(image, "contrast", 2, codec=Counting())
    assert Counting.calls == 1
