import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import CORRUPTIONS, DETERMINISTIC, PUBLISHED, corrupt
from cvgl_bench.datasets import load_dataset
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.severity import COLUMNS, CleanPicture, means, sample


def picture(height=64, width=352):
    """Smooth hills with some fine structure, as panoramas have."""
    rng = np.random.default_rng(1)
    layers = [
        Image.fromarray(rng.integers(0, 256, (rows, 6 * rows, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for rows in (3, 9, 27)
    ]
    return np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8)


def noisy(deviation):
    noise = np.random.default_rng(2).normal(0, deviation, picture().shape)
    return np.clip(picture() + noise, 0, 255).astype(np.uint8)


def test_equal_pictures_have_an_ssim_of_1_and_no_psnr():
    measures = CleanPicture(picture()).measure(picture())
    assert tuple(measures) == COLUMNS
    assert measures == {name: 1 if name.startswith("ssim") else None for name in COLUMNS}


def test_more_noise_is_worse_at_every_size():
    clean = CleanPicture(picture())
    steps = [clean.measure(noisy(deviation)) for deviation in (2, 8, 32)]
    for name in COLUMNS:
        values = [step[name] for step in steps]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == 3


def test_psnr_is_that_of_the_rgb_values():
    brighter = (picture() // 2 + 10).astype(np.uint8)
    measures = CleanPicture((picture() // 2).astype(np.uint8)).measure(brighter)
    assert measures["psnr_db"] == round(20 * np.log10(255 / 10), 2)


def test_shrinking_takes_noise_away():
    """So a picture is nearer to the clean one at a model's input than at its own size."""
    large = np.tile(picture(), (4, 4, 1))
    noise = np.random.default_rng(3).normal(0, 20, large.shape)
    measures = CleanPicture(large).measure(np.clip(large + noise, 0, 255).astype(np.uint8))
    assert measures["psnr_db_140x768"] > measures["psnr_db"] + 3
    assert measures["ssim_140x768"] > measures["ssim"]


def test_slivers_have_no_ssim_of_their_own_size():
    measures = CleanPicture(picture()[:, :5]).measure(noisy(9)[:, :5])
    assert measures["ssim"] is None
    assert measures["psnr_db"] > 20
    assert measures["ssim_384x384"] < 1


def test_pictures_of_two_sizes_are_not_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        CleanPicture(picture()).measure(picture()[:, :-1])


def test_a_sample_is_spread_evenly_and_never_larger_than_all():
    assert sample(8884, 8) == [555, 1665, 2776, 3886, 4997, 6107, 7218, 8328]
    assert sample(5, 1) == [2]
    assert sample(3, 7) == [0, 1, 2]
    assert sample(3, 0) == []


def test_means_leave_out_what_was_not_measured():
    rows = [dict.fromkeys(COLUMNS, value) for value in (1.0, 2.0, None)]
    assert set(means(rows).values()) == {1.5}
    assert set(means([rows[2]]).values()) == {None}


def test_means_do_not_depend_on_the_order_of_the_rows():
    values = np.random.default_rng(5).uniform(0, 60, (3000, 1)).round(2).tolist()
    rows = [dict.fromkeys(COLUMNS, value) for (value,) in values]
    assert means(rows) == means(rows[::-1]) == means(sorted(rows, key=lambda row: row["ssim"]))


def test_a_sets_page_becomes_the_table_of_the_docs(make_cvusa, small_suite, tmp_path):
    suite = small_suite(severities=[1, 2, 3, 4, 5])
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    page = generate(make_plan(suite, dataset, suite.cells, measured=3), tmp_path / "set")
    script = Path(__file__).parents[1] / "docs/make_severity_table.py"
    command = [sys.executable, str(script), str(tmp_path / "set")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    tables = done.stdout.split("\n\n")
    assert len(tables) == 1 + 3
    worst = page.measures[-1]
    for lines, size in zip(tables[1:], ("", "_140x768", "_384x384"), strict=True):
        row = next(line for line in lines.splitlines() if line.startswith("| contrast |"))
        ssim, psnr = (getattr(worst, f"{name}{size}") for name in ("ssim", "psnr_db"))
        assert row.split("|")[6].strip() == f"{ssim:.3f} / {psnr:.1f}"
        assert "codec_only" in lines


# Steps to the severity named here change a picture less than the severity before, in one of the
# measures at least. That is ImageNet-C's own definition: imagecorruptions does so too.
NOT_WORSE = {
    "snow": {3, 5},  # 3: a threshold of 0.9 after 0.5; 5: smaller flakes, blurred longer
    "frost": {4},  # as much ice over less of the picture: the sum is less overexposed
    "fog": {4},  # as strong as 3, only rougher
    "spatter": {4},  # mud after water: softer edges
    "glass_blur": {2, 4},  # one shuffle after two, two after three
    "zoom_blur": {3, 5},  # 11 layers after 16, 11 after 13: ghosts keep edges that a smear loses
}
CASES = [(name, "standard") for name in CORRUPTIONS] + [(name, "published") for name in PUBLISHED]


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_a_higher_severity_is_worse_at_every_size(name, profile):
    """In the mean over draws that the severities share, so that few of them suffice."""
    clean = CleanPicture(picture(112, 448))
    draws = range(1 if name in DETERMINISTIC else 4)
    steps = [
        means(
            clean.measure(corrupt(picture(112, 448), name, severity, rng=draw, profile=profile))
            for draw in draws
        )
        for severity in range(1, 6)
    ]
    for column in COLUMNS:
        values = [step[column] for step in steps]
        assert values[4] < values[0], column
        for severity in {2, 3, 4, 5} - NOT_WORSE.get(name, set()):
            assert values[severity - 1] < values[severity - 2], (column, severity)
