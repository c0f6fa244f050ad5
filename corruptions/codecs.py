"""JPEG in and out, by the library of your choice: two libraries disagree on pixels and bytes.

Pillow's libjpeg-turbo is fast and there anyway. The Independent JPEG Group's libjpeg 9d is what the
released CVUSA-C and CVACT_val-C went through (versions 7 to 9d give the same bytes, 9e does not).
"""

import tempfile
import threading
from functools import lru_cache
from importlib import metadata
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Protocol

import cv2
import numpy as np
import PIL
from PIL import Image as PillowImage
from PIL import features
from PIL.JpegImagePlugin import JpegImageFile

from corruptions.draws import whole
from corruptions.inputs import MOST_PIXELS
from corruptions.pixels import Image

_READABLE = ("RGB", "L")
_MOST_MARKERS = 50  # jpeglib has room for no more and does not check
_IJG = "9d"
# jpeglib keeps the version it works with, and the markers it reads, in global variables.
_ijg_lock = threading.Lock()


class Codec(Protocol):
    """An encoder and decoder of baseline JPEG."""

    name: str

    @property
    def version(self) -> str:
        """What does the work, in one phrase such as "pillow 12.1.0, libjpeg-turbo 3.1.3".

        Raises:
            ValueError: a package that the codec needs is not installed.
        """
        ...

    def encode(self, image: Image, quality: int) -> bytes:
        """A baseline JPEG file with 4:2:0 chroma.

        Args:
            image: RGB, uint8, (H, W, 3), H and W at most 65,500.
            quality: libjpeg's, 1..100.

        Raises:
            ValueError: the quality is no whole number from 1 to 100, or a package that the codec
                needs is not installed.
        """
        ...

    def decode(self, data: bytes) -> Image:
        """The pixels of a JPEG file, RGB, uint8, (H, W, 3); a grey one has three equal channels.

        Raises:
            ValueError: the data are no complete RGB or grey JPEG of at most 100 million pixels, or
                a package that the codec needs is not installed.
        """
        ...

    def recode(self, image: Image, quality: int) -> Image:
        """What is left of an image that was encoded and decoded, (H, W, 3).

        Args:
            image: RGB, uint8, (H, W, 3), H and W at most 65,500.
            quality: libjpeg's, 1..100.

        Raises:
            ValueError: a package that the codec needs is not installed.
        """
        ...


class _Pillow:
    """Pillow, with whichever libjpeg it was built on: libjpeg-turbo in its wheels.

    OpenCV's libjpeg-turbo is faster to reach and gives the same bytes and pixels, so it does the
    work where it is there.
    """

    name: str = "pillow"

    @property
    def version(self) -> str:
        turbo = features.version_feature("libjpeg_turbo")
        library = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
        return f"pillow {PIL.__version__}, {library}"

    def encode(self, image: Image, quality: int) -> bytes:
        quality = whole("quality", quality, 1, 100)
        return opencv_encode(image, quality) if _opencv_agrees() else pillow_encode(image, quality)

    def decode(self, data: bytes) -> Image:
        picture = _complete(data)
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))

    def recode(self, image: Image, quality: int) -> Image:
        quality = whole("quality", quality, 1, 100)
        if _opencv_agrees():
            return opencv_decode(opencv_encode(image, quality))
        return self.decode(pillow_encode(image, quality))


def pillow_encode(image: Image, quality: int) -> bytes:
    """A baseline JPEG file with 4:2:0 chroma, by Pillow."""
    file = BytesIO()
    PillowImage.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def opencv_encode(image: Image, quality: int) -> bytes:
    """The same by OpenCV."""
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    written, data = cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG.")
    return data.tobytes()


def opencv_decode(data: bytes) -> Image:
    """The pixels of a JPEG file that is known to be whole, by OpenCV."""
    colours = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if colours is None:
        raise ValueError("OpenCV cannot decode the JPEG.")
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_BGR2RGB, dst=colours), dtype=np.uint8)


@lru_cache(maxsize=1)
def _opencv_agrees() -> bool:
    """Whether OpenCV's libjpeg gives Pillow's bytes and pixels for a busy picture."""
    row, column = np.mgrid[:73, :105]  # odd, so that blocks are cut at the edges
    shades = np.stack([row * 3 + column, row * column % 251, (row ^ column) * 2], axis=-1)
    image = (shades % 256).astype(np.uint8)
    for quality in (7, 25, 75, 95):
        data = pillow_encode(image, quality)
        if opencv_encode(image, quality) != data:
            return False
        if not np.array_equal(opencv_decode(data), np.asarray(PillowImage.open(BytesIO(data)))):
            return False
    return True


class _Ijg:
    """libjpeg 9d of the Independent JPEG Group, by way of the package jpeglib and of files."""

    name: str = "ijg9d"

    @property
    def version(self) -> str:
        _jpeglib()
        return f"ijg libjpeg {_IJG}, jpeglib {metadata.version('jpeglib')}"

    def encode(self, image: Image, quality: int) -> bytes:
        jpeglib = _jpeglib()
        quality = whole("quality", quality, 1, 100)
        with _ijg_lock, tempfile.TemporaryDirectory(prefix="corruptions-") as folder:
            file = Path(folder) / "image.jpg"
            with jpeglib.version(_IJG):
                picture = jpeglib.from_spatial(image)
                picture.samp_factor = "4:2:0"
                # Without the flag, quality 10 and 7 get 16-bit tables, which is not baseline.
                picture.write_spatial(str(file), qt=quality, flags=["+FORCE_BASELINE"])
            return file.read_bytes()

    def recode(self, image: Image, quality: int) -> Image:
        return self.decode(self.encode(image, quality))

    def decode(self, data: bytes) -> Image:
        jpeglib = _jpeglib()
        # libjpeg fills what a cut file lacks with grey and goes on, so Pillow looks first.
        _complete(data)
        with _ijg_lock, tempfile.TemporaryDirectory(prefix="corruptions-") as folder:
            file = Path(folder) / "image.jpg"
            file.write_bytes(data)
            with jpeglib.version(_IJG):
                pixels: Image = jpeglib.read_spatial(str(file)).spatial
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _jpeglib() -> ModuleType:
    try:
        import jpeglib
    except ImportError as error:
        raise ValueError(
            "The codec 'ijg9d' needs the package jpeglib, which is not installed: "
            'pip install "cvgl-bench[published]".'
        ) from error
    module: ModuleType = jpeglib
    return module


def _complete(data: bytes) -> JpegImageFile:
    """The decoded file, or a sentence on why it cannot be had."""
    try:
        picture = JpegImageFile(BytesIO(data))
        refusal = _refusal(picture)
        if not refusal:
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"The JPEG cannot be decoded ({error}). Is it complete?") from error
    if refusal:
        raise ValueError(refusal)
    return picture


def _refusal(picture: JpegImageFile) -> str:
    if picture.mode not in _READABLE:
        return f"The JPEG is of kind {picture.mode}; only RGB and grey ones are read. Convert it."
    if picture.width * picture.height > MOST_PIXELS:
        return (
            f"The JPEG has {picture.width} x {picture.height} pixels; "
            f"at most {MOST_PIXELS // 1_000_000} million are read."
        )
    if len(picture.applist) > _MOST_MARKERS:
        return f"The JPEG has {len(picture.applist)} markers; at most {_MOST_MARKERS} are read."
    return ""


PILLOW: Codec = _Pillow()
CODECS: dict[str, Codec] = {codec.name: codec for codec in (PILLOW, _Ijg())}
