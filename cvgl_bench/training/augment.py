"""Pictures varied at random for training: colours, blur and holes, mirror images, turns, views.

All of it works on batches, on any device, and leaves what it was given as it is. What is drawn for
row k of a batch follows from the seed and `first` + k alone, never from a global random state, the
device or the batch's size: processes that share a batch out, and say where their part begins, draw
what a single one would. One seed gives two functions independent draws but two calls of one
function the same ones, so the two sides of a batch want seeds of their own.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import filter2d
from torch import Tensor

from cvgl_bench.errors import ModelError
from cvgl_bench.training.augmix import augmix
from cvgl_bench.training.chance import Change, changed, draws
from cvgl_bench.training.photometry import (
    MOST_HOLES,
    blurring,
    grid_of_holes,
    holed,
    hue_mixing,
    recoloured,
    saturation_mixing,
    scattered_holes,
    sharpening,
)

__all__ = ["Strength", "augmix", "flip_and_turn", "narrowed", "photometric", "quarter_turned"]

Strength = Literal["paper", "light"]


def photometric(
    images: Tensor, seed: int, *, strength: Strength = "paper", first: int = 0
) -> Tensor:
    """Vary colours, and with "paper" sharpness and what is seen too, each picture by itself.

    "paper" is Sample4Geo's list, in this order: JPEG of quality 90 to 100, for half of the
    pictures; brightness, contrast and saturation within 15 % and hue within 15 % of the circle,
    half; blurred or sharpened, three in ten; holes in a grid or anywhere, three in ten. "light" is
    a single recolouring of every picture: brightness, contrast and saturation within 15 %, and a
    cast that lets each of red, green and blue pass by 95 to 105 %.

    Source: Deuser et al. 2023, arXiv:2303.11851.

    Differs from the paper:
        All is done at the network's size, JPEG too, whose rounding is soft (kornia's
        differentiable codec). The hue is turned about the grey axis of RGB, not in HSV; the four
        changes of colour come in one order and are clamped once, at the end. Blur is an elongated
        Gaussian of any direction, with deviations of 0.2 to 1 pixels and no noise in its kernel.
        The grid of holes starts anywhere, and a hole's side is 0.4 to 0.5 of its pitch for both
        views (there 0.4 for tiles, 0.5 for panoramas).

    Args:
        images: float32 in 0..1, (B, 3, H, W), at least 8 pixels high and wide.
        seed: of the batch and the side.
        strength: "paper" or "light".
        first: place of the first picture in the whole batch.

    Returns:
        The like, in 0..1.
    """
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        for step in _STEPS[strength]:
            images = step(images, seed, first)
    return images


def flip_and_turn(
    ground: Tensor, aerial: Tensor, seed: int, *, first: int = 0
) -> tuple[Tensor, Tensor]:
    """Mirror half of the pairs, and turn three quarters of them by 90, 180 or 270 degrees.

    Both pictures of a pair are changed alike, so that they stay aligned: up in the tile is what
    the panorama's centre column looks at. Where 4 does not divide W, the panorama is turned by the
    nearest whole column.

    Args:
        ground: whole panoramas, (B, 3, H, W).
        aerial: their tiles, (B, 3, S, S).
        seed: of the batch.
        first: place of the first pair in the whole batch.

    Raises:
        ModelError: the tiles are not square.
    """
    chances = draws("flip and turn", seed, first, len(ground), 3)
    is_mirrored = chances[:, :1] < 0.5
    quarters = torch.where(chances[:, 1] < 0.75, 1 + (3 * chances[:, 2]).long(), 0)
    width = ground.shape[3]
    shifts = (quarters * width / 4).round().long()
    columns = (torch.arange(width) - shifts[:, None]) % width
    columns = torch.where(is_mirrored, width - 1 - columns, columns)
    tiles = changed(aerial, Change(is_mirrored[:, 0], partial(torch.flip, dims=(3,))))
    return _columns(ground, columns), _turned(tiles, quarters)


def narrowed(ground: Tensor, columns: int, seed: int, *, first: int = 0) -> Tensor:
    """Cut a view of so many columns out of each panorama, in a direction of its own.

    Args:
        ground: whole panoramas, (B, 3, H, W); a view may lie across their edges.
        columns: of the views, 1 to W.
        seed: of the batch.
        first: place of the first panorama in the whole batch.

    Returns:
        (B, 3, H, columns).

    Raises:
        ModelError: there are not so many columns.
    """
    width = ground.shape[3]
    if not 1 <= columns <= width:
        raise ModelError(f"a panorama of {width} columns has no view of {columns}.")
    starts = (draws("narrowed", seed, first, len(ground), 1) * width).long()
    return _columns(ground, (starts + torch.arange(columns)) % width)


def quarter_turned(aerial: Tensor, probability: float, seed: int, *, first: int = 0) -> Tensor:
    """Turn tiles by a quarter with some probability, half of them to either side.

    Args:
        aerial: tiles, (B, 3, S, S).
        probability: of being turned, 0 to 1.
        seed: of the batch.
        first: place of the first tile in the whole batch.

    Raises:
        ModelError: the tiles are not square.
    """
    chances = draws("quarter turned", seed, first, len(aerial), 2)
    sides = torch.where(chances[:, 1] < 0.5, 1, 3)
    return _turned(aerial, torch.where(chances[:, 0] < probability, sides, 0))


def _columns(ground: Tensor, columns: Tensor) -> Tensor:
    """Each panorama's columns, (B, C), in their order; returns (B, 3, H, C)."""
    index = columns.to(ground.device)[:, None, None, :]
    return ground.gather(3, index.expand(*ground.shape[:3], -1))


def _turned(aerial: Tensor, quarters: Tensor) -> Tensor:
    """Turn tiles clockwise by quarters, (B,)."""
    if aerial.shape[2] != aerial.shape[3]:
        raise ModelError(
            f"tiles of {aerial.shape[2]} x {aerial.shape[3]} pixels cannot be turned by quarters: "
            "they must be square."
        )
    return changed(
        aerial,
        *(
            Change(quarters == number, partial(torch.rot90, k=-number, dims=(2, 3)))
            for number in (1, 2, 3)
        ),
    )


def _tinted(images: Tensor, seed: int, first: int) -> Tensor:
    chances = draws("tinted", seed, first, len(images), 6)
    brightness, contrast, saturation = (0.85 + 0.3 * chances[:, :3]).unbind(1)
    cast = 0.95 + 0.1 * chances[:, 3:]
    return recoloured(images, brightness, contrast, cast[..., None] * saturation_mixing(saturation))


def _compressed(images: Tensor, seed: int, first: int) -> Tensor:
    chances = draws("compressed", seed, first, len(images), 2)
    quality = 90 + (11 * chances[:, 1]).floor()
    return changed(images, Change(chances[:, 0] < 0.5, jpeg_codec_differentiable, (quality,)))


def _jittered(images: Tensor, seed: int, first: int) -> Tensor:
    chances = draws("jittered", seed, first, len(images), 5)
    amounts = torch.where(chances[:, :1] < 0.5, 0.3 * chances[:, 1:] - 0.15, 0)
    brightness, contrast, saturation = (1 + amounts[:, :3]).unbind(1)
    mixing = hue_mixing(amounts[:, 3]) @ saturation_mixing(saturation)
    return recoloured(images, brightness, contrast, mixing)


def _filtered(images: Tensor, seed: int, first: int) -> Tensor:
    chances = draws("filtered", seed, first, len(images), 6)
    first_pair, second_pair = chances[:, 2:4], chances[:, 4:]
    blurs = blurring(0.2 + 0.8 * first_pair, math.pi * second_pair[:, 0])
    sharps = sharpening(0.2 + 0.3 * first_pair[:, 0], 0.5 + 0.5 * first_pair[:, 1])
    kernels = torch.where((chances[:, 1] < 0.5)[:, None, None], blurs, sharps)
    return changed(images, Change(chances[:, 0] < 0.3, filter2d, (kernels,))).clamp_(0, 1)


def _with_holes(images: Tensor, seed: int, first: int) -> Tensor:
    count, (height, width) = len(images), images.shape[2:]
    which = draws("holes", seed, first, count, 1)[:, 0]
    in_grid = draws("grid of holes", seed, first, count, 3)
    anywhere = draws("scattered holes", seed, first, count, 1 + 4 * MOST_HOLES)
    return changed(
        images,
        Change(which < 0.15, holed, grid_of_holes(in_grid, height, width)),
        Change((which >= 0.15) & (which < 0.3), holed, scattered_holes(anywhere, height, width)),
    )


_STEPS: dict[Strength, tuple[Callable[[Tensor, int, int], Tensor], ...]] = {
    "light": (_tinted,),
    "paper": (_compressed, _jittered, _filtered, _with_holes),
}
