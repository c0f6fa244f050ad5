"""The transforms of torchvision's v2."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from corruptions import CORRUPTIONS, PROFILES, parameters
from corruptions.gpu import corrupt_batch
from corruptions.inputs import as_rgb
from corruptions.transforms.pictures import check_tensor, corrupt_picture, picture_seed, wrapped

Picture = TypeVar("Picture")
_MOST = 2**63 - 1


def _is_array(value: object) -> bool:
    """Whether a sample's member is an array of pixels and not a label."""
    return isinstance(value, np.ndarray) and value.ndim >= 2


def _is_bare_tensor(value: object) -> bool:
    # A label among others is a tensor too: as torchvision has it, the first tensor is the picture.
    return isinstance(value, Tensor) and not isinstance(value, tv_tensors.TVTensor)


class _Corrupting(v2.Transform):  # type: ignore[misc, unused-ignore]
    """Finds the pictures of a sample, and draws a seed for each.

    Attributes:
        profile: "standard" or "published".
        seed: of what is drawn, together with the picture; None if torch's generator says.
    """

    _transformed_types = (
        tv_tensors.Image,
        tv_tensors.Video,
        PillowImage.Image,
        _is_bare_tensor,
        _is_array,
    )

    def __init__(self, profile: str, seed: int | None) -> None:
        super().__init__()
        if profile not in PROFILES:
            raise ValueError(f"The profile is one of {', '.join(PROFILES)}, not {profile!r}.")
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        if seed is not None and not (whole and seed >= 0):
            raise ValueError(f"The seed is a whole number from 0, or None, not {seed!r}.")
        self.profile, self.seed = profile, seed

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Refuse a sample without a picture.

        Raises:
            ValueError: there is none.
        """
        if not flat_inputs:
            raise ValueError("There is no picture in the sample: a tensor, array or Pillow's.")
        return {}

    def transform(self, inpt: object, params: dict[str, Any]) -> object:
        """Corrupt one input of a sample, a picture or a batch of them.

        Raises:
            ValueError: it is no picture as `corrupt_picture` takes it.
        """
        del params
        if not isinstance(inpt, Tensor):
            return self._corrupt(inpt, self._generator(inpt))
        check_tensor(inpt)
        pictures = inpt.as_subclass(Tensor).reshape(-1, *inpt.shape[-3:])
        made = self._corrupt_all(pictures, [self._generator(picture) for picture in pictures])
        return wrapped(inpt, made.reshape(inpt.shape))

    def _generator(self, picture: object) -> np.random.Generator:
        if self.seed is not None:
            return np.random.default_rng(picture_seed(self.seed, picture))
        # DataLoader gives torch's generator another state in each worker and epoch.
        return np.random.default_rng(int(torch.randint(_MOST, ()).item()))

    def _corrupt_all(self, pictures: Tensor, rngs: list[np.random.Generator]) -> Tensor:
        """Corrupt (B, 3, H, W), each picture with its own generator."""
        made = torch.empty_like(pictures, memory_format=torch.contiguous_format)
        for place, (picture, rng) in enumerate(zip(pictures, rngs, strict=True)):
            made[place] = self._corrupt(picture, rng)
        return made

    def _corrupt(self, picture: Picture, rng: np.random.Generator) -> Picture:
        raise NotImplementedError


class Corruption(_Corrupting):
    """One corruption at one severity.

    It takes what torchvision's v2 transforms take: a picture or a sample of any structure. Tensors
    are uint8 (..., 3, H, W), each picture of a batch with draws of its own; arrays are uint8
    (H, W, 3). A sample's boxes, masks, labels and texts stay as they are.

    Args:
        name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).
        profile: "standard" or "published".
        seed: the same picture is always corrupted in the same way, with the seed
            `picture_seed(seed, picture)`, whatever the worker, order and epoch; None draws from
            torch's generator.

    Raises:
        ValueError: an argument is not as described.
    """

    def __init__(
        self, name: str, severity: int, *, profile: str = "standard", seed: int | None = None
    ) -> None:
        super().__init__(profile, seed)
        parameters(name, severity)
        self.name, self.severity = name, int(severity)

    def _corrupt(self, picture: Picture, rng: np.random.Generator) -> Picture:
        return corrupt_picture(picture, self.name, self.severity, rng=rng, profile=self.profile)

    def _corrupt_all(self, pictures: Tensor, rngs: list[np.random.Generator]) -> Tensor:
        if pictures.device.type == "cpu":
            return super()._corrupt_all(pictures, rngs)
        return corrupt_batch(pictures, self.name, self.severity, rngs=rngs, profile=self.profile)


class RandomCorruption(_Corrupting):
    """With probability p, one of some corruptions at one of some severities, drawn a picture.

    Args:
        names: of CORRUPTIONS; None is all of them.
        severities: of 1 (mild) to 5 (severe).
        p: how probable it is that a picture is corrupted, 0..1.
        profile: "standard" or "published".
        seed: as `Corruption` has it.

    Raises:
        ValueError: an argument is not as described.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        severities: Sequence[int] = (1, 2, 3, 4, 5),
        p: float = 0.5,
        *,
        profile: str = "standard",
        seed: int | None = None,
    ) -> None:
        super().__init__(profile, seed)
        self.names = _listed("names", tuple(CORRUPTIONS) if names is None else names)
        self.severities = _listed("severities", severities)
        for name in self.names:
            for severity in self.severities:
                parameters(name, severity)
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability from 0 to 1, not {p!r}.")
        self.p = float(p)

    def _corrupt(self, picture: Picture, rng: np.random.Generator) -> Picture:
        if rng.random() >= self.p:
            return _in_colour(picture)
        name = self.names[rng.integers(len(self.names))]
        severity = self.severities[rng.integers(len(self.severities))]
        return corrupt_picture(picture, name, severity, rng=rng, profile=self.profile)


def _in_colour(picture: Picture) -> Picture:
    """A picture as it is, but RGB, as a corrupted one would be."""
    if isinstance(picture, Tensor):
        return picture
    pixels: Any = as_rgb(picture)
    found: Any = PillowImage.fromarray(pixels) if isinstance(picture, PillowImage.Image) else pixels
    return cast(Picture, found)


def _listed(what: str, given: Sequence[Picture]) -> tuple[Picture, ...]:
    if isinstance(given, (str, int)) or len(given) == 0:
        raise ValueError(f"{what} is a list of at least one, not {given!r}.")
    return tuple(given)
