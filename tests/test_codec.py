import io
import sys

import numpy as np
import pytest
from PIL import Image

from corruptions.codecs import CODECS, PILLOW
from cvgl_bench import codec
from cvgl_bench.errors import DataError

GRADIENT = np.indices((24, 48)).sum(axis=0).astype(np.uint8)[..., None] * np.uint8([1, 2, 3])


class Black:
    """A codec that decodes every JPEG to black."""

    name = "black"
    version = "0"

    def decode(self, data):
        return np.zeros((24, 48, 3), np.uint8)


def file_bytes(picture, kind="PNG"):
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(params=CODECS)
def each_codec(request):
    """Every codec in turn; those that are not installed are skipped."""
    try:
        return codec.usable_codec(request.param)
    except DataError as error:
        pytest.skip(str(error))


def test_what_is_encoded_is_decoded_nearly_the_same(each_codec):
    again = codec.decode(each_codec.encode(GRADIENT, 95), "x.jpg", each_codec)
    assert again.shape == GRADIENT.shape
    assert np.abs(again.astype(int) - GRADIENT).mean() < 3


def test_the_codec_that_is_asked_for_decodes():
    assert codec.decode(PILLOW.encode(GRADIENT, 95), "x.jpg", Black()).max() == 0
    np.testing.assert_array_equal(
        codec.decode(file_bytes(Image.fromarray(GRADIENT)), "x.png", Black()), GRADIENT
    )


def test_a_jpeg_with_a_preview_behind_it_is_decoded_by_the_codec_too():
    picture = Image.fromarray(GRADIENT)
    buffer = io.BytesIO()
    picture.save(buffer, "MPO", save_all=True, append_images=[picture.resize((8, 8))])

    assert codec.decode(buffer.getvalue(), "phone.jpg", Black()).max() == 0


def test_a_codec_whose_package_is_missing_is_one_sentence(monkeypatch):
    codec.codec_name.cache_clear()
    monkeypatch.setitem(sys.modules, "jpeglib", None)
    with pytest.raises(DataError, match=r"jpeglib.*cvgl-bench\[published\]") as caught:
        codec.usable_codec("ijg9d")
    assert str(caught.value).count("pip install") == 1


def test_the_name_of_a_codec_says_library_version_and_settings():
    assert codec.codec_name("pillow", 75) == f"pillow ({PILLOW.version}) jpeg q75 4:2:0"


def test_grey_pictures_get_three_equal_channels(each_codec):
    picture = Image.fromarray(GRADIENT[..., 0])
    grey = codec.decode(file_bytes(picture), "grey.png", each_codec)
    np.testing.assert_array_equal(grey, np.repeat(GRADIENT[..., :1], 3, axis=2))
    grey = codec.decode(file_bytes(picture, "JPEG"), "grey.jpg", each_codec)
    assert grey.shape == GRADIENT.shape
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "I;16", "1"])
def test_other_kinds_of_picture_are_refused_by_name(mode):
    picture = (
        Image.fromarray(GRADIENT[..., 0].astype(np.uint16))
        if mode == "I;16"
        else Image.fromarray(GRADIENT).convert(mode)
    )
    kind = "JPEG" if mode == "CMYK" else "PNG"
    with pytest.raises(DataError, match=r"odd\.png is a picture of kind"):
        codec.decode(file_bytes(picture, kind), "odd.png")


@pytest.mark.parametrize("kept", [0, 1, 20, 300])
def test_truncated_files_are_refused(each_codec, kept):
    data = PILLOW.encode(GRADIENT, 95)
    assert kept < len(data) - 100
    with pytest.raises(DataError, match=r"^half\.jpg.* cannot be decoded"):
        codec.decode(data[:kept], "half.jpg", each_codec)


def test_a_jpeg_that_lacks_its_last_rows_is_refused(each_codec):
    data = PILLOW.encode(GRADIENT, 95)
    with pytest.raises(DataError, match=r"^half\.jpg: The JPEG cannot be decoded"):
        codec.decode(data[:-50], "half.jpg", each_codec)


def test_sixteen_bits_a_channel_and_transparency_are_refused():
    import cv2

    deep = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint16))[1].tobytes()
    with pytest.raises(DataError, match="16-bit RGB"):
        codec.decode(deep, "deep.png")
    buffer = io.BytesIO()
    Image.fromarray(GRADIENT).save(buffer, "PNG", transparency=(0, 0, 0))
    with pytest.raises(DataError, match="RGB with transparency"):
        codec.decode(buffer.getvalue(), "clear.png")


def test_a_picture_wider_than_any_panorama_is_refused():
    strip = file_bytes(Image.new("L", (codec.MAX_SIDE + 1, 16)))
    with pytest.raises(DataError, match="16385 x 16 pixels"):
        codec.decode(strip, "strip.png")


def test_text_is_refused():
    with pytest.raises(DataError, match="cannot be decoded"):
        codec.decode(b"<html>Sign in to download</html>", "page.jpg")


def test_huge_pictures_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(codec, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="48 x 24 pixels"):
        codec.decode(PILLOW.encode(GRADIENT, 75), "huge.jpg")


def test_a_file_that_claims_to_be_enormous_is_refused():
    data = bytearray(file_bytes(Image.new("L", (1, 1))))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(DataError):
        codec.decode(bytes(data), "bomb.png")


def test_a_picture_too_large_for_pillow_is_named_as_such():
    file = io.BytesIO()
    Image.new("L", (16_384, 16_384)).save(file, "PNG")
    with pytest.raises(DataError, match=r"^big\.png has more pixels than the 100 million"):
        codec.decode(file.getvalue(), "big.png")
