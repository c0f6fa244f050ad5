"""What the reference models have in common: one network for both views, and its checkpoint."""

import importlib
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor, nn

from cvgl_bench.errors import ModelError
from cvgl_bench.models import MODELS
from cvgl_bench.models.adapter import Side
from cvgl_bench.models.checkpoint import Checkpoint, load_strictly, read_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.models.inputs import described, normalised, padded, resize_aerial, resize_ground


class Network(Protocol):
    """What a method's network is: an `nn.Module` made from a configuration.

    Attributes:
        logit_scale: logarithm of the factor that similarities are multiplied by in the loss.
    """

    logit_scale: nn.Parameter

    def __call__(self, images: Tensor, side: Side, *, fov_degrees: float = 360.0) -> Tensor:
        """Describe normalised pictures of one side, (B, 3, H, W); returns (B, D), unit length."""
        ...


class Encoders(nn.Module):
    """A method's network as the two encoders of an adapter.

    Args:
        network: the method's.
        config: what it is made of.
    """

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.name = config.method
        self.preprocessing = described(config)
        self.weights_sha256 = ""

    def encode_ground(self, images: Tensor, fov_degrees: float = 360.0) -> Tensor:
        """Describe views of so many degrees, (B, 3, H, W) in 0..1; returns (B, D)."""
        views = padded(normalised(resize_ground(images, self.config, fov_degrees)), self.config)
        embedded: Tensor = self.network(views, "ground", fov_degrees=fov_degrees)
        return embedded

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Describe north-up tiles, (B, 3, S, S) in 0..1; returns (B, D)."""
        embedded: Tensor = self.network(normalised(resize_aerial(images, self.config)), "aerial")
        return embedded


class Reference(Encoders):
    """A reference model as an adapter.

    Args:
        weights: its checkpoint; None takes the one that comes with the package.

    Attributes:
        network_class: the method's network, made from a `Config`.
        published: what the checkpoints of the method's authors are made of, which do not say it;
            None if there are none.

    Raises:
        ModelError: the checkpoint is missing, damaged, or another network's.
    """

    name: str
    network_class: ClassVar[type[nn.Module]]
    published: ClassVar[Config | None] = None

    def __init__(self, weights: Path | None = None) -> None:
        checkpoint = read_checkpoint(weights or shipped(self.name))
        config = self._config_of(checkpoint)
        network = self.network_class(config)
        load_strictly(network, checkpoint.tensors, checkpoint.path, f"a {config.backbone} network")
        super().__init__(network, config)
        self.weights_sha256 = checkpoint.sha256
        self.remarks = _remarks(checkpoint)
        self.requires_grad_(False)
        self.eval()

    def _config_of(self, checkpoint: Checkpoint) -> Config:
        config = checkpoint.config or self.published
        if config is None:
            raise ModelError(
                f"'{checkpoint.path}' does not say what network it holds: {self.name} reads "
                "checkpoints that `cvgl-bench train` wrote."
            )
        if config.method != self.name:
            raise ModelError(
                f"'{checkpoint.path}' is a checkpoint of {config.method}, not of {self.name}."
            )
        return config


def _remarks(checkpoint: Checkpoint) -> str:
    """What a record of such weights must say beside its numbers."""
    if checkpoint.config is None:
        return (
            "weights of another code's, whose sizes are taken to be the published ones for CVUSA "
            "and CVACT and whose epoch the published code chooses on the test split (CVACT: val)"
        )
    data = checkpoint.training.get("data")
    about = data if isinstance(data, dict) else {}
    if about.get("selected_on_test") != "yes":
        return ""
    split = str(about.get("selected_on"))[:64]
    return f"these weights were chosen by their R@1 on {split!r}, a split that is tested on"


def shipped(name: str) -> Path:
    """The checkpoint of a method that comes with the package.

    Raises:
        ModelError: there is none.
    """
    path = Path(str(files("cvgl_bench.models"))) / "checkpoints" / f"{name}.safetensors"
    if not path.is_file():
        raise ModelError(
            f"no checkpoint of '{name}' comes with this package: name one with --weights, or make "
            f"one with `cvgl-bench train {name}`."
        )
    return path


def network_class(method: str) -> type[nn.Module]:
    """The class of a method's network.

    Raises:
        ModelError: there is no reference model of that name.
    """
    module, _, class_name = MODELS.get(method, ":").partition(":")
    found = getattr(importlib.import_module(module), class_name) if module else None
    if not isinstance(found, type) or not issubclass(found, Reference):
        raise ModelError(f"'{method}' is no reference model that could be trained.")
    return found.network_class
