"""Sixteen ways to make a picture worse, at five severities each: numpy in, numpy out.

    image = corrupt(image, "fog", 3, rng=np.random.default_rng(0))

The definitions are ImageNet-C's (Hendrycks and Dietterich 2019, arXiv:1903.12261), for images of
any shape from 16 x 16 pixels. A function of CORRUPTIONS has the signature
`function(image, rng, *, named parameters)`; severities.toml holds the parameters of each severity.
"""

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from corruptions.digital import contrast, jpeg_compression, pixelate
from corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from corruptions.pixels import Image
from corruptions.weather import brightness, fog, frost, snow, spatter

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CORRUPTIONS",
    "DETERMINISTIC",
    "FAMILIES",
    "FAMILY_OF",
    "SEVERITIES",
    "Image",
    "corrupt",
    "parameters",
]

# In the order of the columns of published tables.
FAMILIES: dict[str, tuple[str, ...]] = {
    "weather": ("snow", "frost", "fog", "brightness", "spatter"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "digital": ("contrast", "pixelate", "jpeg_compression"),
}

FAMILY_OF: dict[str, str] = {name: family for family, names in FAMILIES.items() for name in names}

CORRUPTIONS: dict[str, Callable[..., Image]] = {
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "spatter": spatter,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "speckle_noise": speckle_noise,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
}

# These take a generator like the others and leave it untouched.
DETERMINISTIC = frozenset(
    {"brightness", "defocus_blur", "zoom_blur", "contrast", "pixelate", "jpeg_compression"}
)

_SMALLEST_SIDE = 16


def _read_severities() -> dict[str, dict[str, tuple[float, ...]]]:
    """The tables of severities.toml: corruption -> parameter -> five values."""
    text = (Path(__file__).parent / "severities.toml").read_text(encoding="utf-8")
    return {
        name: {parameter: tuple(values) for parameter, values in table.items()}
        for name, table in tomllib.loads(text).items()
    }


SEVERITIES: dict[str, dict[str, tuple[float, ...]]] = _read_severities()


def parameters(name: str, severity: int) -> dict[str, float | int]:
    """The named parameters a corruption has at a severity.

    Args:
        name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).

    Raises:
        ValueError: there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        close = difflib.get_close_matches(str(name), CORRUPTIONS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown corruption {name!r}.{hint} Known: {', '.join(CORRUPTIONS)}.")
    whole = isinstance(severity, (int, np.integer)) and not isinstance(severity, bool)
    if not whole or not 1 <= severity <= 5:
        raise ValueError(f"Severity must be a whole number from 1 to 5, not {severity!r}.")
    return {parameter: values[severity - 1] for parameter, values in SEVERITIES[name].items()}


def corrupt(image: Image, name: str, severity: int, *, rng: np.random.Generator) -> Image:
    """A corrupted copy of an image.

    Args:
        image: RGB, uint8, (H, W, 3), H and W at least 16; never modified.
        name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).
        rng: the only source of chance: the same image, name, severity and generator state give the
            same result. Those in DETERMINISTIC leave it untouched.

    Returns:
        RGB, uint8, (H, W, 3).

    Raises:
        ValueError: an argument is not as described.
    """
    named = parameters(name, severity)
    _check_image(image)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng must be a numpy.random.Generator, not {type(rng).__name__}: "
            "pass numpy.random.default_rng(seed)."
        )
    return CORRUPTIONS[name](np.ascontiguousarray(image), rng, **named)


def _check_image(image: object) -> None:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"The image must be a numpy array, not {type(image).__name__}.")
    if image.dtype != np.uint8:
        raise ValueError(f"The image must hold uint8 values 0..255, not {image.dtype}.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"The image must be RGB, (H, W, 3), not {image.shape}.")
    if min(image.shape[:2]) < _SMALLEST_SIDE:
        raise ValueError(
            f"The image must be at least {_SMALLEST_SIDE} pixels high and wide, "
            f"not {image.shape[0]} x {image.shape[1]}."
        )
