"""How each reference method is trained: one recipe a method and purpose, as numbers."""

import math
from dataclasses import replace
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvgl_bench.errors import ModelError, unknown
from cvgl_bench.models import lrfr, sample4geo
from cvgl_bench.models.config import Config
from cvgl_bench.training.curriculum import SINGEO, Curriculum

LINEAR_END = 0.05
_FROZEN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_FROZEN)
class Sampling:
    """Which places share a batch: neighbours on the map first, in the embedding later.

    Attributes:
        start: neighbours on the map, or any places together, until the embedding gives neighbours.
        nearest: so many of the nearest neighbours of a batch's first place come with it.
        drawn: and so many by chance from the further ones.
        among: neighbours kept a place.
        refresh_epochs: after so many epochs, neighbours are looked up in the embedding, and after
            as many again.
    """

    start: Literal["map", "random"] = "map"
    nearest: int = 32
    drawn: int = 32
    among: int = 128
    refresh_epochs: int = 4


@dataclass(frozen=True, config=_FROZEN)
class Recipe:
    """A training, whole.

    Attributes:
        config: the network.
        loss: "contrastive" (symmetric InfoNCE), "dual" (SinGeo's six) or "triplet" (LRFR's).
        epochs: passes over the training pairs.
        batch_size: pairs a step, on all processes together.
        learning_rate: the highest, of AdamW.
        weight_decay: of AdamW.
        schedule: "cosine" to nothing, or "linear" to 5 % of the highest.
        warm_up_epochs: over which the rate rises from nothing.
        clip_value: the largest absolute value of a gradient's element.
        label_smoothing: of the contrastive losses.
        all_negatives: share of the training, from its start, in which the triplet loss takes all
            negatives; after that it chooses one for each picture.
        pretrained: start from timm's weights.
        photometric: how colours are varied: "paper" as Sample4Geo does, "light" or "none".
        augmix: mix chains of augmentations in as well.
        flip_and_turn: mirror and turn both pictures of a pair alike.
        sampling: which places share a batch; None draws them at random.
        curriculum: how narrow and turned the second views of "dual" become.
        validate_every: epochs between two looks at the validation pairs.
        validation_fov: their queries' field of view, in an unknown direction; None for whole
            panoramas that are aligned.
        precision: "bf16" computes in bfloat16 where torch's autocast says that it is safe.
        seed: of the first weights and of every draw.
    """

    config: Config
    loss: Literal["contrastive", "dual", "triplet"]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    schedule: Literal["cosine", "linear"] = "cosine"
    warm_up_epochs: float = 1.0
    clip_value: float = 100.0
    label_smoothing: float = 0.1
    all_negatives: float = 0.0
    pretrained: bool = True
    photometric: Literal["paper", "light", "none"] = "paper"
    augmix: bool = False
    flip_and_turn: bool = True
    sampling: Sampling | None = None
    curriculum: Curriculum | None = None
    validate_every: int = 4
    validation_fov: float | None = None
    precision: Literal["bf16", "fp32"] = "bf16"
    seed: int = 1

    @property
    def method(self) -> str:
        """The method's name."""
        return self.config.method

    def rate_at(self, share: float) -> float:
        """Learning rate at a share of the training, in (0, 1]: a linear rise, then the schedule."""
        rise = self.warm_up_epochs / self.epochs
        if share < rise:
            return self.learning_rate * share / rise
        rest = (share - rise) / (1 - rise) if rise < 1 else 1.0
        if self.schedule == "linear":
            return self.learning_rate * (1 - (1 - LINEAR_END) * rest)
        return self.learning_rate * (1 + math.cos(math.pi * rest)) / 2


def _papers() -> dict[str, Recipe]:
    """Recipes for CVUSA and CVACT; sources and gaps are in each model's docstring."""
    contrastive = Recipe(
        config=Config(method="sample4geo", backbone=sample4geo.PAPERS_BACKBONE),
        loss="contrastive",
        epochs=40,
        batch_size=128,
        learning_rate=1e-3,
        sampling=Sampling(),
    )
    dual = Recipe(
        config=Config(method="singeo", backbone=sample4geo.PAPERS_BACKBONE),
        loss="dual",
        epochs=80,
        batch_size=16,
        learning_rate=1e-4,
        sampling=Sampling(),
        curriculum=SINGEO,
        validation_fov=180.0,
    )
    triplet = Recipe(
        config=Config(method="lrfr", backbone=lrfr.PAPERS_BACKBONE),
        loss="triplet",
        epochs=40,
        batch_size=32,
        learning_rate=1e-4,
        schedule="linear",
        warm_up_epochs=0.0,
    )
    config = contrastive.config.model_copy(update={"method": "mrgeo"})
    recipes = (contrastive, replace(contrastive, config=config), dual, triplet)
    return {recipe.method: recipe for recipe in recipes}


# A network that a processor is quick at, from chance: few blocks and none at stride 4, small
# kernels, and 16 pixels a feature, so that small pictures have more than a handful of them.
_SMALL_BACKBONE: dict[str, Any] = {
    "depths": [0, 1, 4, 0],
    "dims": [32, 64, 192, 256],
    "kernel_sizes": 3,
    "ls_init_value": None,
    "output_stride": 16,
}
# From chance, a network whose features are averaged over all places describes every picture almost
# alike (after 450 steps its descriptors had 2.3 effective dimensions, with the maximum 8.6 after
# 270). MRGeo averages over quarters, LRFR has an aggregation of its own.
_POOLED = {"global_pool": "max"}
_SMALL_OPTIONS: dict[str, dict[str, Any]] = {
    "mrgeo": {"heads": 4},
    "lrfr": {"groups": 16, "clusters": 24, "dims": 32, "hidden": 128},
}


def _small(paper: Recipe) -> Recipe:
    """The same method at CVTown's size, for two cores and a quarter of an hour.

    A network that knows nothing yet cannot tell neighbours apart, so batches are drawn at random
    until its own embedding says which places are alike.
    """
    config = Config(
        method=paper.method,
        backbone="convnext_atto",
        backbone_options=_SMALL_BACKBONE
        | (_POOLED if paper.method in ("sample4geo", "singeo") else {}),
        ground_size=(48, 256),
        aerial_size=(128, 128),
        antialias=True,
        options=_SMALL_OPTIONS.get(paper.method, {}),
    )
    sampling = paper.sampling
    if sampling is not None:
        sampling = replace(sampling, start="random", nearest=8, drawn=8, among=32)
    return replace(
        paper,
        config=config,
        epochs=10,
        batch_size=64,
        # By a look at a few epochs each, not by a search.
        learning_rate=1e-3 if paper.loss == "triplet" else 2e-3,
        weight_decay=0.05,
        schedule="cosine",
        warm_up_epochs=1.0,
        pretrained=False,
        # From chance, the nearest negatives alone pull all descriptors into one.
        all_negatives=0.4 if paper.loss == "triplet" else 0.0,
        photometric="light",
        sampling=sampling,
        validate_every=2,
    )


PRESETS: dict[str, dict[str, Recipe]] = {
    "paper": _papers(),
    "small": {method: _small(recipe) for method, recipe in _papers().items()},
}


def find_recipe(method: str, preset: str) -> Recipe:
    """Look a recipe up.

    Raises:
        ModelError: there is none.
    """
    if preset not in PRESETS:
        raise ModelError(unknown("preset", preset, PRESETS))
    if method not in PRESETS[preset]:
        raise ModelError(unknown("method to train", method, PRESETS[preset]))
    return PRESETS[preset][method]
