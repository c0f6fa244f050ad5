"""The data sets: where their pictures lie, what they are called, where they were taken."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cvgl_bench.datasets import cvact, cvtown, cvusa, university, vigor
from cvgl_bench.datasets.base import (
    Dataset,
    Gallery,
    Pair,
    Position,
    Reference,
    refuse_views,
)
from cvgl_bench.errors import DataError, unknown

__all__ = [
    "DATASETS",
    "Dataset",
    "Gallery",
    "Pair",
    "Position",
    "Reference",
    "load_dataset",
    "refuse_views",
]


class Source(Protocol):
    """What a data set's module holds: the names of its splits, and how to list one."""

    @property
    def SPLITS(self) -> Mapping[str, Any]:  # noqa: N802
        """Split names, with whatever the module needs to find each."""

    @property
    def OBTAIN(self) -> str:  # noqa: N802
        """One sentence: where the data set is to be had."""

    def load(self, root: Path, split: str) -> Dataset:
        """List the queries and references of a split of the data set under `root`."""

    def listed(self, root: Path, split: str) -> Dataset:
        """As `load`, without looking whether the pictures are there."""


DATASETS: dict[str, Source] = {
    "cvusa": cvusa,
    "cvact": cvact,
    "cvtown": cvtown,
    "vigor": vigor,
    "university": university,
}


def load_dataset(name: str, root: Path, split: str) -> Dataset:
    """List the pairs of a data set on disk.

    Args:
        name: a key of `DATASETS`.
        root: its folder.
        split: one of its splits.

    Raises:
        DataError: name, folder or split do not exist, or pictures are missing.
    """
    if name not in DATASETS:
        raise DataError(unknown("data set", name, DATASETS))
    if split not in DATASETS[name].SPLITS:
        raise DataError(unknown(f"split of {name}", split, DATASETS[name].SPLITS))
    if not root.is_dir():
        raise DataError(f"there is no folder {root}. Where is {name.upper()}? Set --data.")
    return DATASETS[name].load(root, split)
