"""The sixteen corruptions on batches of pictures, on any device torch has, values as on the CPU.

    worse = corrupt_batch(images, "fog", 3, rngs=[0, 1, 2, 3])

Every picture of a batch gets what `corruptions.corrupt` makes of it with the same generator, to
the same values (docs/corruptions-gpu.md says how nearly), whatever else is in the batch. Draws come
from the generators on the host, a few numbers a picture; fields of random numbers are hashed on the
device from a key and a position. A function of GPU_CORRUPTIONS or GPU_PUBLISHED has the signature
`function(images, rngs, *, named parameters)`, and its docstring says what it moves.

Only importing this package imports torch; `import corruptions` does not.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions import CORRUPTIONS, PROFILES, as_generator, parameters, unknown_name
from corruptions.gpu import blur, digital, noise, published, weather
from corruptions.inputs import check_size

__all__ = ["GPU_CORRUPTIONS", "GPU_PUBLISHED", "PIXELS_AT_ONCE", "corrupt_batch"]

_MODULE_OF = {
    name: module
    for module, names in {
        weather: ("snow", "frost", "fog", "brightness", "spatter"),
        blur: ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        noise: ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
        digital: ("contrast", "pixelate", "jpeg_compression"),
    }.items()
    for name in names
}

GPU_CORRUPTIONS: dict[str, Callable[..., Tensor]] = {
    name: getattr(_MODULE_OF[name], name) for name in CORRUPTIONS
}

# What stands in for them in the profile "published". Its defocus_blur is the standard one, which is
# within one grey level of it.
GPU_PUBLISHED: dict[str, Callable[..., Tensor]] = {
    "snow": published.snow,
    "frost": published.frost,
    "glass_blur": published.glass_blur,
    "motion_blur": published.motion_blur,
    "zoom_blur": published.zoom_blur,
}

_FUNCTIONS = {"standard": GPU_CORRUPTIONS, "published": GPU_CORRUPTIONS | GPU_PUBLISHED}

# A larger batch is worked through in parts, which bounds the memory; a part has a picture or more.
PIXELS_AT_ONCE = 1 << 23
_LEAST_PIXELS = 1 << 16  # that a picture counts for: fog makes a cloud of that many


def corrupt_batch(
    images: Tensor,
    corruption_name: str,
    severity: int | Sequence[int],
    *,
    rngs: Iterable[np.random.Generator | int],
    profile: str = "standard",
) -> Tensor:
    """Corrupted copies of a batch of pictures, on the device they are on.

    Beside the pictures and the result, at most 180 bytes are taken for each pixel of one picture or
    of PIXELS_AT_ONCE, whichever is more, and the tables that docs/corruptions-gpu.md lists. JPEG is
    that of the codec "pillow".

    Args:
        images: RGB, uint8, (B, 3, H, W), each picture of 16 pixels a side to 100 million in all, on
            any device; never modified.
        corruption_name: one of GPU_CORRUPTIONS.
        severity: 1 (mild) to 5 (severe), for all pictures or one for each.
        rngs: a generator or a seed for each picture, as `corruptions.corrupt` takes it; those that
            draw nothing leave it untouched.
        profile: "standard" or "published".

    Returns:
        RGB, uint8, (B, 3, H, W), of its own memory.

    Raises:
        ValueError: an argument is not as described.
    """
    _check_images(images)
    if profile not in PROFILES:
        raise ValueError(unknown_name("profile", profile, PROFILES))
    severities = _severities(severity, len(images))
    named = {one: parameters(corruption_name, one) for one in [1, *severities]}
    generators = _generators(rngs, len(images))
    function = _FUNCTIONS[profile][corruption_name]
    corrupted = torch.empty_like(images, memory_format=torch.contiguous_format)
    most = max(1, PIXELS_AT_ONCE // max(_LEAST_PIXELS, images.shape[2] * images.shape[3]))
    for one in sorted({*severities}):
        members = [place for place, other in enumerate(severities) if other == one]
        for first in range(0, len(members), most):
            part = members[first : first + most]
            rngs_of_part = [generators[place] for place in part]
            _corrupt_part(images, part, function, rngs_of_part, named[one], corrupted)
    return corrupted


def _corrupt_part(
    images: Tensor,
    part: list[int],
    function: Callable[..., Tensor],
    rngs: list[np.random.Generator],
    named: dict[str, Any],
    corrupted: Tensor,
) -> None:
    """Corrupt some pictures, by their places in the batch."""
    if part[-1] - part[0] + 1 == len(part):
        run = slice(part[0], part[-1] + 1)
        corrupted[run] = function(images[run], rngs, **named)
    else:
        index = torch.tensor(part, device=images.device)
        corrupted[index] = function(images[index], rngs, **named)


def _check_images(images: object) -> None:
    if not isinstance(images, Tensor):
        raise ValueError(f"The images must be a torch tensor, not {type(images).__name__}.")
    if images.dtype != torch.uint8:
        raise ValueError(
            f"The images must hold uint8 values 0..255, not {images.dtype}: if their range is "
            "0..1, (images * 255).round().to(torch.uint8)."
        )
    if images.ndim != 4 or images.shape[1] != 3:
        last = images.ndim == 4 and images.shape[3] == 3
        hint = " Put the channels second: images.permute(0, 3, 1, 2)." if last else ""
        raise ValueError(f"The images must be (B, 3, H, W), not {tuple(images.shape)}.{hint}")
    check_size(*images.shape[2:])


def _severities(severity: int | Sequence[int], pictures: int) -> list[int]:
    if isinstance(severity, (Sequence, np.ndarray)) and not isinstance(severity, str):
        if len(severity) != pictures:
            raise ValueError(
                f"There are {pictures} images and {len(severity)} severities: give one for all, "
                "or one for each."
            )
        return list(severity)
    if isinstance(severity, Tensor):
        raise ValueError("Severities must be a number or a list of them: severities.tolist().")
    return [severity] * pictures


def _generators(rngs: object, pictures: int) -> list[np.random.Generator]:
    if isinstance(rngs, (str, np.random.Generator)) or not isinstance(rngs, Iterable):
        raise ValueError(f"rngs must be a generator or seed for each image, not {rngs!r}.")
    given = [*rngs]
    if len(given) != pictures:
        raise ValueError(
            f"There are {pictures} images and {len(given)} generators: give one for each."
        )
    generators = [as_generator(rng) for rng in given]
    if len({id(rng) for rng in generators}) < len(generators):
        raise ValueError("The same generator is given twice: give each image one of its own.")
    return generators
