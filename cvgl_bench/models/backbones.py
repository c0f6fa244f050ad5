"""Backbones from timm: any of its networks, at any input size, as descriptors or feature maps."""

import difflib
from collections.abc import Mapping
from typing import Any, cast

import timm
from torch import Tensor, nn

from cvgl_bench.errors import ModelError

Options = Mapping[str, Any]
# What timm takes besides a network's form. A checkpoint's own options must not name other files.
_NOT_ARCHITECTURE = {
    "cache_dir",
    "checkpoint_path",
    "exportable",
    "feature_cls",
    "features_only",
    "in_chans",
    "no_jit",
    "num_classes",
    "out_indices",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "scriptable",
}
# What transformers need in order to take other sizes than the square one that they were made for,
# by the names that timm's several kinds have for it; others need nothing.
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"strict_img_size": False},
    {},
)


def create(
    name: str, options: Options, *, pretrained: bool = False, stride: int | None = None
) -> nn.Module:
    """Make a network of timm without its classifier.

    Args:
        name: timm's, such as "convnext_base.fb_in22k_ft_in1k_384".
        options: passed on to timm, such as {"depths": [1, 1, 3, 1]}.
        pretrained: load timm's weights, from its cache or over the network.
        stride: end with the last features of that stride, for `feature_map` only; None keeps the
            whole network.

    Raises:
        ModelError: timm has no such network, the options do not fit it, its weights cannot be
            had, or no features of it have that stride.
    """
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ModelError(f"timm {timm.__version__} has no network '{name}'.{guess}")
    if refused := sorted(_NOT_ARCHITECTURE & options.keys()):
        raise ModelError(f"backbone '{name}' takes no option {', '.join(refused)} here.")
    wanted = dict(options)
    if stride is not None:
        wanted |= {"features_only": True, "out_indices": (_last_of(name, options, stride),)}
    else:
        wanted["num_classes"] = 0
    return _made(name, wanted, pretrained=pretrained)


def _last_of(name: str, options: Options, stride: int) -> int:
    network = cast("Any", _made(name, options, pretrained=False))
    strides = [int(info["reduction"]) for info in getattr(network, "feature_info", ())]
    if stride not in strides:
        raise ModelError(f"backbone '{name}' has no features of stride {stride}, only {strides}.")
    return len(strides) - 1 - strides[::-1].index(stride)


def _made(name: str, options: Options, *, pretrained: bool) -> nn.Module:
    for size in _ANY_SIZE:
        try:
            return timm.create_model(name, pretrained=pretrained, **size, **options)
        except Exception as error:
            if isinstance(error, TypeError) and any(key in str(error) for key in size):
                continue
            # timm passes on what its cache, the network or the network's constructor raise.
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            if pretrained:
                raise ModelError(
                    f"the pretrained weights of '{name}' cannot be had ({reason}). They come from "
                    "timm's cache (HF_HOME) or over the network; start from chance instead with "
                    "--no-pretrained."
                ) from error
            raise ModelError(
                f"backbone '{name}' cannot be made with {dict(options)} ({reason})."
            ) from error
    raise AssertionError("the last of _ANY_SIZE adds nothing that could be refused")


def feature_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """Features of pictures by place, (B, C, h, w).

    Tokens of a transformer are put back where their patches were; class tokens are left out.

    Args:
        backbone: what `create` made.
        images: (B, 3, H, W), normalised.

    Raises:
        ModelError: the network gives neither maps nor tokens of a grid.
    """
    network = cast("Any", backbone)
    found = network.forward_features(images) if hasattr(network, "forward_features") else None
    features: Tensor = network(images)[0] if found is None else found
    if features.ndim == 4:
        # Swin and its kin put the channels last.
        is_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if is_last else features
    if features.ndim == 3 and hasattr(network, "patch_embed"):
        size = network.patch_embed.patch_size
        patch = (size, size) if isinstance(size, int) else size
        rows, columns = (-(-side // own) for side, own in zip(images.shape[2:], patch, strict=True))
        tokens = features[:, getattr(network, "num_prefix_tokens", 0) :]
        if tokens.shape[1] == rows * columns:
            by_channel: Tensor = tokens.transpose(1, 2)
            return by_channel.reshape(*by_channel.shape[:2], rows, columns)
    raise ModelError(f"a feature map was expected, not features of shape {tuple(features.shape)}.")


def channels(backbone: nn.Module) -> int:
    """Number of channels of a network's features."""
    network = cast("Any", backbone)
    if hasattr(network, "num_features"):
        return int(network.num_features)
    return int(network.feature_info.channels()[-1])
