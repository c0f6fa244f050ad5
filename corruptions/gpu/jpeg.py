"""What baseline JPEG with 4:2:0 chroma leaves of pictures, in the whole numbers of libjpeg-turbo.

Colours, halved chroma, cosine transform, quantisation and all of it back; the Huffman code between
loses nothing and is left out. The transform is Loeffler, Ligtenberg and Moschytz's (1989,
"Practical fast 1-D DCT algorithms with 11 multiplications") with constants of 13 bits, as the
library's accurate one: between two roundings it is linear in whole numbers, so its products can be
added up in any order. Tables are those of ITU-T T.81, annex K.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import whole
from corruptions.gpu.sampling import take, within
from corruptions.gpu.tables import place

_BRIGHT = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101
72 92 95 98 112 100 103 99
"""
_COLOURED = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""
# Frequencies 0, 2, 4, 6 from sums of mirrored values, and 1, 3, 5, 7 from differences; times 8192.
_EVEN = (
    (8192, 8192, 8192, 8192),
    (10703, 4433, -4433, -10703),
    (8192, -8192, -8192, 8192),
    (4433, -10704, 10704, -4433),
)
_ODD = (
    (11363, 9633, 6437, 2260),
    (9633, -2259, -11362, -6436),
    (6437, -11362, 2261, 9633),
    (2260, -6436, 9633, -11363),
)
_EVEN_BACK = tuple(zip(*_EVEN, strict=True))


def recode(images: Tensor, quality: int) -> Tensor:
    """Encode and decode, (B, 3, H, W) to the same shape, uint8.

    Args:
        images: uint8, of 6 pixels a side or more.
        quality: libjpeg's, 1..100.

    Raises:
        ValueError: the quality is no whole number from 1 to 100.
    """
    quality = whole("quality", quality, 1, 100)
    height, width = images.shape[2:]
    bright, blue, red = _to_ycc(images)
    bright = _lossy(bright, _steps(_BRIGHT, quality, images.device))
    steps = _steps(_COLOURED, quality, images.device)
    half_width = (width + 1) // 2
    blue, red = (
        _enlarged(_lossy(_halved(plane), steps)[:, :, :half_width])[:, :height, :width]
        for plane in (blue, red)
    )
    return _to_rgb(bright, blue, red)


@lru_cache(maxsize=32)
def _steps(text: str, quality: int, device: torch.device) -> Tensor:
    """The table's quantisation steps at a quality, (8, 8), int32."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = (np.array(text.split(), dtype=np.int32) * scale + 50) // 100
    return place(table.clip(1, 255).reshape(8, 8), device)


def _to_ycc(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness and the two chroma planes, (B, H, W), int32."""
    red, green, blue = images.to(torch.int32).unbind(1)
    half, middle = 1 << 15, 128 << 16
    return (
        (19595 * red + 38470 * green + 7471 * blue + half) >> 16,
        (-11059 * red - 21709 * green + 32768 * blue + middle + half - 1) >> 16,
        (32768 * red - 27439 * green - 5329 * blue + middle + half - 1) >> 16,
    )


def _to_rgb(bright: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    blue, red, half = blue - 128, red - 128, 1 << 15
    colours = (
        bright + ((91881 * red + half) >> 16),
        bright + ((-22554 * blue - 46802 * red + half) >> 16),
        bright + ((116130 * blue + half) >> 16),
    )
    return torch.stack([plane.clamp(0, 255).to(torch.uint8) for plane in colours], dim=1)


def _halved(plane: Tensor) -> Tensor:
    """Means of 2 x 2 values, rounded up and down by turns.

    An odd row or column is doubled. To the right, columns are repeated before they are averaged, as
    the library does, up to whole blocks, which are returned; rows below are repeated afterwards.
    """
    height, width = plane.shape[1:]
    columns = within(width, 0, -width % 16, device=plane.device)
    plane = take(plane, 2, columns)
    if height % 2:
        plane = torch.cat([plane, plane[:, -1:]], dim=1)
    pairs = plane[:, ::2] + plane[:, 1::2]
    sums = pairs[:, :, ::2] + pairs[:, :, 1::2]
    rounding = torch.arange(sums.shape[2], device=plane.device, dtype=torch.int32) % 2 + 1
    return (sums + rounding) >> 2


def _enlarged(plane: Tensor) -> Tensor:
    """Twice as high and wide; a new value is 9 parts the nearest old one, 3, 3 and 1 the others."""
    height, width = plane.shape[1:]
    rows = within(height, 1, 1, device=plane.device)
    padded = take(plane, 1, rows)
    near, above, below = 3 * plane, padded[:, :-2], padded[:, 2:]
    tall = torch.stack([near + above, near + below], dim=2).flatten(1, 2)
    padded = take(tall, 2, within(width, 1, 1, device=plane.device))
    left = (3 * tall + padded[:, :, :-2] + 8) >> 4
    right = (3 * tall + padded[:, :, 2:] + 7) >> 4
    return torch.stack([left, right], dim=3).flatten(2, 3)


def _lossy(plane: Tensor, steps: Tensor) -> Tensor:
    """A plane of bytes through quantised frequencies of 8 x 8 blocks and back."""
    height, width = plane.shape[1:]
    plane = take(plane, 1, within(height, 0, -height % 8, device=plane.device))
    plane = take(plane, 2, within(width, 0, -width % 8, device=plane.device))
    # (B, rows of blocks, 8, columns of blocks, 8)
    blocks = plane.reshape(len(plane), plane.shape[1] // 8, 8, plane.shape[2] // 8, 8) - 128
    frequencies = _forward(_forward(blocks, 4, 11), 2, 15)
    steps = steps[:, None]
    eighths = 8 * steps
    size = torch.div(frequencies.abs() + eighths // 2, eighths, rounding_mode="floor")
    frequencies = size * frequencies.sign() * steps
    values = _back(_back(frequencies, 2, 11), 4, 18) + 128
    return values.clamp(0, 255).flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _forward(blocks: Tensor, dim: int, bits: int) -> Tensor:
    """Eight values along a dimension to eight frequencies, over 2 ** bits, rounded."""
    eight = blocks.unbind(dim)
    sums = [eight[place] + eight[7 - place] for place in range(4)]
    differences = [eight[place] - eight[7 - place] for place in range(4)]
    even, odd = _products(_EVEN, sums), _products(_ODD, differences)
    both = [part for pair in zip(even, odd, strict=True) for part in pair]
    half = 1 << (bits - 1)
    return torch.stack([(part + half) >> bits for part in both], dim)


def _back(frequencies: Tensor, dim: int, bits: int) -> Tensor:
    """The way back, over 2 ** bits, rounded."""
    eight = frequencies.unbind(dim)
    even, odd = _products(_EVEN_BACK, eight[::2]), _products(_ODD, eight[1::2])
    half = 1 << (bits - 1)
    first = [(one + other + half) >> bits for one, other in zip(even, odd, strict=True)]
    last = [(one - other + half) >> bits for one, other in zip(even, odd, strict=True)]
    return torch.stack(first + last[::-1], dim)


def _products(
    matrix: tuple[tuple[int, ...], ...], vector: list[Tensor] | tuple[Tensor, ...]
) -> list[Tensor]:
    """A matrix of whole numbers times a vector of four planes."""
    return [
        sum(weight * part for weight, part in zip(row[1:], vector[1:], strict=True))
        + row[0] * vector[0]
        for row in matrix
    ]
