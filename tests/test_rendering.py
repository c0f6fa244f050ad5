"""Golden pixels of every corruption. `python tests/test_rendering.py` writes them again; that
changes scores, so every suite's version moves with it."""

import os
from pathlib import Path

import numpy as np
import pytest

from corruptions import CORRUPTIONS, DETERMINISTIC, PUBLISHED, corrupt
from corruptions.codecs import CODECS, PILLOW
from cvgl_bench.codec import codec_name
from cvgl_bench.datasets import Pair
from cvgl_bench.files import sha256
from cvgl_bench.rendering import Source, pixel_sha256, plan_output, read_source, render
from cvgl_bench.suite import Cell, load_suite

GOLDEN = Path(__file__).parent / "golden" / "rendered.npz"
PAIR = Pair("0000002", Path("0000002.jpg"), Path("tile.jpg"))
SUITE = load_suite("cvusa-c")
PROFILES = {
    "standard": CORRUPTIONS,
    "published": PUBLISHED,
}
CASES = [(profile, name) for profile, names in PROFILES.items() for name in names]


def source():
    rows, columns = np.indices((32, 96))
    waves = [128 + 100 * np.sin(columns / 7 + shift) * np.cos(rows / 5) for shift in range(3)]
    pixels = np.stack(waves, axis=-1).astype(np.uint8)
    return Source(b"the file itself", pixels, "0" * 64)


def rendered(corruption, severity=3, view="full", suite=SUITE):
    cell = Cell(view=view, corruption=corruption, severity=severity)
    return render(suite, source(), plan_output(suite, "cvusa", PAIR, cell))


def pixels(profile, name):
    return rendered(name, suite=SUITE.model_copy(update={"profile": profile})).pixels


@pytest.mark.parametrize(("profile", "name"), CASES)
def test_pixels_are_those_that_the_suites_version_stands_for(profile, name):
    """Within a grey level, because the last bit of a float depends on the processor."""
    with np.load(GOLDEN) as golden:
        difference = np.abs(pixels(profile, name).astype(int) - golden[f"{profile}-{name}"])
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
    assert crop.data == PILLOW.encode(crop.pixels, 75)


def test_codec_only_is_the_clean_panorama_encoded_like_the_corrupted_ones():
    control = rendered("codec_only", 0)
    np.testing.assert_array_equal(control.pixels, source().pixels)
    assert control.data == PILLOW.encode(source().pixels, 75)
    assert control.codec == rendered("contrast").codec


def test_the_suites_profile_and_codec_are_handed_on(monkeypatch):
    class Recording:
        name = "ijg9d"
        version = "recording"

        def encode(self, image, quality):
            return b"encoded at %d" % quality

    asked = []

    def spy(image, *arguments, rng, profile, codec):
        asked.append((*arguments, rng.integers(1 << 60), profile, codec.name))
        return image

    monkeypatch.setattr("cvgl_bench.rendering.corrupt", spy)
    monkeypatch.setitem(CODECS, "ijg9d", Recording())
    published = SUITE.model_copy(update={"profile": "published", "codec": "ijg9d"})
    codec_name.cache_clear()
    output = rendered("fog", suite=published)
    codec_name.cache_clear()
    rendered("fog")
    assert output.data == b"encoded at 75"
    assert output.codec == "ijg9d (recording) jpeg q75 4:2:0"
    draw = asked[0][2]
    assert asked == [("fog", 3, draw, "published", "ijg9d"), ("fog", 3, draw, "standard", "pillow")]


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_the_published_suite_makes_the_released_files_to_the_byte(name):
    pytest.importorskip("jpeglib")
    folder = Path(os.environ.get("CVGL_BENCH_DATA", Path(__file__).parents[2] / "shared/data"))
    samples = folder / "published-samples/CVUSA-C"
    if not samples.is_dir():
        pytest.skip(f"the published samples are not in {folder}; set CVGL_BENCH_DATA")
    suite = load_suite("cvusa-c", "published")
    pair = Pair("0000002", samples / "clean/0000002.jpg", Path("tile.jpg"))
    panorama = read_source(pair, CODECS[suite.codec])
    for severity in range(1, 6):
        cell = Cell(view="full", corruption=name, severity=severity)
        output = plan_output(suite, "cvusa", pair, cell)
        assert render(suite, panorama, output).data == (samples / output.path).read_bytes()


def test_the_view_is_cut_before_the_corruption():
    """zoom_blur draws everything towards the middle of what the camera sees."""
    middle = np.ascontiguousarray(source().pixels[:, 36:60])
    expected = corrupt(middle, "zoom_blur", 5, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(rendered("zoom_blur", 5, "fov90-heading0").pixels, expected)
    assert not np.array_equal(rendered("zoom_blur", 5).pixels[:, 36:60], expected)


def test_the_file_is_the_pixels_encoded():
    output = rendered("fog")
    assert sha256(output.data) == sha256(PILLOW.encode(output.pixels, 75))


if __name__ == "__main__":
    np.savez_compressed(GOLDEN, **{"-".join(case): pixels(*case) for case in CASES})
