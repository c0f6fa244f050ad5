"""Frosted glass, value for value that of `corruptions.glass`, with all pixels at once.

There, a walk from the last pixel to the first overwrites every inner pixel p with its partner q. A
partner behind p has been overwritten before, so that p gets what q got; a partner before p is still
itself. So every pixel's source is found by going from partner to partner while these lie behind:
chains, which are followed for all pixels at once, twice as far with every round. A step of a chain
has a chance of less than 1/2, so that one of more than 128 steps, where following ends, will not
occur (less than 1 in 10 ** 38 a pixel); so no round has to ask the device whether all is done.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.gaussian import half_gaussian
from corruptions.glass import losses_of_blur
from corruptions.gpu.chance import words
from corruptions.gpu.sampling import mix_pairs
from corruptions.gpu.tables import place, precise
from corruptions.gpu.zooming import round_down

_ROUNDS = 7  # 2 ** 7 steps of a chain
# More than sums are off, in grey levels.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 4e-5}


def soften(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur, rounded down; edge pixels repeat beyond the edge.

    Args:
        images: (B, 3, H, W), uint8.
        sigma: in pixels; the kernel ends at four sigma.
    """
    real, weights = precise(images.device), half_gaussian(sigma)
    softened = torch.empty_like(images)
    for channel in range(3):  # for the memory's sake
        blurred = mix_pairs(mix_pairs(images[:, channel].to(real), 1, weights), 2, weights)
        softened[:, channel] = round_down(
            blurred, _ROUNDING[real], _losses_on(sigma, images.device)
        )
    return softened


@lru_cache(maxsize=16)
def _losses_on(sigma: float, device: torch.device) -> Tensor:
    return place(losses_of_blur(sigma), device)


def shuffle_pixels(images: Tensor, keys: Tensor, max_shift: int) -> Tensor:
    """Let every inner pixel be overwritten by one near it, the last one first.

    Args:
        images: (B, 3, H, W), uint8.
        keys: of `chance.draw_keys`, (B,).
        max_shift: partners are -max_shift..max_shift - 1 away on both axes.
    """
    pictures, _, height, width = images.shape
    even_width = width + width % 2
    drawn = words(keys, height * even_width).view(pictures, height, even_width)[..., :width]
    rows = ((drawn >> 16) * (2 * max_shift) >> 16) - max_shift
    columns = ((drawn & 0xFFFF) * (2 * max_shift) >> 16) - max_shift
    del drawn
    shifts = (rows * width + columns).mul_(_inner(height, width, max_shift, images.device))
    del rows, columns
    return walk(images, shifts)


def walk(images: Tensor, shifts: Tensor) -> Tensor:
    """Let every pixel, the last one first, be overwritten by its partner.

    Args:
        images: (B, 3, H, W), uint8.
        shifts: how much larger than a pixel's index, row by row, its partner's is, (B, H, W),
            int64; 0 for pixels that stay.
    """
    shifts = shifts.flatten(1)
    last = torch.arange(shifts.shape[1], device=images.device) + shifts.clamp(min=0)
    for _ in range(_ROUNDS):
        last = last.gather(1, last)
    source = last + shifts.gather(1, last)
    return torch.stack(
        [plane.flatten(1).gather(1, source) for plane in images.unbind(1)], dim=1
    ).view(images.shape)


@lru_cache(maxsize=16)
def _inner(height: int, width: int, max_shift: int, device: torch.device) -> Tensor:
    """1 where pixels travel, 0 in the frame where they stay; (H, W), int64."""
    inner = np.zeros((height, width), dtype=np.int64)
    first = max_shift + 1
    inner[first : height - max_shift + 1, first : width - max_shift + 1] = 1
    return place(inner, device)
