"""Checkpoints: a network's tensors and what it is made of, read strictly."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cvgl_bench.errors import ModelError, first_fault
from cvgl_bench.files import sha256_of_file, write_atomically
from cvgl_bench.models.config import Config

Tensors = Mapping[str, Tensor]
# One text beside the tensors: of several, safetensors would change the order from run to run.
ABOUT = "cvgl_bench"
_SHOWN = 3


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint's file holds.

    Attributes:
        path: the file.
        sha256: of its bytes.
        tensors: by name, float32 where they are numbers with a fraction.
        config: what the network is made of; None if the file does not say.
        training: how it was trained, if the file says so.
    """

    path: Path
    sha256: str
    tensors: Tensors
    config: Config | None
    training: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(
    path: Path,
    config: Config,
    tensors: Tensors,
    *,
    training: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a checkpoint as safetensors; the same content gives the same bytes.

    Args:
        path: the file.
        config: what the network is made of.
        tensors: its state.
        training: how it was trained; what JSON can hold.
        half: keep numbers with a fraction in 16 bits.

    Raises:
        DataError: the disk is full or the place cannot be written.
        ModelError: a number is too large for 16 bits.
    """
    plain = {key: _kept(value, half=half) for key, value in tensors.items()}
    about = {"config": config.model_dump(mode="json"), "training": dict(training or {})}
    text = json.dumps(about, sort_keys=True)
    write_atomically(path, save(plain, metadata={ABOUT: text}))


def _kept(tensor: Tensor, *, half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    if not (half and kept.is_floating_point()):
        return kept
    halved = kept.half()
    if not bool((halved.isfinite() == kept.isfinite()).all()):
        raise ModelError("the weights are too large for 16 bits: write them in 32.")
    return halved


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: safetensors, or a state dict that `torch.save` wrote.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint '{path}'.")
    digest = sha256_of_file(path)
    if path.suffix == ".safetensors":
        tensors, about = read_safetensors(path)
        if ABOUT not in about:
            return Checkpoint(path, digest, _in_full(tensors), None)
        config, training = _described(about[ABOUT], path)
        return Checkpoint(path, digest, _in_full(tensors), config, training)
    return Checkpoint(path, digest, _in_full(read_state_dict(path)), None)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and the texts beside them.

    Raises:
        ModelError: the file is damaged or cannot be read.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is not a safetensors file, or it is damaged.") from error


def _described(text: str, path: Path) -> tuple[Config, dict[str, Any]]:
    """What a file says of its network and of the training."""
    try:
        found = json.loads(text)
        return Config.model_validate(found["config"]), dict(found["training"])
    except ValidationError as error:
        fault = first_fault(error)
        raise ModelError(f"'{path}' describes a network that is not known here: {fault}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"what '{path}' says of itself is damaged: {error!r}") from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a table of tensors that `torch.save` wrote, and nothing that could run.

    Raises:
        ModelError: the file is damaged or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # On a damaged file the unpickler fails in any way, down to struct.error and AssertionError.
        raise ModelError(f"'{path}' is not a PyTorch checkpoint, or it is damaged.") from error
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) and _is_plain(value)
        for key, value in content.items()
    ):
        raise ModelError(f"'{path}' does not hold a plain table of tensors.")
    return dict(content)


def _is_plain(tensor: Tensor) -> bool:
    return not (tensor.is_meta or tensor.is_complex() or tensor.layout != torch.strided)


def _in_full(tensors: Tensors) -> dict[str, Tensor]:
    return {
        key: value.float() if value.is_floating_point() else value for key, value in tensors.items()
    }


def load_strictly(network: nn.Module, tensors: Tensors, source: Path, what: str) -> None:
    """Fill a network with tensors that must be its own, all of them and none besides.

    Args:
        network: to be filled.
        tensors: by the network's names.
        source: their file, for the message.
        what: the network, in words.

    Raises:
        ModelError: a tensor is missing, too much, or of another shape; lists which.
    """
    wanted = network.state_dict()
    differences = {
        "lacks": [key for key in wanted if key not in tensors],
        "has on top": [key for key in tensors if key not in wanted],
        "has in another shape": [
            key for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape
        ],
        "has of another kind of number": [
            key
            for key in wanted
            if key in tensors
            and tensors[key].is_floating_point() != wanted[key].is_floating_point()
        ],
    }
    worded = [
        f"{what_} {len(keys)} ({', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''})"
        for what_, keys in differences.items()
        if keys
    ]
    if worded:
        raise ModelError(
            f"'{source}' does not hold the {len(wanted)} tensors of {what}: it "
            f"{', '.join(worded)}. Is it another model's checkpoint?"
        )
    network.load_state_dict(dict(tensors), strict=True)
