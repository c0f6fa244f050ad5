"""One picture of any kind, a tensor, an array or Pillow's, corrupted as that kind."""

import hashlib
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision import tv_tensors

from corruptions import as_rgb, corrupt
from corruptions.gpu import corrupt_batch
from corruptions.pixels import Image

Picture = TypeVar("Picture")


def corrupt_picture(
    picture: Picture,
    corruption_name: str,
    severity: int,
    *,
    rng: np.random.Generator | int | None = None,
    profile: str = "standard",
) -> Picture:
    """A corrupted copy of one picture, of the kind that it came as.

    Args:
        picture: a tensor, RGB, uint8, (3, H, W), on any device; a Pillow picture; or a numpy array,
            RGB, uint8, (H, W, 3), or what else `corruptions.as_rgb` takes.
        corruption_name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).
        rng: a generator, a seed, or None for a new one that no one can repeat.
        profile: "standard" or "published".

    Returns:
        RGB, uint8: a tensor on the same device, a Pillow picture or an array.

    Raises:
        ValueError: an argument is not as described.
    """
    found: Any = picture
    if isinstance(picture, Tensor):
        check_tensor(picture)
        if picture.ndim != 3:
            raise ValueError(f"One picture is (3, H, W), not {tuple(picture.shape)}.")
        found = wrapped(picture, _corrupt_tensor(picture, corruption_name, severity, rng, profile))
    else:
        pixels = corrupt(picture, corruption_name, severity, rng=rng, profile=profile)
        is_pillow = isinstance(picture, PillowImage.Image)
        found = PillowImage.fromarray(pixels) if is_pillow else pixels
    return found  # type: ignore[no-any-return]


def _corrupt_tensor(
    picture: Tensor,
    name: str,
    severity: int,
    rng: np.random.Generator | int | None,
    profile: str,
) -> Tensor:
    if picture.device.type != "cpu":
        rngs = [np.random.default_rng() if rng is None else rng]
        return corrupt_batch(picture[None], name, severity, rngs=rngs, profile=profile)[0]
    return _as_tensor(corrupt(_pixels(picture), name, severity, rng=rng, profile=profile))


def check_tensor(picture: Tensor) -> None:
    """Refuse a tensor that is not uint8, or not (..., 3, H, W).

    Raises:
        ValueError: it is not.
    """
    if picture.dtype != torch.uint8:
        raise ValueError(
            f"The picture must hold uint8 values 0..255, not {picture.dtype}: corrupt before "
            "v2.ToDtype(torch.float32, scale=True), or v2.ToDtype(torch.uint8, scale=True) first."
        )
    if picture.ndim < 3 or picture.shape[-3] != 3:
        last = picture.ndim >= 3 and picture.shape[-1] == 3
        hint = "torch.movedim(picture, -1, -3)" if last else "v2.RGB() makes grey ones so"
        raise ValueError(f"The picture must be (..., 3, H, W), not {tuple(picture.shape)}: {hint}.")


def wrapped(like: Tensor, made: Tensor) -> Tensor:
    """Give a tensor the class, such as tv_tensors.Image, of the one that it was made from."""
    found: Tensor = made if type(like) is Tensor else tv_tensors.wrap(made, like=like)
    return found


def _pixels(picture: Tensor) -> Image:
    """A tensor (3, H, W) as an array (H, W, 3)."""
    pixels: Image = picture.as_subclass(Tensor).detach().movedim(0, -1).cpu().numpy()
    return np.ascontiguousarray(pixels)


def _as_tensor(pixels: Image) -> Tensor:
    return torch.from_numpy(pixels).movedim(-1, 0).contiguous()


def picture_seed(seed: int, picture: object) -> int:
    """The seed of a picture's corruption from its content: the same wherever it comes up.

    Args:
        seed: of the transform.
        picture: what `corrupt_picture` takes.

    Returns:
        A number of 256 bits.
    """
    pixels = _pixels(picture) if isinstance(picture, Tensor) else as_rgb(picture)
    digest = hashlib.sha256(f"{seed},{pixels.shape}".encode())
    digest.update(pixels.tobytes())
    return int.from_bytes(digest.digest(), "big")
