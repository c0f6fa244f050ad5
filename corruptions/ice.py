"""The ice pictures that frost lays over an image, enlarged and kept for the next one."""

import math
from functools import lru_cache
from pathlib import Path

import cv2
import numba
import numpy as np

from corruptions.draws import whole
from corruptions.pixels import Image

TEXTURES = Path(__file__).parent / "textures"

# ImageNet-C ships six pictures and draws one of the first five; the sixth is never used.
FROST_PICTURES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")

_COVER = 1.1  # the enlarged picture is that much larger than the image
_MOST_KEPT = 16_000_000  # pixels of an enlarged picture; enough for images of 4000 x 3000


def cut_frost(
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    texture: int | None = None,
    top: int | None = None,
    left: int | None = None,
) -> Image:
    """Draw an ice picture and cut (height, width, 3) from its enlarged version.

    Args:
        height: of the cut.
        width: of the cut.
        rng: draws what is not given, in the order of the arguments.
        texture: 1 to 5, as in the pictures' file names.
        top: first row of the cut.
        left: first column of the cut.

    Raises:
        ValueError: what is given lies outside the pictures.
    """
    picture = choose_picture(rng, texture)
    ice_size = _enlarged_size(picture, height, width)
    if ice_size[0] * ice_size[1] <= _MOST_KEPT:
        rows, columns = choose_cut(ice_size, (height, width), rng, top=top, left=left)
        return frost_picture(picture, height, width)[rows, columns]
    ice = frost_texture(picture)
    return cut_enlarged(ice, covering(ice, height, width), (height, width), rng, top=top, left=left)


def choose_picture(rng: np.random.Generator, texture: int | None) -> int:
    """Index into FROST_PICTURES of the texture that is given, 1 to 5, or of one that is drawn.

    Raises:
        ValueError: there is none of that number.
    """
    pictures = len(FROST_PICTURES)
    number = int(rng.integers(pictures)) + 1 if texture is None else texture
    return whole("texture", number, 1, pictures) - 1


def choose_cut(
    ice_size: tuple[int, int],
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    top: int | None,
    left: int | None,
) -> tuple[slice, slice]:
    """Rows and columns of a piece of (height, width) in a larger picture, drawn unless given.

    Raises:
        ValueError: what is given lies outside the picture.
    """
    last_top, last_left = ice_size[0] - size[0], ice_size[1] - size[1]
    row = int(rng.integers(last_top)) if top is None else whole("top", top, 0, last_top)
    column = int(rng.integers(last_left)) if left is None else whole("left", left, 0, last_left)
    return slice(row, row + size[0]), slice(column, column + size[1])


def cut_enlarged(
    ice: Image,
    scale: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    top: int | None,
    left: int | None,
) -> Image:
    """A piece of (height, width) of a picture enlarged by a whole number, its place drawn or given.

    Raises:
        ValueError: what is given lies outside the enlarged picture.
    """
    enlarged = (ice.shape[0] * scale, ice.shape[1] * scale)
    return enlarged_cut(ice, scale, *choose_cut(enlarged, size, rng, top=top, left=left))


def covering(ice: Image, height: int, width: int) -> int:
    """The least whole number of times to enlarge a picture by for it to cover (height, width)."""
    cover: int = 1 + max(height // ice.shape[0], width // ice.shape[1])
    return cover


def _enlarged_size(picture: int, height: int, width: int) -> tuple[int, int]:
    ice_height, ice_width = frost_texture(picture).shape[:2]
    cover = _COVER * max(1.0, height / ice_height, width / ice_width)
    return math.ceil(ice_height * cover), math.ceil(ice_width * cover)


@lru_cache(maxsize=len(FROST_PICTURES))
def frost_picture(picture: int, height: int, width: int) -> Image:
    """One of FROST_PICTURES, enlarged to cover (height, width) 1.1 times; RGB, read-only."""
    size = _enlarged_size(picture, height, width)[::-1]
    enlarged: Image = np.asarray(
        cv2.resize(frost_texture(picture), size, interpolation=cv2.INTER_CUBIC), np.uint8
    )
    enlarged.flags.writeable = False
    return enlarged


def enlarged_cut(ice: Image, scale: int, rows: slice, columns: slice) -> Image:
    """A piece of a photograph enlarged bilinearly, without enlarging the rest of it.

    Args:
        ice: the photograph, RGB, (h, w, 3).
        scale: by which it is enlarged.
        rows: which rows of the enlarged photograph, from 0 to h scale.
        columns: which columns of it.
    """
    # One source pixel more on each side is all that bilinear interpolation can see.
    first_row, first_column = max(rows.start // scale - 1, 0), max(columns.start // scale - 1, 0)
    last_row, last_column = (rows.stop - 1) // scale + 1, (columns.stop - 1) // scale + 1
    piece = np.ascontiguousarray(ice[first_row : last_row + 1, first_column : last_column + 1])
    size = (piece.shape[1] * scale, piece.shape[0] * scale)
    enlarged = cv2.resize(piece, size, interpolation=cv2.INTER_LINEAR)
    above, before = first_row * scale, first_column * scale
    cut = enlarged[rows.start - above : rows.stop - above, columns.start - before :]
    return np.asarray(cut[:, : columns.stop - columns.start], np.uint8)


@lru_cache(maxsize=len(FROST_PICTURES))
def frost_texture(picture: int) -> Image:
    """One of FROST_PICTURES as it is in its file; RGB, read-only.

    Raises:
        ValueError: the file is damaged.
    """
    data = np.frombuffer((TEXTURES / FROST_PICTURES[picture]).read_bytes(), dtype=np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"{FROST_PICTURES[picture]} in {TEXTURES} is damaged; install it again.")
    texture: Image = np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
    texture.flags.writeable = False
    return texture


def lay_frost(image: Image, ice: Image, *, image_weight: float, frost_weight: float) -> Image:
    """Weighted sum of an image and a piece of ice of the same shape, clipped and rounded down."""
    frosted = np.empty(image.shape, dtype=np.uint8)
    _look_up(image, ice, _sums(image_weight, frost_weight), frosted)
    return frosted


@lru_cache(maxsize=8)
def _sums(image_weight: float, frost_weight: float) -> Image:
    """Results by byte of the image and byte of the ice, (256, 256): doubles, but only once."""
    levels = np.arange(256, dtype=np.uint8)
    sums = image_weight * levels[:, None] + frost_weight * levels
    return np.clip(sums, 0, 255).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _look_up(image: Image, ice: Image, sums: Image, frosted: Image) -> None:
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                frosted[row, column, channel] = sums[
                    image[row, column, channel], ice[row, column, channel]
                ]
