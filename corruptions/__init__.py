"""Sixteen ways to make a picture worse, at five severities each: numpy in, numpy out.

    image = corrupt(image, "fog", 3, rng=0)

The definitions are ImageNet-C's (Hendrycks and Dietterich 2019, arXiv:1903.12261), for images of
any shape from 16 x 16 pixels. A function of CORRUPTIONS or PUBLISHED has the signature
`function(image, rng, *, named parameters, optional draws)`; severities.toml holds the parameters of
each severity, and a draw that is not given comes from rng.

There are two profiles. "standard" holds everywhere in an image of any size. "published" is what the
released CVUSA-C and CVACT_val-C really contain; the functions of PUBLISHED stand in for those of
CORRUPTIONS. With the codec "ijg9d" the files of those in DETERMINISTIC come out to the byte, and
those of frost and motion_blur once told what was drawn. Never mix the scores of two profiles.
"""

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corruptions import published, published_weather
from corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from corruptions.codecs import CODECS, PILLOW, Codec
from corruptions.compiled import forget_stale
from corruptions.digital import contrast, jpeg_compression, pixelate
from corruptions.inputs import as_rgb
from corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from corruptions.pixels import Image
from corruptions.rounding import round_down
from corruptions.weather import brightness, fog, frost, snow, spatter

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

forget_stale(Path(__file__).parent, round_down)

__all__ = [
    "CODECS",
    "CORRUPTIONS",
    "DETERMINISTIC",
    "FAMILIES",
    "FAMILY_OF",
    "PILLOW",
    "PROFILES",
    "PUBLISHED",
    "SEVERITIES",
    "Codec",
    "as_rgb",
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

# What stands in for them in the released CVUSA-C and CVACT_val-C.
PUBLISHED: dict[str, Callable[..., Image]] = {
    "snow": published_weather.snow,
    "frost": published_weather.frost,
    "defocus_blur": published.defocus_blur,
    "glass_blur": published.glass_blur,
    "motion_blur": published.motion_blur,
    "zoom_blur": published.zoom_blur,
}

PROFILES = ("standard", "published")

_FUNCTIONS = {"standard": CORRUPTIONS, "published": CORRUPTIONS | PUBLISHED}

# These take a generator like the others and leave it untouched.
DETERMINISTIC = frozenset(
    {"brightness", "defocus_blur", "zoom_blur", "contrast", "pixelate", "jpeg_compression"}
)

# profile -> corruption -> the draws that may be given instead of drawn
_DRAWS: dict[str, dict[str, tuple[str, ...]]] = {
    profile: {
        name: tuple(
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is None
        )
        for name, function in functions.items()
    }
    for profile, functions in _FUNCTIONS.items()
}


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
    if not isinstance(name, str) or name not in CORRUPTIONS:
        raise ValueError(unknown_name("corruption", name, CORRUPTIONS))
    whole = isinstance(severity, (int, np.integer)) and not isinstance(severity, bool)
    if not whole or not 1 <= severity <= 5:
        raise ValueError(f"Severity must be a whole number from 1 to 5, not {severity!r}.")
    return {parameter: values[severity - 1] for parameter, values in SEVERITIES[name].items()}


def corrupt(
    image: object,
    corruption_name: str,
    severity: int,
    *,
    rng: np.random.Generator | int | None = None,
    profile: str = "standard",
    codec: Codec = PILLOW,
    draws: Mapping[str, float] | None = None,
) -> Image:
    """A corrupted copy of an image.

    Args:
        image: a numpy array or a Pillow picture of 16 pixels a side to 100 million in all, RGB,
            grey, or what else `as_rgb` takes; never modified.
        corruption_name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).
        rng: a generator, the only source of chance, which those in DETERMINISTIC leave untouched;
            or a seed for a new one; or None for a new one that no one can repeat.
        profile: one of PROFILES.
        codec: one of CODECS.values(): the JPEG library of jpeg_compression. The others ignore it.
        draws: chance by name, given instead of drawn: angle_degrees of motion_blur; texture, top
            and left of frost.

    Returns:
        RGB, uint8, (H, W, 3), of its own memory.

    Raises:
        ValueError: an argument is not as described.
    """
    if isinstance(corruption_name, (int, np.integer)):
        raise ValueError(
            f"The second argument is the corruption's name, not {corruption_name!r}, and the third "
            f"its severity: corrupt(image, {_name_for_hint(severity)!r}, {corruption_name!r})."
        )
    named: dict[str, Any] = parameters(corruption_name, severity)
    if profile not in PROFILES:
        raise ValueError(unknown_name("profile", profile, PROFILES))
    if codec is not PILLOW:
        _check_codec(codec)
    if corruption_name == "jpeg_compression":
        named["codec"] = codec
    if draws is not None:
        _check_draws(draws, corruption_name, profile)
        named.update(draws)
    pixels = as_rgb(image)
    corrupted = _FUNCTIONS[profile][corruption_name](pixels, as_generator(rng), **named)
    return corrupted.copy() if np.may_share_memory(corrupted, pixels) else corrupted


def as_generator(rng: object) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise ValueError(
        "rng must be a numpy.random.Generator, a seed (a whole number from 0) or None, "
        f"not {rng!r}: pass numpy.random.default_rng(seed)."
    )


def _check_codec(codec: object) -> None:
    if not all(callable(getattr(codec, name, None)) for name in ("encode", "decode", "recode")):
        known = ", ".join(f"CODECS[{name!r}]" for name in CODECS)
        raise ValueError(f"codec must encode and decode JPEG, as {known} do, not be {codec!r}.")


def _check_draws(draws: object, name: str, profile: str) -> None:
    if not isinstance(draws, Mapping):
        raise ValueError(
            f"draws must be a mapping of names to numbers, not {type(draws).__name__}."
        )
    possible = _DRAWS[profile][name]
    for draw in draws:
        if not possible:
            raise ValueError(f"{name} has no draw that can be given, and so no {draw!r}.")
        if draw not in possible:
            raise ValueError(unknown_name(f"draw of {name}", draw, possible))


def _name_for_hint(name: object) -> str:
    return name if isinstance(name, str) else "fog"


def unknown_name(kind: str, asked: object, known: Iterable[str]) -> str:
    known = [*known]
    close = difflib.get_close_matches(str(asked), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown {kind} {asked!r}.{hint} Known: {', '.join(known)}."
