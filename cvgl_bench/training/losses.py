"""The losses of the reference methods: descriptors of pairs in, one number out.

Every function takes unit-length rows of the two views, (B, D) each and a pair a row, of the whole
batch of all processes. All are the mean of both directions, ground to aerial and aerial to ground.
They compute in float32 whatever the surroundings: 16-bit descriptors are taken as they are and
contrasted in float32, and autocast is off. A batch of one pair has nothing to be told apart from:
its loss is 0, and so are the gradients. Shapes that do not fit are a `ValueError`.
"""

from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def info_nce(
    ground: Tensor, aerial: Tensor, log_scale: Tensor, *, label_smoothing: float = 0.1
) -> Tensor:
    """Symmetric InfoNCE: each picture is to be told its pair among the batch's pictures.

    Args:
        ground: (B, D), unit length.
        aerial: (B, D), unit length.
        log_scale: logarithm of the factor on the cosines, a number; not clamped.
        label_smoothing: share of the target that is spread evenly over all B, in 0..1.

    Returns:
        The mean cross-entropy in nats, at least 0.

    Source: Deuser et al. 2023, arXiv:2303.11851, and its released code.
    """
    logits = _cosines(ground, aerial) * log_scale.exp()
    truth = torch.arange(len(logits), device=logits.device)
    there = cross_entropy(logits, truth, label_smoothing=label_smoothing)
    back = cross_entropy(logits.T, truth, label_smoothing=label_smoothing)
    return (there + back) / 2


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DualWeights:
    """What each of the six terms of dual discriminative learning counts; 0 leaves a term out.

    Source: Chen et al. 2026, arXiv:2603.09377, and its released code.

    Attributes:
        cross: whole panorama and north-up tile.
        ground_view: narrowed panorama and north-up tile.
        aerial_view: whole panorama and turned tile.
        both_views: narrowed panorama and turned tile.
        within_ground: whole and narrowed panorama.
        within_aerial: north-up and turned tile.
    """

    cross: Weight = 1.0
    ground_view: Weight = 0.25
    aerial_view: Weight = 0.25
    both_views: Weight = 0.25
    within_ground: Weight = 0.5
    within_aerial: Weight = 0.5


SINGEO_WEIGHTS = DualWeights()


def dual_discriminative(
    ground: Tensor,
    aerial: Tensor,
    ground_view: Tensor,
    aerial_view: Tensor,
    log_scale: Tensor,
    *,
    weights: DualWeights = SINGEO_WEIGHTS,
    label_smoothing: float = 0.1,
) -> Tensor:
    """SinGeo's loss: symmetric InfoNCE between and within the views, all with one temperature.

    Args:
        ground: whole panoramas, (B, D), unit length.
        aerial: north-up tiles, likewise.
        ground_view: turned and narrowed panoramas, likewise.
        aerial_view: turned tiles, likewise.
        log_scale: see `info_nce`.
        weights: of the six terms; their sum is not brought to 1.
        label_smoothing: see `info_nce`.

    Source: Chen et al. 2026, arXiv:2603.09377, and its released code.

    Not stated in the paper; chosen here:
        Every term is symmetric and they share one temperature, as in the released code.
    """
    terms = (
        (weights.cross, ground, aerial),
        (weights.ground_view, ground_view, aerial),
        (weights.aerial_view, ground, aerial_view),
        (weights.both_views, ground_view, aerial_view),
        (weights.within_ground, ground, ground_view),
        (weights.within_aerial, aerial, aerial_view),
    )
    losses = [
        weight * info_nce(one, other, log_scale, label_smoothing=label_smoothing)
        for weight, one, other in terms
        if weight
    ]
    if not losses:
        raise ValueError("none of the six terms has a weight")
    return torch.stack(losses).sum()


def semi_hard_triplet(ground: Tensor, aerial: Tensor, *, factor: float = 10.0) -> Tensor:
    """LRFR's loss: softplus(factor (d_pos - d_neg)) with one chosen negative for each picture.

    Distances are squared, d = 2 - 2 cos. Of the negatives that are nearer than the positive, the
    farthest is chosen; where none is nearer, the nearest of all.

    Args:
        ground: (B, D), unit length.
        aerial: (B, D), unit length.
        factor: on the difference of distances, above 0.

    Returns:
        The mean over pictures of both views, at least 0.

    Source: the code that was released for Gan et al. 2025, doi 10.1109/LGRS.2025.3543949.
    """
    distance = 2 - 2 * _cosines(ground, aerial)
    if len(distance) == 1:
        return 0 * distance.sum()
    return (_semi_hard(distance, factor) + _semi_hard(distance.T, factor)) / 2


def _semi_hard(distance: Tensor, factor: float) -> Tensor:
    positive = distance.diagonal()[:, None]
    with torch.no_grad():
        itself = torch.eye(len(distance), dtype=torch.bool, device=distance.device)
        nearest = distance.masked_fill(itself, torch.inf).argmin(dim=1)
        nearer = distance < positive
        farthest_nearer = distance.masked_fill(~nearer, -torch.inf).argmax(dim=1)
        chosen = torch.where(nearer.any(dim=1), farthest_nearer, nearest)[:, None]
    return softplus(factor * (positive - distance.gather(1, chosen))).mean()


def soft_margin_triplet(ground: Tensor, aerial: Tensor, *, factor: float = 10.0) -> Tensor:
    """softplus(factor (d_pos - d_neg)), the mean over all negatives of every picture.

    Args:
        ground: (B, D), unit length.
        aerial: (B, D), unit length.
        factor: on the difference of the squared distances d = 2 - 2 cos, above 0.

    Returns:
        The mean over pictures of both views and their B - 1 negatives, at least 0.

    Source: the alternative in the code that was released for Gan et al. 2025.
    """
    distance = 2 - 2 * _cosines(ground, aerial)
    if len(distance) == 1:
        return 0 * distance.sum()
    others = ~torch.eye(len(distance), dtype=torch.bool, device=distance.device)
    positive = distance.diagonal()
    there = softplus(factor * (positive[:, None] - distance))[others].mean()
    back = softplus(factor * (positive - distance))[others].mean()
    return (there + back) / 2


def _cosines(ground: Tensor, aerial: Tensor) -> Tensor:
    """(B, B), row k against column j, in float32 or better."""
    if ground.shape != aerial.shape or ground.ndim != 2 or not len(ground):
        raise ValueError(
            f"descriptors of {tuple(ground.shape)} and {tuple(aerial.shape)} are no batch of pairs"
        )
    dtype = torch.promote_types(torch.promote_types(ground.dtype, aerial.dtype), torch.float32)
    with torch.autocast(ground.device.type, enabled=False):
        return ground.to(dtype) @ aerial.to(dtype).T
