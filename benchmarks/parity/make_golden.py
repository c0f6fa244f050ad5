"""Writes what imagecorruptions 1.1.2 makes of a synthetic picture: the tests' golden values.

Runs in the environment of the requirements.txt beside it, on Python 3.11, and imports nothing of
this project but the picture: `python benchmarks/parity/make_golden.py --out tests/golden`.

Two files come out. corruptions.npz holds pixels, of the deterministic corruptions and of random
ones whose draws were replaced by given numbers. corruptions.json holds, for random corruptions, the
mean and the standard deviation of (corrupted minus clean) over many true draws, and how exactly
each is known (its standard error), in grey levels.
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
from synthetic import normals, synthetic, uniforms

warnings.simplefilter("ignore")  # imagecorruptions 1.1.2 was written for libraries of 2020
imagecorruptions: Any = import_module("imagecorruptions")
skimage_filters: Any = import_module("skimage.filters")

# Corruption -> number of pictures. Random ones among them get given draws.
PIXELS = {
    "defocus_blur": 3,
    "zoom_blur": 3,
    "brightness": 3,
    "contrast": 3,
    "pixelate": 3,
    "jpeg_compression": 3,
    "motion_blur": 3,
    "frost": 3,
    "glass_blur": 1,
    "snow": 1,
    "spatter": 1,
}
# Picture size -> of how many rows one is kept, so that the file stays small.
SIZES = {(61, 97): 1, (64, 176): 3, (32, 352): 3}

# Given draws of a uniform number, as a share of its range, and of frost's picture, top and left,
# for each severity.
SHARES = (0.768, 0.023, 0.401, 0.576, 0.834)
FROST = ((3, 0.1, 0.6), (0, 0.9, 0.3), (1, 0.4, 0.4), (4, 0.0, 0.9), (2, 0.7, 0.1))

# (height, width) of the picture, draws. Fog, frost and spatter differ wildly from draw to draw, so
# that only many draws make a stable average.
STATISTICS = {
    "gaussian_noise": ((128, 256), 40),
    "shot_noise": ((128, 256), 40),
    "impulse_noise": ((128, 256), 80),
    "speckle_noise": ((128, 256), 40),
    "glass_blur": ((96, 160), 40),
    "motion_blur": ((32, 64), 6000),
    "snow": ((64, 128), 1000),
    "frost": ((61, 97), 8000),
    "fog": ((32, 48), 20000),
    "spatter": ((96, 128), 4000),
}


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder, such as tests/golden")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    imagecorruptions.corruptions.gaussian = gaussian
    arrays: dict[str, Any] = dict(pixels())
    np.savez_compressed(folder / "corruptions.npz", **arrays)
    record = {
        "oracle": "imagecorruptions 1.1.2, numpy 1.26.4, scikit-image 0.20.0, OpenCV 4.9.0",
        "frost": FROST,
        "shares": SHARES,
        "statistics": {name: statistics(name, *how) for name, how in STATISTICS.items()},
    }
    text = json.dumps(record, indent=1, sort_keys=True)
    (folder / "corruptions.json").write_text(text + "\n", encoding="utf-8")


def gaussian(values: NDArray[Any], sigma: float, multichannel: bool = False) -> NDArray[Any]:
    """scikit-image's gaussian with the argument that its version 0.20 dropped."""
    channel_axis = -1 if multichannel else None
    blurred: NDArray[Any] = skimage_filters.gaussian(values, sigma=sigma, channel_axis=channel_axis)
    return blurred


def pixels() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels of every picture, named corruption-severity-HxW."""
    for name, pictures in PIXELS.items():
        for (height, width), keep_every in list(SIZES.items())[:pictures]:
            for severity in range(1, 6):
                with given_draws(name, severity):
                    corrupted = imagecorruptions.corrupt(synthetic(height, width), severity, name)
                yield f"{name}-{severity}-{height}x{width}", corrupted[::keep_every]


@contextmanager
def given_draws(name: str, severity: int) -> Iterator[None]:
    """Replace numpy.random's functions by ones that answer with given numbers."""
    replacements: dict[str, Callable[..., Any]] = {
        "normal": lambda loc=0.0, scale=1.0, size=None: loc + scale * normals(size),
        "uniform": lambda low, high: low + (high - low) * SHARES[severity - 1],
        "randint": frost_draws(severity) if name == "frost" else glass_draws(),
    }
    originals = {key: getattr(np.random, key) for key in replacements}
    for key, replacement in replacements.items():
        setattr(np.random, key, replacement)
    try:
        yield
    finally:
        for key, original in originals.items():
            setattr(np.random, key, original)


def frost_draws(severity: int) -> Callable[..., int]:
    """Answers to frost's three draws: the picture, then top and left as shares of their range."""
    picture, *shares = FROST[severity - 1]
    remaining = iter(shares)

    def draw(low: int, high: int | None = None) -> int:
        return picture if high is None else int(next(remaining) * (high - low)) + low

    return draw


def glass_draws() -> Callable[..., NDArray[np.int64]]:
    """Answers to glass_blur's draws, one pair for every pixel of the walk."""
    remaining = iter(uniforms(400_000).reshape(-1, 2))

    def draw(low: int, high: int, size: tuple[int]) -> NDArray[np.int64]:
        return low + (next(remaining) * (high - low)).astype(int)[: size[0]]

    return draw


def statistics(name: str, size: tuple[int, int], draws: int) -> dict[str, object]:
    """Mean and deviation of the residual, and their standard errors, one value a severity."""
    clean = synthetic(*size)
    columns: dict[str, list[float]] = {
        "mean": [],
        "deviation": [],
        "mean_error": [],
        "deviation_error": [],
    }
    for severity in range(1, 6):
        np.random.seed(severity)  # noqa: NPY002, imagecorruptions knows no other
        moments = np.array([residual_moments(clean, severity, name) for _ in range(draws)])
        mean, square = moments.mean(axis=0)
        deviation = np.sqrt(square - mean**2)
        mean_error, square_error = moments.std(axis=0) / np.sqrt(draws)
        row = (mean, deviation, mean_error, square_error / (2 * deviation))
        for values, value in zip(columns.values(), row, strict=True):
            values.append(round(float(value), 4))
    print(f"{name:16}", columns, flush=True)
    return {"size": size, "draws": draws, **columns}


def residual_moments(clean: NDArray[np.uint8], severity: int, name: str) -> tuple[float, float]:
    """Mean and mean square of (corrupted minus clean) of one draw."""
    corrupted = imagecorruptions.corrupt(clean, severity, name)
    residual = corrupted.astype(np.float64) - clean
    return residual.mean(), (residual**2).mean()


if __name__ == "__main__":
    main()
