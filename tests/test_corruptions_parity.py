"""Against imagecorruptions 1.1.2; benchmarks/parity/make_golden.py wrote the golden values."""

import io
import json
import math
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import (
    CORRUPTIONS,
    DETERMINISTIC,
    FAMILY_OF,
    PUBLISHED,
    SEVERITIES,
    corrupt,
    parameters,
)

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # the measuring instruments are no installed package
library = import_module("benchmarks.parity.library")
pictures = import_module("benchmarks.parity.synthetic")
released = import_module("benchmarks.parity.samples")
residuals = import_module("benchmarks.parity.residuals")

GOLDEN = json.loads((ROOT / "tests/golden/corruptions.json").read_text(encoding="utf-8"))
ARRAYS = dict(np.load(ROOT / "tests/golden/corruptions.npz"))
PIXELS = {key: array for key, array in ARRAYS.items() if not key.startswith("law-")}
LAWS = sorted(GOLDEN["laws"])
GIVEN_DRAWS = ["motion_blur", "frost"]
SHUFFLED = "glass_blur"


def golden_pictures(name):
    """Severity, picture, imagecorruptions' rows of it, which of them it has, and the draws."""
    for key, golden in PIXELS.items():
        if key.startswith(f"{name}-"):
            severity, size = key.removeprefix(f"{name}-").split("-")
            image = pictures.synthetic(*(int(side) for side in size.split("x")))
            kept = slice(None, None, -(-len(image) // len(golden)))
            yield int(severity), image, golden, kept, GOLDEN["draws"].get(key)


def differences(name, profile):
    """All |ours - imagecorruptions'| of a corruption together, in grey levels."""
    found = []
    for severity, image, golden, kept, draws in golden_pictures(name):
        ours = corrupt(image, name, severity, rng=0, profile=profile, draws=draws)
        found.append(np.abs(ours[kept].astype(int) - golden).ravel())
    return np.concatenate(found)


def test_golden_pictures_cover_every_severity():
    cells = {tuple(key.split("-")[:2]) for key in PIXELS}
    names = [*DETERMINISTIC, *GIVEN_DRAWS, SHUFFLED]
    assert cells == {(name, str(severity)) for name in names for severity in range(1, 6)}


@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_the_published_profile_equals_the_oracle_at_every_size(name):
    assert differences(name, "published").max() == 0


@pytest.mark.parametrize("name", [*sorted(DETERMINISTIC), *GIVEN_DRAWS])
def test_the_standard_profile_is_one_grey_level_off_in_a_thousandth_of_the_values_at_most(name):
    difference = differences(name, "standard")
    assert difference.max() <= 1
    assert difference.mean() <= 0.001


class GivenShifts:
    """Stands in for a generator and answers glass_blur with the shifts that the oracle was given.

    The oracle draws column and row in turn, walking from the last pixel.
    """

    def __init__(self):
        self.walk = pictures.uniforms(400_000).reshape(-1, 2)
        self.columns = None

    def integers(self, low, high, size, dtype):
        if self.columns is not None:
            columns, self.columns = self.columns, None
            return columns
        count = size[0] * size[1]
        shifts = low + (self.walk[:count] * (high - low)).astype(dtype)
        self.walk = self.walk[count:]
        self.columns, rows = np.moveaxis(shifts.reshape(*size, 2)[::-1, ::-1], -1, 0)
        return rows


def test_published_glass_blur_follows_the_oracle_when_given_its_shifts():
    for severity, image, golden, kept, _ in golden_pictures(SHUFFLED):
        named = parameters(SHUFFLED, severity)
        ours = PUBLISHED[SHUFFLED](image, GivenShifts(), **named)[kept].astype(int)
        assert np.abs(ours - golden).max() <= 1


# As many as make the average of a corruption that varies wildly as sure as that of the others.
DRAWS = {"fog": 1000, "frost": 250, "motion_blur": 150, "snow": 500, "spatter": 150}
# Hardly ever passed by two samples of one law, among 1700 features and 50 histograms.
MOST_STANDARD_ERRORS = 4.5
MOST_KS_RATIO = 3.5


@cache
def synthetic(*size):
    return pictures.synthetic(*size)


def strangeness(name, severity, named):
    """How far our law is from the oracle's, where 1 is the most that chance explains; and why."""
    golden = GOLDEN["laws"][name]
    image, rng = synthetic(*golden["size"]), np.random.default_rng(severity)
    theirs = library.read_law(ARRAYS, f"law-{name}-{severity}")
    draws = DRAWS.get(name, 50)
    ours = residuals.law(lambda _: CORRUPTIONS[name](image, rng, **named), image, draws)
    found = dict(
        zip(
            GOLDEN["features"][name],
            residuals.scores(ours, theirs) / MOST_STANDARD_ERRORS,
            strict=True,
        )
    )
    found["histogram"] = residuals.ks_ratio(ours, theirs) / MOST_KS_RATIO
    return max(found.values()), max(found, key=found.get)


@pytest.mark.parametrize("name", LAWS)
def test_random_corruptions_follow_the_law_of_the_oracle(name):
    """Histogram of the residual, its spread, its correlations and its spectrum."""
    for severity in range(1, 6):
        assert strangeness(name, severity, parameters(name, severity))[0] < 1, severity


def wrong(value):
    """A whole number off by a quarter, at least by 1; any other by 5 %."""
    return value + math.ceil(value / 4) if isinstance(value, int) else value * 1.05


# Those left out here are pinned pixel by pixel, given the oracle's draws.
@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (name, parameter)
        for name in LAWS
        if name not in GIVEN_DRAWS
        for parameter in SEVERITIES[name]
    ],
)
def test_a_number_that_is_slightly_wrong_is_noticed(name, parameter):
    for severity in (5, 2, 3, 1, 4):
        named = parameters(name, severity)
        value = named[parameter]
        named[parameter] = wrong(value)
        if named[parameter] != value and strangeness(name, severity, named)[0] > 1:
            return
    pytest.fail(f"{parameter} may be wrong at every severity")


def published_samples():
    folder = released.samples_folder()
    if folder is None:
        pytest.skip("the published samples are not there; set CVGL_BENCH_DATA")
    return folder


def pixels_of(file):
    return np.array(Image.open(file)).astype(int)


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_published_files_look_the_same_through_another_codec(name):
    samples = published_samples()
    clean = np.array(Image.open(samples / "clean/0000002.jpg"))
    for severity in range(1, 6):
        file = io.BytesIO()
        Image.fromarray(corrupt(clean, name, severity, rng=0)).save(file, "JPEG", quality=75)
        published = samples / f"severity-{severity}/{FAMILY_OF[name]}/{name}/0000002.jpg"
        assert np.abs(pixels_of(file) - pixels_of(published)).mean() < 1.2


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(set(LAWS) - set(GIVEN_DRAWS)))
def test_published_files_could_be_draws_of_ours(name):
    """One file is one draw: its histogram and features lie where sixteen of ours lie."""
    samples = published_samples()
    if find_spec("jpeglib") is None:
        pytest.skip('the published files need jpeglib: pip install "cvgl-bench[published]"')
    query = released.Samples(samples)
    for severity in (1, 5):
        columns = released.WINDOW if name == SHUFFLED else None
        verdict = query.another_draw(name, severity, 16, columns)
        assert verdict.good, f"severity {severity}: {verdict.text}"
