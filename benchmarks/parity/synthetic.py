"""A test picture that every version of numpy draws alike, because only whole numbers make it."""

import numpy as np
from numpy.typing import NDArray


def synthetic(height: int, width: int) -> NDArray[np.uint8]:
    """A picture with what corruptions stumble over, RGB, (height, width, 3).

    A white sky above, a black box, a grey box, a saturated box, colour ramps and fine texture.
    """
    row, column = np.ogrid[:height, :width]
    texture = ((row * 7919 + column * 104729) * (row + 3 * column + 11)) % 61
    down, across = row * 160 // height, column * 160 // width
    red = 40 + across + texture // 2
    green = 30 + down + (texture * 2) // 3
    blue = 60 + (across + down) // 3 + (column // 8 + row // 8) % 2 * 50
    image = np.stack(np.broadcast_arrays(red, green, blue), axis=-1).clip(0, 255)
    image[: height // 5] = 255
    boxes = {1: (0, 0, 0), 3: (128, 128, 128), 5: (250, 20, 5)}
    for place, colour in boxes.items():
        left, right = place * width // 8, (place + 1) * width // 8
        image[2 * height // 5 : 3 * height // 5, left:right] = colour
    return image.astype(np.uint8)


def uniforms(count: int) -> NDArray[np.float64]:
    """Numbers that look drawn, uniform in 0..1, the same on every machine, (count,).

    Source: the SplitMix64 mixer, Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
    """
    mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed >> np.uint64(32)).astype(np.float64) / 2.0**32


def normals(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers that look drawn from a normal distribution: each the sum of twelve uniforms."""
    count = int(np.prod(shape))
    sums: NDArray[np.float64] = uniforms(12 * count).reshape(12, count).sum(axis=0)
    return (sums - 6).reshape(shape)
