"""Checkpoints: a network's tensors and what it is made of, read strictly."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cvgl_bench.errors import ModelError, first_fault
from cvgl_bench.files import sha256_of_file, write_atomically
from cvgl_bench.models.config import Config

Tensors = Mapping[str, Tensor]
CONFIG, TRAINING = "cvgl_bench_config", "cvgl_bench_training"
_SHOWN = 3


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint's file holds.

    Attributes:
        path: the file.
        sha256: of its bytes.
        tensors: by name, float32 where they are numbers with a fraction.
        config: what the network is made of; None if the file does not say.
        training: how it was trained, as JSON; "" if the file does not say.
    """

    path: Path
    sha256: str
    tensors: Tensors
    config: Config | None
    training: str = ""


def write_checkpoint(
    path: Path, config: Config, tensors: Tensors, *, training: str = "", half: bool = False
) -> None:
    """Write a checkpoint as safetensors.

    Args:
        path: the file.
        config: what the network is made of.
        tensors: its state.
        training: how it was trained, as JSON.
        half: keep numbers with a fraction in 16 bits.

    Raises:
        DataError: the disk is full or the place cannot be written.
    """
    plain = {key: _kept(value, half=half) for key, value in tensors.items()}
    about = {CONFIG: config.model_dump_json(), TRAINING: training}
    write_atomically(path, save(plain, metadata=about))


def _kept(tensor: Tensor, *, half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    return kept.half() if half and kept.is_floating_point() else kept


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: safetensors, or a state dict that `torch.save` wrote.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint '{path}'.")
    digest = sha256_of_file(path)
    if path.suffix == ".safetensors":
        tensors, about = _read_safetensors(path)
        text = about.get(CONFIG)
        config = None if text is None else _parsed(text, path)
        return Checkpoint(path, digest, _in_full(tensors), config, about.get(TRAINING, ""))
    return Checkpoint(path, digest, _in_full(read_state_dict(path)), None)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is not a safetensors file, or it is damaged.") from error


def _parsed(text: str, path: Path) -> Config:
    try:
        return Config.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise ModelError(f"'{path}' describes a network that is not known here: {fault}") from error


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
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ModelError(f"'{path}' does not hold a plain table of tensors.")
    return dict(content)


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
