"""Against imagecorruptions 1.1.2; benchmarks/parity/make_golden.py wrote the golden values."""

import importlib.util
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import CORRUPTIONS, DETERMINISTIC, FAMILY_OF, corrupt, parameters

ROOT = Path(__file__).parent.parent
GOLDEN = json.loads((ROOT / "tests/golden/corruptions.json").read_text(encoding="utf-8"))
PIXELS = dict(np.load(ROOT / "tests/golden/corruptions.npz"))
GIVEN_DRAWS = ["motion_blur", "frost", "glass_blur", "snow", "spatter"]

specification = importlib.util.spec_from_file_location(
    "synthetic", ROOT / "benchmarks/parity/synthetic.py"
)
pictures = importlib.util.module_from_spec(specification)
specification.loader.exec_module(pictures)


class GivenDraws:
    """Stands in for a generator and answers with the numbers that the oracle was given."""

    def __init__(self, severity):
        self.share = GOLDEN["shares"][severity - 1]
        index, top, left = GOLDEN["frost"][severity - 1]
        self.frost = iter([(index + 0.5) / 5, top, left])
        self.walk = pictures.uniforms(400_000).reshape(-1, 2)
        self.columns = None

    def standard_normal(self, shape):
        return pictures.normals(shape)

    def uniform(self, low, high):
        return low + (high - low) * self.share

    def integers(self, low, high=None, size=None, dtype=int):
        if high is None:  # frost
            return int(next(self.frost) * low)
        # glass_blur: the oracle draws column and row in turn, walking from the last pixel
        if self.columns is not None:
            columns, self.columns = self.columns, None
            return columns
        count = size[0] * size[1]
        shifts = low + (self.walk[:count] * (high - low)).astype(dtype)
        self.walk = self.walk[count:]
        self.columns, rows = np.moveaxis(shifts.reshape(*size, 2)[::-1, ::-1], -1, 0)
        return rows


def differences(name):
    """For every severity and picture of a corruption: |ours - oracle's|, in grey levels."""
    for key, golden in PIXELS.items():
        if key.startswith(f"{name}-"):
            severity, size = key.removeprefix(f"{name}-").split("-")
            shape = tuple(int(side) for side in size.split("x"))
            image, named = pictures.synthetic(*shape), parameters(name, int(severity))
            ours = CORRUPTIONS[name](image, GivenDraws(int(severity)), **named)
            keep_every = -(-shape[0] // len(golden))
            yield np.abs(ours[::keep_every].astype(int) - golden)


def test_golden_pictures_cover_every_severity():
    cells = {tuple(key.split("-")[:2]) for key in PIXELS}
    names = [*DETERMINISTIC, *GIVEN_DRAWS]
    assert cells == {(name, str(severity)) for name in names for severity in range(1, 6)}


@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_deterministic_corruptions_are_within_one_grey_level_of_the_oracle(name):
    assert max(difference.max() for difference in differences(name)) <= 1


@pytest.mark.parametrize("name", GIVEN_DRAWS)
def test_random_corruptions_follow_the_oracle_pixel_by_pixel_when_given_its_draws(name):
    difference = np.concatenate([difference.ravel() for difference in differences(name)])
    assert difference.max() <= 1


# How many draws make the average stable to well within 2 %.
DRAWS = {"frost": 4000, "fog": 2500, "spatter": 1000, "motion_blur": 1500, "snow": 200}


@pytest.mark.parametrize("name", GOLDEN["statistics"])
def test_random_corruptions_change_pictures_as_much_as_the_oracle(name):
    """Mean and standard deviation of the residual, within 2 % of the oracle's standard deviation.

    Within 0.5 % for noise, which varies little. The mean's bar is relative to the standard
    deviation too, because the means of noise and blurs are close to 0 and no scale for themselves.
    """
    bar = 0.005 if FAMILY_OF[name] == "noise" else 0.02
    golden = GOLDEN["statistics"][name]
    image = pictures.synthetic(*golden["size"])
    for severity in range(1, 6):
        rng = np.random.default_rng(severity)
        moments = []
        for _ in range(DRAWS.get(name, 20)):
            residual = corrupt(image, name, severity, rng=rng).astype(np.float32) - image
            moments.append((residual.mean(), np.square(residual).mean()))
        mean, square = np.mean(moments, axis=0, dtype=np.float64)
        expected = golden["deviation"][severity - 1]
        assert np.sqrt(square - mean**2) == pytest.approx(expected, rel=bar)
        assert mean == pytest.approx(golden["mean"][severity - 1], abs=bar * expected)


def published_samples():
    folder = Path(os.environ.get("CVGL_BENCH_DATA", ROOT.parent / "shared/data"))
    samples = folder / "published-samples/CVUSA-C"
    if not samples.is_dir():
        pytest.skip(f"the published samples are not in {folder}; set CVGL_BENCH_DATA")
    return samples


def pixels_of(file):
    return np.array(Image.open(file)).astype(int)


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_published_files_show_the_same_deterministic_corruptions(name):
    samples = published_samples()
    clean = np.array(Image.open(samples / "clean/0000002.jpg"))
    for severity in range(1, 6):
        # as published: once more through JPEG at quality 75; another libjpeg leaves the difference
        file = io.BytesIO()
        ours = corrupt(clean, name, severity, rng=np.random.default_rng(0))
        Image.fromarray(ours).save(file, "JPEG", quality=75)
        published = samples / f"severity-{severity}/{FAMILY_OF[name]}/{name}/0000002.jpg"
        assert np.abs(pixels_of(file) - pixels_of(published)).mean() < 1.2
