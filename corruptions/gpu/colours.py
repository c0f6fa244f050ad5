"""Raising brightness at constant hue and saturation, by way of HSV in the precision it needs."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.gpu.tables import number, place, precise, to_bytes

# Which of (high, rising, falling, low) red, green and blue get, by sixth of the colour circle.
_SIXTHS = np.array([[0, 1, 3], [2, 0, 3], [3, 0, 1], [3, 2, 0], [1, 3, 0], [0, 3, 2]])


def raise_value(images: Tensor, added: float) -> Tensor:
    """Add to the V of HSV and clip: `corruptions.colours.raise_value` of every picture.

    The operations and their order are those of scikit-image's conversions, whose last bit decides
    how a result is rounded down that is a whole number.

    Args:
        images: (B, 3, H, W), uint8.
        added: to V, 0..1.
    """
    device, real = images.device, precise(images.device)
    units = images.to(real) / number(255, device)
    red, green, blue = units.unbind(1)
    value = units.amax(1)
    spread = value - units.amin(1)
    divisor = torch.where(spread > 0, spread, 1.0)
    hue = (green - blue) / divisor
    hue = torch.where(green == value, 2 + (blue - red) / divisor, hue)
    hue = torch.where(blue == value, 4 + (red - green) / divisor, hue)
    del units, red, green, blue, divisor
    hue = torch.remainder(hue / number(6, device), 1).mul_(6)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    del spread
    value = (value + added).clamp(0, 1)
    sextant = hue.floor()
    fraction = hue - sextant
    kinds = (
        value,
        value * (1 - (1 - fraction) * saturation),
        value * (1 - fraction * saturation),
        value * (1 - saturation),
    )
    choices = torch.stack([to_bytes((kind * 255).clamp(min=0)) for kind in kinds], dim=1)
    which = _sixths(device)[sextant.to(torch.int64) % 6]
    return choices.gather(1, which.permute(0, 3, 1, 2))


@lru_cache(maxsize=4)
def _sixths(device: torch.device) -> Tensor:
    return place(_SIXTHS.astype(np.int64), device)
