import builtins
import io
import pickle
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image as PillowImage

from corruptions import CODECS, PILLOW, corrupt
from corruptions.codecs import _refusal


def picture(height=48, width=80, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return np.array(PillowImage.fromarray(small).resize((width, height)))


def jpeg(image, **options):
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


def codec_called(name):
    if name == "ijg9d":
        pytest.importorskip("jpeglib", reason='pip install "cvgl-bench[published]"')
    return CODECS[name]


@pytest.fixture(params=[*CODECS])
def codec(request):
    return codec_called(request.param)


@pytest.fixture
def ijg(tmp_path, monkeypatch):
    """The codec, and the folder that its temporary files go to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return codec_called("ijg9d"), tmp_path


def test_codecs_are_found_by_their_names():
    assert CODECS["pillow"] is PILLOW
    assert all(codec.name == name for name, codec in CODECS.items())


def test_a_codec_says_what_does_the_work(codec):
    assert str(PillowImage.__version__) in PILLOW.version
    assert codec.version.count(",") == 1
    assert any(character.isdigit() for character in codec.version)


@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (48, 80), (16, 600)])
def test_a_picture_goes_through_little_changed(codec, shape):
    row, column = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([row + 50, 200 - row, 90 + column % 7], axis=-1).astype(np.uint8)
    decoded = codec.decode(codec.encode(image, 95))
    assert (decoded.shape, decoded.dtype) == (image.shape, np.uint8)
    assert decoded.flags.writeable
    assert np.abs(decoded.astype(int) - image).mean() < 3


@pytest.mark.parametrize("quality", [75, 10, 7])
def test_files_are_baseline_with_small_tables_and_half_the_colour_resolution(codec, quality):
    data = codec.encode(picture(), quality)
    read = PillowImage.open(io.BytesIO(data))
    assert (read.format, read.mode) == ("JPEG", "RGB")
    assert not read.info.get("progressive")
    assert [component[1:3] for component in read.layer] == [(2, 2), (1, 1), (1, 1)]
    assert max(max(table) for table in read.quantization.values()) <= 255


def test_pillows_files_are_its_own_of_that_quality():
    image = picture()
    assert PILLOW.encode(image, 75) == jpeg(image, quality=75)


def test_the_libraries_disagree_by_little(ijg):
    codec, _ = ijg
    image = picture(224, 320)
    data = PILLOW.encode(image, 75)
    difference = np.abs(PILLOW.decode(data).astype(int) - codec.decode(data))
    assert 0 < difference.mean() < 2
    assert codec.encode(image, 75) != data


def test_jpeg_compression_uses_the_codec_both_ways(ijg):
    codec, _ = ijg
    image = picture()
    compressed = corrupt(image, "jpeg_compression", 5, codec=codec)
    assert np.array_equal(compressed, codec.decode(codec.encode(image, 7)))


def test_grey_files_have_three_equal_channels(codec):
    decoded = codec.decode(jpeg(picture()[..., 0], quality=90))
    assert decoded.shape == (48, 80, 3)
    assert np.array_equal(decoded[..., 0], decoded[..., 2])


@pytest.mark.parametrize("keep", [0, 3, 300, -2])
def test_files_that_are_cut_short_are_refused(codec, keep, capfd):
    data = jpeg(picture(), quality=90)[:keep]
    with pytest.raises(ValueError, match=r"JPEG cannot be decoded .*Is it complete\?"):
        codec.decode(data)
    assert capfd.readouterr().err == ""


def test_other_files_are_refused(codec):
    file = io.BytesIO()
    PillowImage.fromarray(picture()).save(file, "PNG")
    with pytest.raises(ValueError, match="The JPEG cannot be decoded"):
        codec.decode(file.getvalue())
    cmyk = io.BytesIO()
    PillowImage.fromarray(picture()).convert("CMYK").save(cmyk, "JPEG")
    with pytest.raises(ValueError, match="of kind CMYK; only RGB and grey"):
        codec.decode(cmyk.getvalue())


def test_files_with_more_markers_than_there_is_room_for_are_refused(codec):
    data = jpeg(picture())
    comment = b"\xff\xfe\x00\x04hi"
    assert codec.decode(data[:2] + 40 * comment + data[2:]).shape == (48, 80, 3)
    with pytest.raises(ValueError, match="markers; at most 50 are read"):
        codec.decode(data[:2] + 51 * comment + data[2:])


def test_files_of_too_many_pixels_are_refused_before_they_are_decoded():
    class Header:
        mode, width, height, applist = "RGB", 65_000, 65_000, ()

    assert "has 65000 x 65000 pixels; at most 100 million" in _refusal(Header())


def test_no_temporary_file_stays_behind(ijg):
    codec, folder = ijg
    data = codec.encode(picture(), 75)
    codec.decode(data)
    with pytest.raises(ValueError, match="complete"):
        codec.decode(data[:500])
    with pytest.raises(AttributeError):
        codec.encode(None, 75)
    assert list(folder.iterdir()) == []


def test_the_version_that_others_work_with_is_left_alone(ijg):
    import jpeglib

    codec, _ = ijg
    with jpeglib.version("8d"):
        data = codec.encode(picture(), 75)
        codec.decode(data)
        assert jpeglib.version.get() == "8d"
        with pytest.raises(AttributeError):
            codec.encode(None, 75)
        assert jpeglib.version.get() == "8d"


def test_threads_do_not_disturb_each_other(ijg):
    codec, _ = ijg
    images = [picture(seed=seed) for seed in range(8)]
    expected = [codec.encode(image, 75) for image in images]
    files = [b""] * len(images)

    def work(place):
        for _ in range(5):
            files[place] = codec.encode(codec.decode(codec.encode(images[place], 75)), 75)
            files[place] = codec.encode(images[place], 75)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files == expected


def test_codecs_travel_to_other_processes(codec):
    copy = pickle.loads(pickle.dumps(codec))
    assert copy.encode(picture(), 75) == codec.encode(picture(), 75)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    original = builtins.__import__

    def without_jpeglib(name, *rest, **options):
        if name == "jpeglib":
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_jpeglib)
    ijg = CODECS["ijg9d"]
    for use in (lambda: ijg.version, lambda: ijg.encode(picture(), 75), lambda: ijg.decode(b"")):
        with pytest.raises(ValueError, match=r'pip install "cvgl-bench\[published\]"'):
            use()
