"""MRGeo: a shared network whose features are enhanced over places and channels, then regions."""

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from cvgl_bench.errors import ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.adapter import Side
from cvgl_bench.models.config import FIRST_LOG_SCALE, Config, options_of
from cvgl_bench.models.enhancement import (
    ChannelCalibration,
    CrossCovariance,
    EnhancementBlock,
    FullyConnected,
    SpatialAttention,
)
from cvgl_bench.models.reference import Reference


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class MRGeoOptions:
    """What the paper's ablation table switches.

    Attributes:
        sarm: how the spatial attention's two paths are joined: by a learnt gate, or with fixed
            shares of the global and the local one; "none" leaves the module out.
        ccm: what works on the channels: the paper's calibration, a fully connected layer or
            XCiT's attention in its place, or nothing.
        rgam: describe four regions rather than the whole.
        blocks: how often SARM and CCM follow each other.
        neighbourhood: side of the square that the local path attends to.
        heads: of every attention; must divide the backbone's channels.
    """

    sarm: Literal["gated", "2:1", "1:1", "1:2", "none"] = "gated"
    ccm: Literal["calibration", "fc", "xcit", "none"] = "calibration"
    rgam: bool = True
    blocks: Annotated[int, Field(ge=1, le=8)] = 1
    neighbourhood: Literal[3, 5, 7, 9] = 3
    heads: Annotated[int, Field(ge=1)] = 1


class RegionAggregation(nn.Module):
    """RGAM: four regions of a map, in an order that fits panoramas to tiles.

    A panorama's map is cut into four strips, from left (south-west) to right (south-east), a
    tile's into four quadrants: bottom left, top left, top right, bottom right. Each region is its
    mean, normed by one layer that all regions share. A view narrower than a panorama has no known
    strips: each of its four parts is the mean of all of it.

    Args:
        norm: of C channels.
        regions: False describes the whole, as one region.
    """

    def __init__(self, norm: nn.LayerNorm, *, regions: bool) -> None:
        super().__init__()
        self.norm, self.regions = norm, regions

    def forward(self, features: Tensor, side: Side, *, is_whole: bool) -> Tensor:
        """Describe a map, (B, C, h, w); returns (B, 4 C), or (B, C) without regions.

        Args:
            features: where its sides cannot be divided, neighbouring regions share a row or column.
            side: which view it is of.
            is_whole: of the ground view, that it is a whole panorama.
        """
        if not self.regions:
            parts = features.mean((2, 3))[:, None]
        elif side == "aerial":
            top_left, top_right, bottom_left, bottom_right = (
                adaptive_avg_pool2d(features, (2, 2)).flatten(2).unbind(2)
            )
            parts = torch.stack([bottom_left, top_left, top_right, bottom_right], 1)
        elif is_whole:
            parts = adaptive_avg_pool2d(features, (1, 4)).flatten(2).transpose(1, 2)
        else:
            parts = features.mean((2, 3))[:, None].expand(-1, 4, -1)
        described: Tensor = self.norm(parts)
        return described.flatten(1)


class MRGeoNet(nn.Module):
    """A shared backbone, enhancement blocks on its last map, and the regions' aggregation.

    Args:
        config: backbone, sizes, and `MRGeoOptions`.
        pretrained: start from timm's weights.

    Raises:
        ModelError: an option is wrong, or the heads do not divide the channels.
    """

    def __init__(self, config: Config, *, pretrained: bool = False) -> None:
        super().__init__()
        options = options_of(MRGeoOptions, config)
        self.backbone = backbones.create(
            config.backbone, config.backbone_options, pretrained=pretrained
        )
        channels = backbones.channels(self.backbone)
        if channels % options.heads:
            raise ModelError(
                f"mrgeo's options: {options.heads} heads do not divide the {channels} channels of "
                f"'{config.backbone}'."
            )
        self.blocks = nn.ModuleList(_block(channels, options) for _ in range(options.blocks))
        norm = _last_norm_of(self.backbone, channels)
        self.aggregation = RegionAggregation(norm, regions=options.rgam)
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))

    def forward(self, images: Tensor, side: Side, *, fov_degrees: float = 360.0) -> Tensor:
        """Describe normalised pictures of one side, (B, 3, H, W).

        Returns:
            (B, 4 C), or (B, C) without regions; float32, of unit length.
        """
        is_whole = side == "ground" and fov_degrees >= 360
        features = backbones.feature_map(self.backbone, images).float()
        for block in self.blocks:
            features = block(features, wraps=is_whole)
        return normalize(self.aggregation(features, side, is_whole=is_whole).float(), dim=1)


def _block(channels: int, options: MRGeoOptions) -> EnhancementBlock:
    spatial = None
    if options.sarm != "none":
        spatial = SpatialAttention(
            channels,
            heads=options.heads,
            neighbourhood=options.neighbourhood,
            fusion=options.sarm,
        )
    channel: nn.Module | None = None
    if options.ccm == "calibration":
        channel = ChannelCalibration(channels)
    elif options.ccm == "fc":
        channel = FullyConnected(channels)
    elif options.ccm == "xcit":
        channel = CrossCovariance(channels, heads=options.heads)
    return EnhancementBlock(spatial, channel)


def _last_norm_of(backbone: nn.Module, channels: int) -> nn.LayerNorm:
    """The norm that ends a descriptor, which starts as the backbone's own where its head has one.

    The head is taken off: parameters without a gradient would halt training on several GPUs.
    """
    norm = nn.LayerNorm(channels, eps=1e-6)
    head = getattr(backbone, "head", None)
    if isinstance(head, nn.Module):
        trained = getattr(head, "norm", None)
        if isinstance(trained, nn.LayerNorm) and trained.normalized_shape == (channels,):
            norm.load_state_dict(trained.state_dict())
        backbone.head = nn.Identity()
    return norm


class MRGeo(Reference):
    """MRGeo (Wu, Bo, Ouyang, Zhu, AAAI 2026), a reading of the paper's published formulas.

    One network sees both views. On its last feature map, SARM lets every place attend to all
    places and, through a learnt gate, to its neighbours; CCM adds to all places what the channels
    tell about each other; RGAM puts the panorama's four strips and the tile's four quadrants in
    the same order. The descriptor has four times as many numbers as the backbone has channels. No
    code is public, so its authors' figures cannot be expected from this network.

    Narrow views have no strips that are known: each of their four parts is the mean of the whole
    view, so that a tile is compared by the mean of its quadrants. Whole panoramas are taken as
    they come, their centre for north: turned by an unknown angle, they are compared with the wrong
    quadrants, and the method has no remedy for it.

    Source: Wu et al. 2026, arXiv:2603.12587: the formulas and the ablation table of its poster.
        RGAM's mean and shared norm: FRGeo (Zhang et al., AAAI 2024), of the same group.

    Differs from the paper:
        The ablation with MFCM in CCM's place is not offered: what it is, is not described.

    Not stated in the paper; chosen here:
        Place: one block of SARM and CCM after the backbone's last stage.
        Attention: softmax and 1 / sqrt(d) in both paths; one head; a norm before each module and
            the map added after it; a neighbourhood of 3 x 3, which wraps around the seam of a
            whole panorama and is cut at all other edges. The backbone's own layers do not wrap.
        Symbols: the dot in the gate is read as concatenation, and the transpose of the values,
            which no product of these shapes could have, as a slip.
        Gate: a number for each token and channel. Ratios, in the gate's place: fixed shares of
            the global and the local path, which add up to one.
        CCM: the mean is normed; a kernel of 5 channels; B(M) is the softmax of M's rows, applied
            to the mean; one learnt alpha. "FC": one layer on the same mean.
        Start: what the modules add is scaled by 0.01 at first, and the last norm is the
            backbone's, so that training starts from the plain backbone.
        RGAM: maps that cannot be cut evenly have regions that share their border's row or column.
            In a narrow view that is padded, the mean includes the padding.
        Training: Sample4Geo's whole recipe, which the ablation's first row comes within half a
            point of; AugMix, of its last row, is an option.
    """

    name = "mrgeo"
    network_class = MRGeoNet
