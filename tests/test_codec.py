import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from cvgl_bench import codec
from cvgl_bench.errors import DataError

GRADIENT = np.indices((24, 48)).sum(axis=0).astype(np.uint8)[..., None] * np.uint8([1, 2, 3])


def file_bytes(picture, kind="PNG"):
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def test_jpegs_have_quality_75_tables_and_420_chroma():
    written = Image.open(io.BytesIO(codec.encode(GRADIENT, 75)))
    buffer = io.BytesIO()
    Image.fromarray(GRADIENT).save(buffer, "JPEG")
    assert written.quantization == Image.open(buffer).quantization
    assert JpegImagePlugin.get_sampling(written) == 2


def test_what_is_encoded_is_decoded_nearly_the_same():
    again = codec.decode(codec.encode(GRADIENT, 95), "x.jpg")
    assert again.shape == GRADIENT.shape
    assert np.abs(again.astype(int) - GRADIENT).mean() < 3


def test_grey_pictures_get_three_equal_channels():
    grey = codec.decode(file_bytes(Image.fromarray(GRADIENT[..., 0])), "grey.png")
    np.testing.assert_array_equal(grey, np.repeat(GRADIENT[..., :1], 3, axis=2))


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
def test_truncated_files_are_refused(kept):
    data = codec.encode(GRADIENT, 95)
    assert kept < len(data) - 100
    with pytest.raises(DataError, match=r"half\.jpg cannot be decoded"):
        codec.decode(data[:kept], "half.jpg")


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
        codec.decode(codec.encode(GRADIENT, 75), "huge.jpg")


def test_a_file_that_claims_to_be_enormous_is_refused():
    data = bytearray(file_bytes(Image.new("L", (1, 1))))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(DataError):
        codec.decode(bytes(data), "bomb.png")
