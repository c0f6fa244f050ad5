"""CVTown, the built-in world, as `cvgl-bench town` writes it: CVUSA's layout and a town.json."""

import json
from pathlib import Path

from cvgl_bench.datasets import cvusa
from cvgl_bench.datasets.base import Dataset
from cvgl_bench.errors import DataError

# Split -> the town's seed; "any" is for suites of your own.
SPLITS = {"val": 7, "any": None}
GENERATOR_VERSION = 1


def load(root: Path, split: str) -> Dataset:
    """List the pairs of a town.

    Args:
        root: what `cvgl-bench town --out` wrote.
        split: "val", the town with seed 7, or "any".

    Raises:
        DataError: the folder is no finished town, is another one, or pictures are missing.
    """
    page = root / "town.json"
    if not page.is_file():
        raise DataError(
            f"{root} holds no finished CVTown (no town.json). "
            f"Make one: cvgl-bench town --out {root} --pairs 100"
        )
    try:
        town = json.loads(page.read_text(encoding="utf-8"))
        made = (town["seed"], town["generator_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{page} is not what cvgl-bench town wrote: {error!r}.") from error
    seed = made[0] if SPLITS[split] is None else SPLITS[split]
    if made != (seed, GENERATOR_VERSION):
        raise DataError(
            f"{root} is the town with seed {made[0]}, drawn by version {made[1]}; the split "
            f"'{split}' is the one with seed {seed}, drawn by version {GENERATOR_VERSION}."
        )
    return cvusa.load(root, "val", name="cvtown")
