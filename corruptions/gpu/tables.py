"""Small tables that kernels look things up in, made once by numpy and kept on a device."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.pixels import unit_table


def precise(device: torch.device) -> torch.dtype:
    """64-bit floats, or 32-bit ones on Apple's devices (mps), which have no others.

    There, some values come out one grey level off; everywhere else they are the CPU functions'.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def place(array: NDArray[Any], device: torch.device) -> Tensor:
    """A copy of an array on a device; doubles in the precision that the device has."""
    if array.dtype == np.float64 and precise(device) is torch.float32:
        array = array.astype(np.float32)
    return torch.tensor(np.ascontiguousarray(array), device=device)


@lru_cache(maxsize=8)
def units(device: torch.device) -> Tensor:
    """Bytes 0..255 as numbers 0..1, (256,), float32."""
    return place(unit_table(), device)


@lru_cache(maxsize=16)
def number(value: float, device: torch.device) -> Tensor:
    """A number on the device, to divide by.

    By a Python number, torch divides on some devices as if multiplying by its inverse, which is
    rounded twice.
    """
    return place(np.array([value], dtype=np.float64), device)[0]


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """Entries of a one-dimensional table at whole numbers of any type, same shape as these."""
    return table[index.to(torch.int64)]


def to_bytes(values: Tensor) -> Tensor:
    """Numbers 0 and up, rounded down to bytes; what is above 255 becomes 255."""
    return values.clamp(max=255).to(torch.uint8)
