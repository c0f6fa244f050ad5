"""Writes what imagecorruptions 1.1.2 makes of a synthetic picture: the tests' golden values.

Runs in the environment of the requirements.txt beside it, on Python 3.11, and imports nothing of
this project but its neighbours: `python -m benchmarks.parity.make_golden --out tests/golden`.

Two files come out. corruptions.npz holds pixels, of the deterministic corruptions and of random
ones whose draws were replaced by given numbers, and the laws of the random ones over many true
draws: mean and spread of the features that residuals.py measures, and the pooled histogram of
(corrupted minus clean). corruptions.json says how they were made.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.oracle import (
    DETERMINISTIC,
    FROST,
    NAME,
    SHARES,
    Draws,
    corrupt,
    given_draws,
    oracle_law,
    pack_law,
)
from benchmarks.parity.residuals import feature_names
from benchmarks.parity.synthetic import synthetic

# Picture size -> of how many rows one is kept, so that the file stays small. Panoramas' sides are
# round numbers; the odd sizes are there for what round numbers hide.
SIZES = {(61, 97): 1, (64, 176): 4, (32, 352): 4}
ODD_SIZES = {(17, 400): 5, (233, 61): 16}

# Corruption -> sizes of its pictures. Random ones among them get given draws.
PIXELS: dict[str, dict[tuple[int, int], int]] = {
    **dict.fromkeys(DETERMINISTIC, SIZES | ODD_SIZES),
    **dict.fromkeys(("motion_blur", "frost"), SIZES),
    "glass_blur": {(61, 97): 1},
}

# (height, width) of the picture, draws. Fog, frost and spatter differ wildly from draw to draw, so
# that only many draws make a stable average.
LAWS = {
    "gaussian_noise": ((96, 192), 500),
    "shot_noise": ((96, 192), 500),
    "impulse_noise": ((96, 192), 500),
    "speckle_noise": ((96, 192), 500),
    "glass_blur": ((64, 128), 100),
    "motion_blur": ((64, 128), 1500),
    "snow": ((96, 192), 800),
    "frost": ((64, 128), 1500),
    "fog": ((96, 192), 3000),
    "spatter": ((96, 192), 2500),
}


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder, such as tests/golden")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    draws: dict[str, Draws] = {}
    arrays: dict[str, Any] = dict(pixels(draws))
    for name, (size, count) in LAWS.items():
        clean = synthetic(*size)
        for severity in range(1, 6):
            measured = oracle_law(clean, name, severity, count)
            arrays |= pack_law(f"law-{name}-{severity}", measured)
        print(f"{name}: {count} draws", flush=True)
    np.savez_compressed(folder / "corruptions.npz", **arrays)
    record = {
        "oracle": NAME,
        "draws": draws,
        "frost": FROST,
        "shares": SHARES,
        "laws": {name: {"size": size, "draws": count} for name, (size, count) in LAWS.items()},
        "features": {name: feature_names(*size) for name, (size, _) in LAWS.items()},
    }
    text = json.dumps(record, indent=1, sort_keys=True)
    (folder / "corruptions.json").write_text(text + "\n", encoding="utf-8")


def pixels(draws: dict[str, Draws]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels of every picture, named corruption-severity-HxW; its draws are noted."""
    for name, sizes in PIXELS.items():
        for (height, width), keep_every in sizes.items():
            for severity in range(1, 6):
                cell = f"{name}-{severity}-{height}x{width}"
                with given_draws(name, severity) as made:
                    corrupted = corrupt(synthetic(height, width), name, severity)
                if name in {"motion_blur", "frost"}:
                    draws[cell] = made
                yield cell, corrupted[::keep_every]


if __name__ == "__main__":
    main()
