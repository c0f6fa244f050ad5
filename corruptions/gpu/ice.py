"""Pieces of the ice photographs that frost lays over pictures, kept on a device."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.gpu.tables import look_up, place
from corruptions.ice import (
    _MOST_KEPT,
    FROST_PICTURES,
    _enlarged_size,
    _sums,
    choose_cut,
    choose_picture,
    covering,
    cut_enlarged,
    frost_picture,
    frost_texture,
)


def cut_frost(height: int, width: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Draw a photograph and a piece of it, as `corruptions.ice.cut_frost`: (3, height, width)."""
    picture, size = choose_picture(rng, None), (height, width)
    ice_size = _enlarged_size(picture, height, width)
    if ice_size[0] * ice_size[1] <= _MOST_KEPT:
        rows, columns = choose_cut(ice_size, size, rng, top=None, left=None)
        return _frost_picture_on(picture, height, width, device)[:, rows, columns]
    ice = frost_texture(picture)
    cut = cut_enlarged(ice, covering(ice, height, width), size, rng, top=None, left=None)
    return place(cut, device).permute(2, 0, 1)


@lru_cache(maxsize=len(FROST_PICTURES))
def _frost_picture_on(picture: int, height: int, width: int, device: torch.device) -> Tensor:
    return place(frost_picture(picture, height, width), device).permute(2, 0, 1).contiguous()


def lay_frost(images: Tensor, ice: Tensor, *, image_weight: float, frost_weight: float) -> Tensor:
    """Weighted sums of pictures and pieces of ice, (B, 3, H, W), clipped and rounded down."""
    sums = _sums_on(image_weight, frost_weight, images.device)
    return look_up(sums, images.to(torch.int64).mul_(256).add_(ice))


@lru_cache(maxsize=16)
def _sums_on(image_weight: float, frost_weight: float, device: torch.device) -> Tensor:
    """Results by byte of the picture times 256, plus byte of the ice."""
    return place(_sums(image_weight, frost_weight).reshape(-1), device)
