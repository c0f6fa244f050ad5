"""LRFR: a feature map gated by the relations between its places, aggregated by SALAD."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cvgl_bench.errors import ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.adapter import Side
from cvgl_bench.models.config import FIRST_LOG_SCALE, Config, options_of
from cvgl_bench.models.reference import Reference
from cvgl_bench.models.salad import Salad

PAPERS_BACKBONE = "convnext_tiny.fb_in1k"
_STRIDE = 16

Grid = tuple[int, int]
_Count = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class LRFROptions:
    """What LRFR's network has besides its backbone.

    Attributes:
        groups: that the channels are parted into for the attention; they must divide them.
        clusters: of SALAD.
        dims: numbers that describe a cluster; the descriptor has clusters * dims.
        hidden: width of SALAD's hidden layers.
        dropout: chance that a number of these layers is left out in training.
        iterations: of Sinkhorn's algorithm.
    """

    groups: _Count = 32
    clusters: _Count = 128
    dims: _Count = 64
    hidden: _Count = 512
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    iterations: _Count = 3


class Relation(nn.Module):
    """The relation branch of one view: what a place's affinities to all others say about it.

    The affinity of places i and j is A[i, j] = theta_i . phi_j. A place p has 2 N numbers: its
    column A[:, p], then its row A[p, :]. Two linear layers over them, each followed by batch norm
    and with nothing between them, then ReLU and sigmoid make its gate. The layers depend on the
    number of places, so they are made for one grid; maps of another size are resized to it, and
    the gate back.

    Source: Zhang et al. 2020, arXiv:1904.02998 (relation-aware attention), as LRFR's code has it.

    Args:
        grid: rows and columns of the map that the layers are made for.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        positions = grid[0] * grid[1]
        kept = max(1, positions // 2)
        self.mix = nn.Linear(2 * positions, kept, bias=False)
        self.mix_norm = nn.BatchNorm1d(kept)
        self.score = nn.Conv1d(kept, 1, 1, bias=False)
        self.score_norm = nn.BatchNorm1d(1)

    def forward(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Gate places by two maps of them, (B, c, h, w) each; returns (B, 1, h, w), 0.5 to 1."""
        left, right = (_resized(part, self.grid).flatten(2) for part in (theta, phi))
        # With the weights (U, V) of columns and rows, U A + V A^T = (U theta^T) phi + (V phi^T)
        # theta: so multiplied, the N x N affinities are never formed.
        of_columns, of_rows = self.mix.weight.chunk(2, dim=1)
        weights = torch.cat([of_columns @ left.mT, of_rows @ right.mT], dim=2)
        mixed = weights @ torch.cat([right, left], dim=1)
        scores = self.score_norm(self.score(self.mix_norm(mixed)).float())
        gates = scores.relu().sigmoid().reshape(-1, 1, *self.grid)
        return _resized(gates, theta.shape[2:])


def _resized(features: Tensor, size: Grid | torch.Size) -> Tensor:
    if features.shape[2:] == tuple(size):
        return features
    return interpolate(features, tuple(size), mode="bilinear")


class GSRA(nn.Module):
    """Grouped spatial relation attention: gates the places of each group of channels.

    Groups share all weights. The two views do as well, but for their `Relation`, whose size
    depends on the number of places.

    Args:
        channels: of the feature map.
        groups: that they are parted into, each of consecutive channels.
        grids: rows and columns of each view's map.
    """

    def __init__(self, channels: int, groups: int, grids: Mapping[Side, Grid]) -> None:
        super().__init__()
        self.groups = groups
        own = channels // groups
        self.direction = nn.Conv2d(own, own, 1)
        self.theta, self.phi = _embedding(own), _embedding(own)
        self.relations = nn.ModuleDict({side: Relation(grid) for side, grid in grids.items()})
        self.norm = nn.GroupNorm(own, own)

    def forward(self, features: Tensor, side: Side) -> Tensor:
        """Gate, norm and shuffle feature maps, (B, C, h, w); returns the same shape, float32."""
        batch, channels, rows, columns = features.shape
        own = channels // self.groups
        parts = features.reshape(batch * self.groups, own, rows, columns)
        down, across = self._directions(parts)
        relation = self.relations[side](self.theta(parts), self.phi(parts))
        gated: Tensor = self.norm(parts.float() * down.float() * across.float() * relation)
        return shuffled(gated.reshape(features.shape), self.groups)

    def _directions(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """Gates of the rows, (B, c, h, 1), and of the columns, (B, c, 1, w), 0 to 1."""
        rows, columns = parts.mean(dim=3, keepdim=True), parts.mean(dim=2, keepdim=True)
        both = self.direction(torch.cat([rows, columns.mT], dim=2)).sigmoid()
        down, across = both.split([rows.shape[2], columns.shape[3]], dim=2)
        return down, across.mT


def _embedding(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def shuffled(features: Tensor, groups: int) -> Tensor:
    """Put the groups' first channels first, then their second ones and so on; (B, C, ...)."""
    batch, channels, *size = features.shape
    parts = features.reshape(batch, groups, channels // groups, *size)
    return parts.transpose(1, 2).reshape(features.shape)


class LRFRNet(nn.Module):
    """LRFR's network: a backbone up to stride 16, GSRA, SALAD; one for both views.

    `logit_scale` is there because the losses of other methods want one. LRFR's own triplet loss
    does not use it, so it gets no gradient then.

    Args:
        config: backbone, sizes and `LRFROptions`. The attention is made for these sizes, and other
            ones are resized to them within it.
        pretrained: start the backbone from timm's weights.

    Raises:
        ModelError: an option is wrong, the groups do not divide the backbone's channels, or it
            does not take pictures of the configuration's sizes.
    """

    def __init__(self, config: Config, *, pretrained: bool = False) -> None:
        super().__init__()
        options = options_of(LRFROptions, config)
        self.backbone = backbones.create(
            config.backbone, config.backbone_options, pretrained=pretrained, stride=_STRIDE
        )
        channels = backbones.channels(self.backbone)
        if channels % options.groups:
            raise ModelError(
                f"{options.groups} groups do not divide the {channels} channels of "
                f"'{config.backbone}' at stride {_STRIDE}: set the option groups to one of "
                f"{', '.join(str(n) for n in range(1, channels + 1) if channels % n == 0)}."
            )
        grids: dict[Side, Grid] = {
            "ground": _grid(self.backbone, config.backbone, config.ground_size),
            "aerial": _grid(self.backbone, config.backbone, config.aerial_size),
        }
        self.attention = GSRA(channels, options.groups, grids)
        self.aggregation = Salad(
            channels,
            clusters=options.clusters,
            dims=options.dims,
            hidden=options.hidden,
            dropout=options.dropout,
            iterations=options.iterations,
        )
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))

    def forward(self, images: Tensor, side: Side, *, fov_degrees: float = 360.0) -> Tensor:  # noqa: ARG002
        """Describe normalised pictures of one side, (B, 3, H, W); returns (B, D) float32."""
        features = backbones.feature_map(self.backbone, images)
        described: Tensor = self.aggregation(self.attention(features, side))
        return described


def _grid(backbone: nn.Module, name: str, size: tuple[int, int]) -> Grid:
    """Rows and columns of the features of pictures of a size, without computing them."""
    shadow = deepcopy(backbone).to("meta").eval()
    try:
        with torch.no_grad():
            features = backbones.feature_map(shadow, torch.empty(1, 3, *size, device="meta"))
    except Exception as error:
        # A network says in its own way that a size does not fit it, down to an AssertionError.
        rows, columns = size
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(
            f"backbone '{name}' does not take pictures of {rows} x {columns} ({reason})."
        ) from error
    return features.shape[2], features.shape[3]


class LRFR(Reference):
    """LRFR (Gan et al., IEEE GRSL 2025), from its released code, which has University-1652 only.

    The places of the feature map gate themselves, in groups of channels: by direction (means over
    rows and columns) and by their relations to all others. SALAD sums them into clusters; a triplet
    loss with semi-hard negatives trains it (`training.losses`).

    Source: Gan et al. 2025, doi:10.1109/LGRS.2025.3543949; code github.com/WenjianGan/LRFR.

    Differs from the paper:
        The released network takes squares of one size for both views. Here each view has its own
        relation layers, made for its own grid, and shares all else.
        The weights that the backbone starts from are timm's of the same data, not torchvision's.
        ResNets end at stride 16 as well, not at 32.
        SALAD's case of no more places than clusters, which narrow views reach, is defined.

    Not stated in the paper; chosen here:
        Maps of another grid than that of training, as of narrow views, are resized to it for the
        relations, bilinear, and the gate back; a narrow view so fills the whole panorama's grid.
        The panorama's left and right edges are not joined.
        Training on panoramas: the released schedule for University-1652, but tiles are turned
            together with their panoramas and never alone, since these have a north. Sizes are
            Sample4Geo's. On several GPUs batch norm sees its own process's part of the batch.
    """

    name = "lrfr"
    network_class = LRFRNet
