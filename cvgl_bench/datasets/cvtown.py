"""CVTown, the built-in world, as `cvgl-bench town` writes it: CVUSA's layout and a town.json."""

from pathlib import Path

from cvgl_bench.datasets import cvusa
from cvgl_bench.datasets.base import Dataset
from cvgl_bench.errors import DataError

SPLITS = {"val": "val-19zl.csv"}


def load(root: Path, split: str) -> Dataset:
    """List the pairs of a town.

    Args:
        root: what `cvgl-bench town --out` wrote.
        split: "val".

    Raises:
        DataError: the folder is no finished town, or pictures are missing.
    """
    if not (root / "town.json").is_file():
        raise DataError(
            f"{root} holds no finished CVTown (no town.json). "
            f"Make one: cvgl-bench town --out {root} --pairs 100"
        )
    return cvusa.load(root, split, name="cvtown")
