"""AugMix: every picture mixed with three chains of mild changes of itself."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.v2.functional import autocontrast, equalize

from cvgl_bench.training.chance import Change, changed, draws

CHAINS, LONGEST = 3, 3
# The kinds of change, in the order in which they are drawn.
AUTOCONTRAST, EQUALIZE, POSTERIZE, SOLARIZE, ROTATE, SHEAR_X, SHEAR_Y, SHIFT_X, SHIFT_Y = range(9)
KINDS = 9


def augmix(images: Tensor, seed: int, *, severity: float = 3.0, first: int = 0) -> Tensor:
    """Mix each picture with three chains of one to three changes of itself.

    A change is one of nine, none of which is among the benchmark's corruptions: autocontrast,
    equalising, 4 or fewer bits a colour, solarising, turning, shearing and shifting either way.
    The last five move panoramas and tiles out of line a little (at severity 3 by 9 degrees of
    image turn, or a tenth of a side, with black coming in); the unchanged picture stays in the mix.

    Source: Hendrycks et al. 2020, arXiv:1912.02781. Without its consistency loss.

    Differs from the paper:
        Turns and shears are about the picture's middle; levels are not rounded.

    Args:
        images: float32 in 0..1, (B, 3, H, W).
        seed: of the batch and the side.
        severity: the strongest change, on a scale to 10.
        first: place of the first picture in the whole batch.

    Returns:
        The like, in 0..1.
    """
    chances = draws("augmix", seed, first, len(images), 1 + CHAINS * (2 + 3 * LONGEST))
    # Of one weight each: Beta(1, 1) is uniform, Dirichlet(1, 1, 1) is three exponentials' shares.
    kept, chains = chances[:, 0], chances[:, 1:].reshape(len(images), CHAINS, -1)
    weights = -torch.log1p(-chains[:, :, 0])
    weights *= (1 - kept)[:, None] / weights.sum(dim=1, keepdim=True)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        mixed = _by_picture(kept, images) * images
        for number in range(CHAINS):
            weight = _by_picture(weights[:, number], images)
            mixed += weight * chained(images, chains[:, number, 1:], severity)
        return mixed.clamp_(0, 1)


def chained(images: Tensor, chances: Tensor, severity: float) -> Tensor:
    """Apply one to three changes to each picture.

    Args:
        images: (B, 3, H, W).
        chances: in [0, 1), (B, 10): how many changes; of each, its kind, level and side.
        severity: the strongest change, on a scale to 10.
    """
    length = 1 + (LONGEST * chances[:, 0]).long()
    for step in range(LONGEST):
        kind, level, side = chances[:, 1 + 3 * step :][:, :3].unbind(1)
        kinds = torch.where(step < length, (KINDS * kind).long(), -1)
        levels = (0.1 + (severity - 0.1) * level) / 10
        images = applied(images, kinds, torch.where(side < 0.5, levels, -levels))
    return images


def applied(images: Tensor, kinds: Tensor, levels: Tensor) -> Tensor:
    """Apply one change to each picture.

    Args:
        images: (B, 3, H, W).
        kinds: which change, (B,); -1 is none.
        levels: how strong, in -1..1, (B,); the sign is a side, where there are two.
    """
    strength = levels.abs()
    steps = 2 ** (4 - (4 * strength).floor())
    return changed(
        images,
        Change(kinds == AUTOCONTRAST, autocontrast),
        Change(kinds == EQUALIZE, equalize),
        Change(kinds == POSTERIZE, _posterized, (steps,)),
        Change(kinds == SOLARIZE, _solarized, (1 - strength,)),
        Change(kinds >= ROTATE, _warped, (warps(kinds, levels, *images.shape[2:]),)),
    )


def warps(kinds: Tensor, levels: Tensor, height: int, width: int) -> Tensor:
    """Matrices, (B, 2, 3), from a place in the new picture to one in the old.

    Places are measured from the middle, an edge being 1 away from it. At level 1 a picture is
    turned by 30 degrees, or moved by 0.3 rows a column (shears) or a third of its side.
    """

    def of(kind: int, most: float) -> Tensor:
        return torch.where(kinds == kind, most * levels, 0)

    angles, ratio = of(ROTATE, math.radians(30)), height / width
    matrices = torch.zeros(len(kinds), 2, 3).to(levels)
    matrices[:, 0, 0] = matrices[:, 1, 1] = angles.cos()
    matrices[:, 0, 1] = (of(SHEAR_X, 0.3) - angles.sin()) * ratio
    matrices[:, 1, 0] = (of(SHEAR_Y, 0.3) + angles.sin()) / ratio
    matrices[:, 0, 2], matrices[:, 1, 2] = of(SHIFT_X, 2 / 3), of(SHIFT_Y, 2 / 3)
    return matrices


def _posterized(images: Tensor, steps: Tensor) -> Tensor:
    steps = steps[:, None, None, None]
    return (images * steps).floor().minimum(steps - 1) / steps


def _solarized(images: Tensor, thresholds: Tensor) -> Tensor:
    return torch.where(images >= thresholds[:, None, None, None], 1 - images, images)


def _warped(images: Tensor, matrices: Tensor) -> Tensor:
    grid = affine_grid(matrices, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def _by_picture(numbers: Tensor, images: Tensor) -> Tensor:
    return numbers.to(images)[:, None, None, None]
