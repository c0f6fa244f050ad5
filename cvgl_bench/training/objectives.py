"""From a batch of pictures to a loss: which views are made of it, and what is contrasted."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cvgl_bench.models.inputs import normalised, padded, resize_ground, view_columns
from cvgl_bench.models.reference import Network
from cvgl_bench.seeding import identity_seed
from cvgl_bench.training.augment import (
    augmix,
    flip_and_turn,
    narrowed,
    photometric,
    quarter_turned,
)
from cvgl_bench.training.losses import (
    DualWeights,
    dual_discriminative,
    info_nce,
    semi_hard_triplet,
    soft_margin_triplet,
)
from cvgl_bench.training.recipes import Recipe

Gather = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Views:
    """Normalised pictures of one batch; row k of each is the same place.

    Attributes:
        ground: whole panoramas, (B, 3, H, W).
        aerial: their tiles, (B, 3, S, S).
        ground_view: the panoramas turned by chance and narrowed, for "dual" only.
        aerial_view: the tiles turned by quarters, for "dual" only.
        fov_degrees: of `ground_view`.
        share: of the training that is over.
    """

    ground: Tensor
    aerial: Tensor
    ground_view: Tensor | None = None
    aerial_view: Tensor | None = None
    fov_degrees: float = 360.0
    share: float = 1.0


def make_views(
    recipe: Recipe,
    pictures: tuple[Tensor, Tensor],
    share: float,
    identity: tuple[str | int, ...],
    *,
    first: int = 0,
) -> Views:
    """Vary a batch's pictures as the recipe says.

    SinGeo's second views are made of the pair after it was mirrored and turned, with colours of
    their own; a narrow view is cut from the whole panorama, never rolled afterwards, since that
    would put a seam into it.

    Args:
        recipe: the training.
        pictures: panoramas and tiles, (B, 3, H, W) uint8 each, on the device.
        share: of the training that is over, in 0..1, for the curriculum.
        identity: what names the batch; all chance follows from it and a pair's place in it.
        first: place of the first of these pairs in the batch of all processes.
    """

    def seed(*what: str) -> int:
        return identity_seed("training", recipe.seed, *identity, *what) % 2**63

    ground, aerial = (images.float() / 255 for images in pictures)
    if recipe.flip_and_turn:
        ground, aerial = flip_and_turn(ground, aerial, seed("turn"), first=first)

    def varied(images: Tensor, which: str) -> Tensor:
        if recipe.augmix:
            images = augmix(images, seed(which, "augmix"), first=first)
        if recipe.photometric != "none":
            own = seed(which, "colours")
            images = photometric(images, own, strength=recipe.photometric, first=first)
        return images

    whole = normalised(varied(ground, "ground")), normalised(varied(aerial, "aerial"))
    if recipe.curriculum is None:
        return Views(*whole, share=share)
    stage = recipe.curriculum.at(share)
    columns = max(1, int(ground.shape[3] * stage.fov_degrees / 360))
    narrow = narrowed(varied(ground, "ground view"), columns, seed("direction"), first=first)
    if columns < view_columns(recipe.config, stage.fov_degrees):
        narrow = resize_ground(narrow, recipe.config, stage.fov_degrees)
    turned = quarter_turned(
        varied(aerial, "aerial view"), stage.rotation, seed("quarters"), first=first
    )
    # Padding comes after normalising: a nought is the mean colour, as in an evaluation.
    view = padded(normalised(narrow), recipe.config)
    return Views(*whole, view, normalised(turned), stage.fov_degrees, share)


class Objective(nn.Module):
    """A network with its loss: one forward pass a step, as data-parallel training wants it.

    Args:
        network: of one of the methods.
        recipe: names the loss.
        gather: makes the whole batch of all processes from this one's rows, (B, D) to (N B, D).
    """

    def __init__(self, network: nn.Module, recipe: Recipe, gather: Gather) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.gather = gather

    def forward(self, views: Views) -> Tensor:
        """Return the loss of the whole batch, a number."""
        network: Network = self.network  # type: ignore[assignment]
        ground = self.gather(network(views.ground, "ground"))
        aerial = self.gather(network(views.aerial, "aerial"))
        if self.recipe.loss == "triplet":
            is_early = views.share <= self.recipe.all_negatives
            return (soft_margin_triplet if is_early else semi_hard_triplet)(ground, aerial)
        smoothing, scale = self.recipe.label_smoothing, network.logit_scale
        if self.recipe.loss == "contrastive":
            return info_nce(ground, aerial, scale, label_smoothing=smoothing)
        if views.ground_view is None or views.aerial_view is None:
            raise TypeError("the loss 'dual' needs second views: the recipe has no curriculum")
        second = network(views.ground_view, "ground", fov_degrees=views.fov_degrees)
        ground_view = self.gather(second)
        aerial_view = self.gather(network(views.aerial_view, "aerial"))
        return dual_discriminative(
            ground,
            aerial,
            ground_view,
            aerial_view,
            scale,
            weights=DualWeights(),
            label_smoothing=smoothing,
        )


def gathered(rows: Tensor) -> Tensor:
    """Join the rows of all processes, with gradients; the rows themselves where there is one.

    Every process computes the whole batch's loss. The gradient that reaches a process's rows is
    then summed over as many equal losses as there are processes, and averaging the weights'
    gradients over the processes takes just that factor away again: the step is the one that a
    single process would make with the whole batch.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    parts: list[Tensor] = all_gather(rows)  # type: ignore[no-untyped-call]
    return torch.cat(parts)
