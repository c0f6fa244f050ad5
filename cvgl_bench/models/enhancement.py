"""MRGeo's spatial and channel modules, on feature maps (B, C, h, w)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad, scaled_dot_product_attention

Fusion = Literal["gated", "2:1", "1:1", "1:2"]
# Shares of the global and of the local path.
_SHARES = {"2:1": (2 / 3, 1 / 3), "1:1": (1 / 2, 1 / 2), "1:2": (1 / 3, 2 / 3)}
# So little a new branch adds at first that a trained backbone's features are kept.
_START = 0.01
_CHANNEL_KERNEL = 5
_EPSILON = 1e-6


def _in_float32(tensor: Tensor) -> torch.autocast:
    """A context without autocast, which would take softmax's arguments down to 16 bits."""
    return torch.autocast(tensor.device.type, enabled=False)


def global_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every place attends to every place.

    With row vectors q_i, k_j, v_j of d numbers, for each head by itself,

        out_i = sum_j softmax_j(q_i . k_j / sqrt(d)) v_j

    Args:
        query: (B, h, w, heads, d).
        key: likewise.
        value: likewise.

    Returns:
        (B, h, w, heads, d), float32.
    """
    return _attention(query, key, value, None)


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, *, neighbourhood: int, wraps: bool
) -> Tensor:
    """Every place attends to the square of places around it.

    The sum is that of `global_attention`, over the places of the square that exist, each once.
    Beyond the first and the last row there are none; beyond the first and the last column there
    are those of the other end if the map wraps, else none.

    Args:
        query: (B, h, w, heads, d).
        key: likewise.
        value: likewise.
        neighbourhood: side of the square, odd.
        wraps: the map's left and right edges are neighbours.

    Returns:
        (B, h, w, heads, d), float32.
    """
    near = _near(query.shape[1:3], neighbourhood // 2, query.device, wraps=wraps)
    return _attention(query, key, value, near)


def _attention(query: Tensor, key: Tensor, value: Tensor, near: Tensor | None) -> Tensor:
    """Attention among the places of maps, where `near`, (h w, h w), allows it."""
    q, k, v = (each.float().flatten(1, 2).transpose(1, 2) for each in (query, key, value))
    with _in_float32(query):
        # Maps of backbones are small: masking most of all products costs less than picking some.
        found = scaled_dot_product_attention(q, k, v, attn_mask=near)
    return found.transpose(1, 2).reshape(query.shape)


def _near(size: torch.Size, reach: int, device: torch.device, *, wraps: bool) -> Tensor:
    """Which places lie in the square around which, (h w, h w) of truth values."""
    rows, columns = (torch.arange(side, device=device) for side in size)
    down, across = ((side[:, None] - side).abs() for side in (rows, columns))
    if wraps:
        across = torch.minimum(across, size[1] - across)
    is_near = (down[:, None, :, None] <= reach) & (across[None, :, None, :] <= reach)
    return is_near.reshape(size.numel(), size.numel())


class SpatialAttention(nn.Module):
    """SARM: a global and a local attention path side by side, added to the map.

    With the normed tokens X, both paths having projections of their own (without bias),

        O = G + sigmoid(FC([G, L])) * L        "gated", the gate per token and channel
        O = a G + b L                          a : b fixed, a + b = 1
        X' = X + scale * O                     a learnt scale per channel, small at first

    Args:
        channels: of the map.
        heads: of both paths; divides the channels.
        neighbourhood: side of the local path's square, odd.
        fusion: how the paths are joined.
    """

    def __init__(self, channels: int, *, heads: int, neighbourhood: int, fusion: Fusion) -> None:
        super().__init__()
        self.heads, self.neighbourhood, self.fusion = heads, neighbourhood, fusion
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.global_projection = nn.Linear(channels, 3 * channels, bias=False)
        self.local_projection = nn.Linear(channels, 3 * channels, bias=False)
        if fusion == "gated":
            self.gate = nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _START))

    def forward(self, features: Tensor, *, wraps: bool) -> Tensor:
        """Attend over a map, (B, C, h, w); `wraps` if its left and right edges are neighbours."""
        tokens = self.norm(features.permute(0, 2, 3, 1))
        far = global_attention(*self._split(self.global_projection(tokens))).flatten(3)
        near = local_attention(
            *self._split(self.local_projection(tokens)),
            neighbourhood=self.neighbourhood,
            wraps=wraps,
        ).flatten(3)
        joined: Tensor = self.scale * self._joined(far, near)
        return features + joined.permute(0, 3, 1, 2)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = projected.reshape(*projected.shape[:3], 3, self.heads, -1).unbind(3)
        return query, key, value

    def _joined(self, far: Tensor, near: Tensor) -> Tensor:
        if self.fusion == "gated":
            gate: Tensor = self.gate(torch.cat([far, near], dim=-1))
            return far + gate.float().sigmoid() * near
        of_far, of_near = _SHARES[self.fusion]
        return of_far * far + of_near * near


class ChannelCalibration(nn.Module):
    """CCM: what the channels tell about each other, near ones and all of them, added everywhere.

    With f the normed mean of the map over its places, a vector of C numbers,

        l = Conv1D(f), h = Linear(f)
        B(M) = softmax(M, over each row) f
        X' = X + alpha (B(h l^T) + B(l h^T))   one learnt alpha, small at first

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.near = nn.Conv1d(1, 1, _CHANNEL_KERNEL, padding=_CHANNEL_KERNEL // 2)
        self.all = nn.Linear(channels, channels)
        self.alpha = nn.Parameter(torch.tensor(_START))

    def forward(self, features: Tensor) -> Tensor:
        """Calibrate a map, (B, C, h, w)."""
        with _in_float32(features):
            pooled = self.norm(features.float().mean((2, 3)))
            near, whole = self.near(pooled[:, None])[:, 0], self.all(pooled)
            # Attention among channels with one number each: the C x C maps are never held whole.
            asked, keys = torch.stack([whole, near], 1), torch.stack([near, whole], 1)
            q, k, v = map(_of_eight, (asked, keys, torch.stack([pooled, pooled], 1)))
            both = scaled_dot_product_attention(q, k, v, scale=1.0)[..., 0]
            calibrated: Tensor = self.alpha * both.sum(1)
        return features + calibrated[:, :, None, None]


def _of_eight(numbers: Tensor) -> Tensor:
    """Numbers as vectors of eight with seven noughts, which fused kernels take."""
    return pad(numbers[..., None], (0, 7))


class FullyConnected(nn.Module):
    """In place of CCM: X' = X + alpha FC(f), f as in `ChannelCalibration`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.all = nn.Linear(channels, channels)
        self.alpha = nn.Parameter(torch.tensor(_START))

    def forward(self, features: Tensor) -> Tensor:
        """Add to a map, (B, C, h, w), what a layer makes of its mean."""
        mixed: Tensor = self.alpha * self.all(self.norm(features.mean((2, 3))))
        return features + mixed[:, :, None, None]


class CrossCovariance(nn.Module):
    """In place of CCM: attention among channels by their covariance over the places.

    With Q, K, V the projections of the normed tokens, one row a channel, for each head by itself,

        X' = X + alpha softmax(t Q~ K~^T) V    rows of Q~, K~ of unit length, t learnt per head

    Source: El-Nouby et al. 2021, "XCiT: Cross-Covariance Image Transformers", NeurIPS, eq. 2; its
        patch interaction, feed-forward part and last projection are left out.

    Args:
        channels: of the map.
        heads: divides the channels.
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.projection = nn.Linear(channels, 3 * channels, bias=False)
        self.factor = nn.Parameter(torch.ones(heads, 1, 1))
        self.alpha = nn.Parameter(torch.tensor(_START))

    def forward(self, features: Tensor) -> Tensor:
        """Mix the channels of a map, (B, C, h, w)."""
        with _in_float32(features):
            tokens = self.norm(features.float().permute(0, 2, 3, 1)).flatten(1, 2)
            channels = self.projection(tokens).transpose(1, 2)
            query, key, value = channels.reshape(
                len(channels), 3, len(self.factor), -1, tokens.shape[1]
            ).unbind(1)
            likeness = normalize(query, dim=-1) @ normalize(key, dim=-1).transpose(-1, -2)
            mixed = (self.factor * likeness).softmax(-1) @ value
            added: Tensor = self.alpha * mixed.reshape(features.shape)
        return features + added


class EnhancementBlock(nn.Module):
    """SCEB: spatial attention, then channel calibration; either may be absent.

    Args:
        spatial: None leaves it out.
        channel: takes and returns a map; None leaves it out.
    """

    def __init__(self, spatial: SpatialAttention | None, channel: nn.Module | None) -> None:
        super().__init__()
        self.spatial, self.channel = spatial, channel

    def forward(self, features: Tensor, *, wraps: bool) -> Tensor:
        """Enhance a map, (B, C, h, w); `wraps` if its left and right edges are neighbours."""
        if self.spatial is not None:
            features = self.spatial(features, wraps=wraps)
        if self.channel is not None:
            features = self.channel(features)
        return features
