"""Golden pixels of every corruption. `python tests/test_rendering.py` writes them again; that
changes scores, so every suite's version moves with it."""

from pathlib import Path

import numpy as np
import pytest

from corruptions import CORRUPTIONS, DETERMINISTIC, corrupt
from cvgl_bench.codec import encode
from cvgl_bench.datasets import Pair
from cvgl_bench.files import sha256
from cvgl_bench.rendering import Source, pixel_sha256, plan_output, render
from cvgl_bench.suite import Cell, load_suite

GOLDEN = Path(__file__).parent / "golden" / "rendered.npz"
PAIR = Pair("0000002", Path("0000002.jpg"), Path("tile.jpg"))
SUITE = load_suite("cvusa-c")


def source():
    rows, columns = np.indices((32, 96))
    waves = [128 + 100 * np.sin(columns / 7 + shift) * np.cos(rows / 5) for shift in range(3)]
    pixels = np.stack(waves, axis=-1).astype(np.uint8)
    return Source(b"the file itself", pixels, "0" * 64)


def rendered(corruption, severity=3, view="full"):
    cell = Cell(view=view, corruption=corruption, severity=severity)
    return render(SUITE, source(), plan_output(SUITE, "cvusa", PAIR, cell))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pixels_are_those_that_the_suites_version_stands_for(name):
    """Within a grey level, because the last bit of a float depends on the processor."""
    with np.load(GOLDEN) as golden:
        difference = np.abs(rendered(name).pixels.astype(int) - golden[name])
    assert np.mean(difference > 1) < 0.001


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - DETERMINISTIC))
def test_every_part_of_the_identity_changes_what_is_drawn(name):
    cell = Cell(view="full", corruption=name, severity=3)
    other = Pair("0000003", PAIR.ground, PAIR.aerial)
    same, *others = (
        pixel_sha256(render(SUITE, source(), output).pixels)
        for output in (
            plan_output(SUITE, "cvusa", PAIR, cell),
            plan_output(SUITE, "cvusa", other, cell),
            plan_output(SUITE, "cvact", PAIR, cell),
            plan_output(SUITE.model_copy(update={"seed": 1}), "cvusa", PAIR, cell),
        )
    )
    assert same == pixel_sha256(rendered(name).pixels)
    assert same not in others


def test_a_clean_panorama_is_the_source_file_and_a_clean_crop_is_encoded():
    assert rendered("clean", 0).data == b"the file itself"
    crop = rendered("clean", 0, "fov90-heading90")
    np.testing.assert_array_equal(crop.pixels, source().pixels[:, 60:84])
    assert crop.data == encode(crop.pixels, 75)


def test_the_view_is_cut_before_the_corruption():
    """zoom_blur draws everything towards the middle of what the camera sees."""
    middle = np.ascontiguousarray(source().pixels[:, 36:60])
    expected = corrupt(middle, "zoom_blur", 5, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(rendered("zoom_blur", 5, "fov90-heading0").pixels, expected)
    assert not np.array_equal(rendered("zoom_blur", 5).pixels[:, 36:60], expected)


def test_the_file_is_the_pixels_encoded():
    output = rendered("fog")
    assert sha256(output.data) == sha256(encode(output.pixels, 75))


if __name__ == "__main__":
    np.savez_compressed(GOLDEN, **{name: rendered(name).pixels for name in CORRUPTIONS})
