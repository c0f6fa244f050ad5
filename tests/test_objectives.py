from dataclasses import replace

import pytest
import torch
from torch import nn

from cvgl_bench.models.config import Config
from cvgl_bench.models.inputs import normalised
from cvgl_bench.training.losses import (
    DualWeights,
    dual_discriminative,
    info_nce,
    semi_hard_triplet,
    soft_margin_triplet,
)
from cvgl_bench.training.objectives import Objective, Views, gathered, make_views
from cvgl_bench.training.recipes import PRESETS

METHODS = ("sample4geo", "mrgeo", "singeo", "lrfr")
WIDTH = 96


def small(method, *, narrow="crop", **changes):
    config = Config(
        method=method,
        backbone="convnext_atto",
        ground_size=(32, WIDTH),
        aerial_size=(32, 32),
        narrow=narrow,
    )
    return replace(PRESETS["small"][method], config=config, **changes)


@pytest.fixture
def pictures():
    draw = torch.Generator().manual_seed(4)
    sizes = ((6, 3, 32, WIDTH), (6, 3, 32, 32))
    return tuple(torch.randint(0, 256, size, generator=draw, dtype=torch.uint8) for size in sizes)


def parts(views):
    return [part for part in vars(views).values() if isinstance(part, torch.Tensor)]


@pytest.mark.parametrize("photometric", ["paper", "light", "none"])
@pytest.mark.parametrize("method", METHODS)
def test_processes_that_share_a_batch_vary_it_as_one_would(method, photometric, pictures):
    recipe = small(method, photometric=photometric)
    whole = make_views(recipe, pictures, 0.4, (2, 7))
    halves = [
        make_views(recipe, tuple(p[first : first + 3] for p in pictures), 0.4, (2, 7), first=first)
        for first in (0, 3)
    ]
    assert len(parts(whole)) == (4 if method == "singeo" else 2)
    for joined, *split in zip(parts(whole), *map(parts, halves), strict=True):
        torch.testing.assert_close(joined, torch.cat(split), atol=1e-5, rtol=0)


def test_another_batch_or_seed_is_varied_in_another_way(pictures):
    recipe = small("singeo")
    first = make_views(recipe, pictures, 0.4, (0, 0))
    for other in (
        make_views(recipe, pictures, 0.4, (0, 1)),
        make_views(replace(recipe, seed=recipe.seed + 1), pictures, 0.4, (0, 0)),
    ):
        for one, another in zip(parts(first), parts(other), strict=True):
            assert not torch.equal(one, another)


def test_a_recipe_without_variation_gives_the_pictures_themselves(pictures):
    recipe = small("sample4geo", photometric="none", flip_and_turn=False)
    views = make_views(recipe, pictures, 0.5, (0, 0))
    assert torch.equal(views.ground, normalised(pictures[0].float() / 255))
    assert torch.equal(views.aerial, normalised(pictures[1].float() / 255))


@pytest.mark.parametrize(("share", "fov"), [(0.01, 357.1), (0.5, 215), (1.0, 70)])
def test_singeos_second_panorama_narrows(share, fov, pictures):
    views = make_views(small("singeo"), pictures, share, (0, 0))
    assert views.fov_degrees == pytest.approx(fov)
    assert views.ground.shape[3] == WIDTH
    assert views.ground_view.shape[3] == max(32, int(WIDTH * views.fov_degrees / 360))
    assert views.aerial_view.shape == views.aerial.shape


def test_a_transformers_narrow_view_lies_in_a_panorama_of_noughts(pictures):
    views = make_views(small("singeo", narrow="pad"), pictures, 0.5, (0, 0))
    assert views.ground_view.shape[3] == WIDTH
    empty = (views.ground_view == 0).flatten(0, 2).all(dim=0)
    assert empty.sum() == WIDTH - int(WIDTH * views.fov_degrees / 360)
    assert empty[0]
    assert empty[-1]


def test_augmix_changes_what_is_seen(pictures):
    plain = small("mrgeo", photometric="none")
    mixed = replace(plain, augmix=True)
    one, other = (make_views(recipe, pictures, 0.5, (0, 0)) for recipe in (plain, mixed))
    assert not torch.equal(one.ground, other.ground)
    assert one.ground.shape == other.ground.shape


class Echo(nn.Module):
    """Describes a picture by the means of its channels, of unit length."""

    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images, side, *, fov_degrees=360.0):
        return nn.functional.normalize(images.mean((2, 3)), dim=1)


@pytest.fixture
def views():
    draw = torch.Generator().manual_seed(1)
    return Views(*(torch.randn(5, 3, 4, 4, generator=draw) for _ in range(4)), 90.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_the_methods_own(method, views):
    network = Echo()
    recipe = small(method)
    loss = Objective(network, recipe, gathered)(views)
    rows = [network(part, "ground") for part in parts(views)]
    scale = network.logit_scale
    expected = {
        "contrastive": lambda: info_nce(*rows[:2], scale, label_smoothing=0.1),
        "dual": lambda: dual_discriminative(
            *rows, scale, weights=DualWeights(), label_smoothing=0.1
        ),
        "triplet": lambda: semi_hard_triplet(*rows[:2]),
    }
    assert loss.item() == pytest.approx(expected[recipe.loss]().item(), rel=1e-6)
    assert {"triplet": "lrfr", "dual": "singeo"}.get(recipe.loss, method) == method


def test_the_triplet_loss_takes_all_negatives_at_first(views):
    network, recipe = Echo(), replace(small("lrfr"), all_negatives=0.4)
    rows = [network(part, "ground") for part in parts(views)][:2]
    for share, loss in ((0.4, soft_margin_triplet), (0.41, semi_hard_triplet)):
        found = Objective(network, recipe, gathered)(replace(views, share=share))
        assert found.item() == pytest.approx(loss(*rows).item(), rel=1e-6)


def test_the_dual_loss_asks_for_second_views(views):
    objective = Objective(Echo(), small("singeo"), gathered)
    with pytest.raises(TypeError, match="second views"):
        objective(Views(views.ground, views.aerial))
