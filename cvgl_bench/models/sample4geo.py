"""Sample4Geo: one shared network for both views, contrasted with hard negatives."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cvgl_bench.models import backbones
from cvgl_bench.models.adapter import Side
from cvgl_bench.models.config import FIRST_LOG_SCALE, Config
from cvgl_bench.models.reference import Reference

PAPERS_BACKBONE = "convnext_base.fb_in22k_ft_in1k_384"


class SharedEncoder(nn.Module):
    """One network without its classifier, its pooled and normed features being the descriptor.

    Its tensors have the names of the authors' checkpoints: timm's under `model.`, `logit_scale`.

    Args:
        config: backbone and sizes; there are no options.
        pretrained: start from timm's weights.
    """

    def __init__(self, config: Config, *, pretrained: bool = False) -> None:
        super().__init__()
        self.model = backbones.create(
            config.backbone, config.backbone_options, pretrained=pretrained
        )
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE))

    def forward(self, images: Tensor, side: Side, *, fov_degrees: float = 360.0) -> Tensor:  # noqa: ARG002
        """Describe normalised pictures of either side, (B, 3, H, W); returns (B, D)."""
        return normalize(self.model(images).float(), dim=1)


class Sample4Geo(Reference):
    """Sample4Geo (Deuser, Habel, Oswald, ICCV 2023), written from the paper's description.

    One ConvNeXt sees both views; the tile is neither unrolled nor is the panorama warped. All that
    distinguishes the method is its training (see `training.recipes`): symmetric InfoNCE with label
    smoothing, and batches of places that are near to each other, first on the map and then in the
    embedding. Checkpoints of its authors, and of ConGeo's, are read as they are (`--weights
    FILE.pth`): they hold convnext_base at 384 x 384 for tiles and 140 x 768 for panoramas.

    Source: Deuser et al. 2023, arXiv:2303.11851; code github.com/Skyy93/Sample4Geo.

    Differs from the paper:
        Pictures are resized by torch, bilinear without antialiasing as there; they are rounded to
        bytes afterwards in training only. Descriptors are evaluated in float32, not in 16 bits.
        Distances on the map are great circles; the released code takes degrees for radians.
        Weights are chosen on pairs held out of training, not on the test set. Augmentation is
        batch-wise (`training.augment`). bfloat16 needs no scaling of the loss, so there is none.

    Not stated in the paper; chosen here:
        A view of f degrees is resized to f / 360 of the panorama's columns, as ConGeo has it.
    """

    name = "sample4geo"
    network_class = SharedEncoder
    published = Config(method="sample4geo", backbone=PAPERS_BACKBONE)
