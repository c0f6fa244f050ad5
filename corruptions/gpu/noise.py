"""Noise of the sensor, value for value that of `corruptions.noise`."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import number
from corruptions.gpu.chance import draw_keys, outcomes, words
from corruptions.gpu.tables import place
from corruptions.noise import gaussian_law, shot_law, speckle_law, tables_of
from corruptions.pixels import Floats

Rngs = Sequence[np.random.Generator]
_Law = Callable[[float], Floats]


def gaussian_noise(images: Tensor, rngs: Rngs, *, deviation: float) -> Tensor:
    """Add normal noise: `corruptions.noise.gaussian_noise` of every picture.

    Moves a key a picture to the device, and a table of 4 KB once.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        deviation: of the noise, where white is 1.
    """
    deviation = number("deviation", deviation, 1e-4, 100)
    drawn = _words(images, rngs)
    table = _on_device(gaussian_law, deviation, images.device)
    added = outcomes(table[drawn >> 23], drawn, 9) - 256
    return _planes((_values(images) + added).clamp(0, 255))


def shot_noise(images: Tensor, rngs: Rngs, *, photons: float) -> Tensor:
    """Count photons: `corruptions.noise.shot_noise` of every picture.

    Moves a key a picture to the device, and a table of 512 KB once.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        photons: counted at full brightness.
    """
    return _draw(images, rngs, shot_law, number("photons", photons, 0.01, 100_000))


def impulse_noise(images: Tensor, rngs: Rngs, *, amount: float) -> Tensor:
    """Lose values to black or white: `corruptions.noise.impulse_noise` of every picture.

    Moves a key a picture to the device.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        amount: share of the values that is lost, 0..1.
    """
    amount = number("amount", amount, 0, 1)
    black, changed = (min(round(share * 2**32), 2**32 - 1) for share in (amount / 2, amount))
    drawn = _words(images, rngs)
    extreme = torch.where(drawn < black, 0, 255)
    return _planes(torch.where(drawn < changed, extreme, _values(images)))


def speckle_noise(images: Tensor, rngs: Rngs, *, deviation: float) -> Tensor:
    """Add noise in proportion to the value: `corruptions.noise.speckle_noise` of every picture.

    Moves a key a picture to the device, and a table of 512 KB once.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        deviation: of the noise, relative to the value.
    """
    return _draw(images, rngs, speckle_law, number("deviation", deviation, 1e-4, 100))


def _draw(images: Tensor, rngs: Rngs, law: _Law, parameter: float) -> Tensor:
    drawn = _words(images, rngs)
    tables = _on_device(law, parameter, images.device)
    column = _values(images).to(torch.int64) * 256 + (drawn >> 24)
    return _planes(outcomes(tables[column], drawn, 8))


def _values(images: Tensor) -> Tensor:
    """Colours last, the order in which positions are counted."""
    return images.permute(0, 2, 3, 1)


def _planes(values: Tensor) -> Tensor:
    return values.to(torch.uint8).permute(0, 3, 1, 2).contiguous()


def _words(images: Tensor, rngs: Rngs) -> Tensor:
    """A word a value, (B, H, W, 3)."""
    keys = draw_keys(rngs, images.device)
    return words(keys, images[0].numel()).view(_values(images).shape)


@lru_cache(maxsize=40)
def _on_device(law: _Law, parameter: float, device: torch.device) -> Tensor:
    """The law's tables one behind the other, int64."""
    return place(tables_of(law, parameter).astype(np.int64).reshape(-1), device)
