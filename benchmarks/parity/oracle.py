"""imagecorruptions 1.1.2, made to run, to repeat itself and to take given draws.

Runs in the environment of the requirements.txt beside it. As a program it corrupts the pictures of
an .npz file: `python -m benchmarks.parity.oracle PICTURES.npz OUT.npz --draws 20`.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.parity.residuals import Bytes, Law, law
from benchmarks.parity.synthetic import normals, uniforms

warnings.simplefilter("ignore")  # imagecorruptions 1.1.2 was written for libraries of 2020
corruptions: Any = import_module("imagecorruptions.corruptions")
skimage_filters: Any = import_module("skimage.filters")
skimage_util: Any = import_module("skimage.util")

NAME = "imagecorruptions 1.1.2, numpy 1.26.4, scikit-image 0.20.0, OpenCV 4.9.0"
DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
)
RANDOM = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "spatter",
)

# Given draws of a uniform number, as a share of its range, and of frost's picture, top and left,
# for each severity.
SHARES = (0.768, 0.023, 0.401, 0.576, 0.834)
FROST = ((3, 0.1, 0.6), (0, 0.9, 0.3), (1, 0.4, 0.4), (4, 0.0, 0.9), (2, 0.7, 0.1))

Draws = dict[str, float]


def _gaussian(values: NDArray[Any], sigma: float, multichannel: bool = False) -> NDArray[Any]:
    """scikit-image's gaussian with the argument that its version 0.20 dropped."""
    channel_axis = -1 if multichannel else None
    blurred: NDArray[Any] = skimage_filters.gaussian(values, sigma=sigma, channel_axis=channel_axis)
    return blurred


class _SeededNoise:
    """scikit-image's noise, seeded from numpy's global state like all other draws."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401, stands in for a module
        return getattr(skimage_util, name)

    @staticmethod
    def random_noise(values: NDArray[Any], **options: float) -> NDArray[Any]:
        seed = np.random.randint(2**31)  # noqa: NPY002, imagecorruptions knows no other
        noisy: NDArray[Any] = skimage_util.random_noise(values, seed=seed, **options)
        return noisy


corruptions.gaussian = _gaussian
corruptions.sk.util = _SeededNoise()


def corrupt(clean: Bytes, name: str, severity: int) -> Bytes:
    """What the oracle makes of a picture, RGB, (H, W, 3).

    As its own `corrupt` does, which refuses pictures of fewer than 32 pixels.
    """
    corrupted = getattr(corruptions, name)(Image.fromarray(clean), severity)
    return np.asarray(corrupted).astype(np.uint8)


def oracle_law(clean: Bytes, name: str, severity: int, draws: int) -> Law:
    """The law of a corruption on one picture."""
    np.random.seed(severity)  # noqa: NPY002, imagecorruptions knows no other
    return law(lambda _number: corrupt(clean, name, severity), clean, draws)


@contextmanager
def given_draws(name: str, severity: int) -> Iterator[Draws]:
    """Replace numpy.random's functions by ones that answer with given numbers.

    Yields the draws under the names that our functions know them by, filled while they are made.
    """
    made: Draws = {}

    def uniform(low: float, high: float) -> float:
        made["angle_degrees"] = low + (high - low) * SHARES[severity - 1]
        return made["angle_degrees"]

    replacements: dict[str, Callable[..., Any]] = {
        "normal": lambda loc=0.0, scale=1.0, size=None: loc + scale * normals(size),
        "uniform": uniform,
        "randint": _frost_draws(severity, made) if name == "frost" else _glass_draws(),
    }
    originals = {key: getattr(np.random, key) for key in replacements}
    for key, replacement in replacements.items():
        setattr(np.random, key, replacement)
    try:
        yield made
    finally:
        for key, original in originals.items():
            setattr(np.random, key, original)


def _frost_draws(severity: int, made: Draws) -> Callable[..., int]:
    """Answers to frost's three draws: the picture, then top and left as shares of their range."""
    picture, *shares = FROST[severity - 1]
    remaining = iter(zip(("top", "left"), shares, strict=True))

    def draw(low: int, high: int | None = None) -> int:
        if high is None:
            made["texture"] = picture + 1
            return picture
        name, share = next(remaining)
        made[name] = int(share * (high - low)) + low
        return int(made[name])

    return draw


def _glass_draws() -> Callable[..., NDArray[np.int64]]:
    """Answers to glass_blur's draws, one pair for every pixel of the walk."""
    remaining = iter(uniforms(400_000).reshape(-1, 2))

    def draw(low: int, high: int, size: tuple[int]) -> NDArray[np.int64]:
        shifts: NDArray[np.int64] = (next(remaining) * (high - low)).astype(np.int64)
        return low + shifts[: size[0]]

    return draw


def pack_law(key: str, of: Law) -> dict[str, NDArray[Any]]:
    """A law as arrays for an .npz file, each name beginning with the key."""
    return {
        f"{key}-mean": of.mean,
        f"{key}-spread": of.spread,
        f"{key}-counts": of.counts.astype(np.uint32),
        f"{key}-sample": np.array([of.draws, of.own_distance]),
    }


def main() -> None:
    """Corrupt the pictures of a file; an entry named law-CORRUPTION is measured, others drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help=".npz")
    parser.add_argument("out", type=Path, help=".npz")
    parser.add_argument("--draws", type=int, required=True, help="for the laws")
    options = parser.parse_args()
    arrays: dict[str, Any] = {}
    draws: dict[str, Draws] = {}
    for key, picture in dict(np.load(options.pictures)).items():
        name = key.removeprefix("law-")
        for severity in range(1, 6):
            if name != key:
                measured = oracle_law(picture, name, severity, options.draws)
                arrays |= pack_law(f"{key}-{severity}", measured)
                continue
            for corruption in (*DETERMINISTIC, "motion_blur", "frost"):
                cell = f"{corruption}-{severity}-{key}"
                with given_draws(corruption, severity) as draws[cell]:
                    arrays[cell] = corrupt(picture, corruption, severity)
        print(f"imagecorruptions: {key}", flush=True)
    np.savez(options.out, draws=np.array(json.dumps(draws)), **arrays)


if __name__ == "__main__":
    main()
