"""A small two-branch network for CVTown, and the adapter that evaluates what was trained.

cvgl-bench evaluate SUITE --model benchmarks/town_model.py:TownNet --weights FILE

benchmarks/town_training.py writes the weights. The network is here to measure how hard CVTown is,
not to compete: it is as large as a processor trains in 20 minutes.
"""

import math
from pathlib import Path

import torch
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from cvgl_bench.models.checkpoint import load_strictly, read_checkpoint
from cvgl_bench.models.polar_transform import polar_transform

HEIGHT, FULL_WIDTH = 48, 256
STRIDE = 16
MEANS, WAVES, HARMONICS, CONTENTS = 64, 32, 3, 320
DIRECTED, UNDIRECTED = MEANS + 2 * HARMONICS * WAVES, 2 * CONTENTS
DIMENSIONS = DIRECTED + UNDIRECTED
# What a processor is quick at: no block at stride 4, small kernels, most work at stride 16.
_DEPTHS, _WIDTHS, _KERNEL = (0, 1, 4, 0), (32, 64, 192, 256), 3


class Branch(nn.Module):
    """One view into the common space: a ConvNeXt, then what it sees, by direction and at all.

    DIRECTED numbers say in which direction things are, coarsely: features averaged over all places,
    some of them also with the weights cos(k a) and sin(k a), a the direction of the place and k up
    to HARMONICS. UNDIRECTED ones say what there is, their mean and their maximum over all places.
    A part of a panorama looks in an unknown direction: it has the latter only, the rest is nought.
    Beside the colours a pixel has its row as a channel (Liu et al. 2018, arXiv:1807.03247).

    Source: Liu et al. 2022, arXiv:2201.03545, for ConvNeXt; timm's, with few blocks, small kernels
        and 16 pixels a feature.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ConvNeXt(
            in_chans=4,
            num_classes=0,
            depths=_DEPTHS,
            dims=_WIDTHS,
            kernel_sizes=_KERNEL,
            ls_init_value=None,  # from 1e-6 a block would take longer to wake than there is time
            output_stride=STRIDE,
        )
        self.norm = nn.LayerNorm(_WIDTHS[-1])
        self.head = nn.Linear(_WIDTHS[-1], MEANS + CONTENTS)
        # Takes away what all whole pictures share, and what all parts of panoramas do.
        self.whole, self.part = (nn.BatchNorm1d(DIMENSIONS, affine=False) for _ in range(2))

    def forward(self, images: Tensor, *, part: bool) -> Tensor:
        """Embed pictures; returns (B, DIMENSIONS) of unit length.

        Args:
            images: (B, 3, HEIGHT, W) in 0..1; directions from left to right, all around unless
                `part`.
            part: they look in an unknown direction.
        """
        features = self.trunk.forward_features(_with_rows(images))
        seen = self.head(self.norm(features.permute(0, 2, 3, 1))).float()
        contents = seen[..., MEANS:].flatten(1, 2)
        undirected = torch.cat([contents.mean(1), contents.amax(1)], dim=1)
        directed = _by_direction(seen[..., :MEANS])
        if part:
            directed = torch.zeros_like(directed)
        centre = self.part if part else self.whole
        return normalize(centre(torch.cat([directed, undirected], dim=1)), dim=1)


def _with_rows(images: Tensor) -> Tensor:
    """Centred colours and a channel of row numbers, -1 to 1; written where the network reads it."""
    count, _, height, width = images.shape
    channels = torch.empty(
        (count, 4, height, width), device=images.device, memory_format=torch.channels_last
    )
    torch.sub(images, 0.45, out=channels[:, :3]).mul_(4)
    channels[:, 3] = torch.linspace(-1, 1, height, device=images.device)[:, None]
    return channels


def _by_direction(seen: Tensor) -> Tensor:
    """Means of features, (B, h, w, MEANS), and harmonics of the first of them, (B, DIRECTED)."""
    columns = torch.arange(seen.shape[2], device=seen.device) + 0.5
    angles = columns[:, None] * (2 * math.pi / len(columns))
    turns = torch.arange(1, HARMONICS + 1, device=seen.device) * angles
    weights = torch.cat([turns.cos(), turns.sin()], dim=1) / len(columns)
    upright = seen.mean(1)
    waves = torch.einsum("bwc,wk->bkc", upright[..., :WAVES], weights)
    return torch.cat([upright.mean(1), waves.flatten(1)], dim=1)


class TwoBranch(nn.Module):
    """A branch for each side, no weight shared."""

    def __init__(self) -> None:
        super().__init__()
        self.ground, self.aerial = Branch(), Branch()
        self.to(memory_format=torch.channels_last)

    def encode_ground(self, images: Tensor) -> Tensor:
        """Embed views as `ground_input` returns them; returns (B, DIMENSIONS) of unit length."""
        embedded: Tensor = self.ground(images, part=images.shape[3] < FULL_WIDTH)
        return embedded

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Embed tiles as `aerial_input` returns them; returns (B, DIMENSIONS) of unit length."""
        embedded: Tensor = self.aerial(images, part=False)
        return embedded


def ground_input(images: Tensor) -> Tensor:
    """Resize views of any width, (B, 3, H, W), to HEIGHT rows and columns in whole STRIDEs.

    A panorama of CVUSA's shape becomes FULL_WIDTH columns, and a view of it as many as its share.
    """
    height, width = images.shape[2:]
    columns = max(1, round(width / height * HEIGHT / STRIDE - 0.25)) * STRIDE
    return interpolate(images, (HEIGHT, columns), mode="bilinear", antialias=True)


def aerial_input(images: Tensor) -> Tensor:
    """Unroll tiles, (B, 3, S, S), around their centres, north in the middle: FULL_WIDTH columns."""
    return polar_transform(images, HEIGHT, FULL_WIDTH)


class TownNet:
    """The trained network as an adapter.

    Args:
        weights: what benchmarks/town_training.py wrote.

    Raises:
        ModelError: the file is missing, damaged, or holds another network.
    """

    name = "townnet"
    preprocessing = (
        f"ground: to {HEIGHT} rows and the width that keeps the shape, in whole {STRIDE}s; aerial: "
        f"unrolled to {HEIGHT}x{FULL_WIDTH}; both: bilinear, (rgb - 0.45) * 4, rows as a channel"
    )

    def __init__(self, weights: Path) -> None:
        checkpoint = read_checkpoint(weights)
        self.weights_sha256 = checkpoint.sha256
        self.network = TwoBranch()
        load_strictly(self.network, checkpoint.tensors, weights, "TownNet's network")
        self.network.requires_grad_(False).eval()

    def encode_ground(self, images: Tensor) -> Tensor:
        """Embed views of any width, (B, 3, H, W); returns (B, DIMENSIONS)."""
        return self.network.encode_ground(ground_input(images))

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Embed north-up square tiles, (B, 3, S, S); returns (B, DIMENSIONS)."""
        return self.network.encode_aerial(aerial_input(images))
