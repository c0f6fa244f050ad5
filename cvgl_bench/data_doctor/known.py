"""What is known of each data set: how many pictures its splits have, and how large they are.

Counts and sizes are those of the papers and of the public loaders; see docs/data.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvgl_bench.datasets import cvtown, university, vigor

Size = tuple[int, int]


@dataclass(frozen=True)
class Known:
    """What is known of a data set.

    Attributes:
        title: its name, as its authors write it.
        splits: those that are looked at unless one is named.
        optional: those of them that may be missing, with what needs them.
        query: width and height of a query; None where they differ or are not known.
        reference: likewise, of a reference.
    """

    title: str
    splits: tuple[str, ...]
    optional: dict[str, str]
    query: Size | None = None
    reference: Size | None = None


_TO_TRAIN: Final = "only training needs it"
_VIGOR: Final = ("same-train", "same-test", "cross-train", "cross-test")

KNOWN: Final = {
    "cvusa": Known("CVUSA", ("train", "val"), {"train": _TO_TRAIN}, (1232, 224), (750, 750)),
    "cvact": Known(
        "CVACT",
        ("train", "val", "test"),
        {"train": _TO_TRAIN, "test": "only cvact-test-c-all needs it"},
        (1664, 832),
        (1200, 1200),
    ),
    "vigor": Known("VIGOR", _VIGOR, {}, (2048, 1024), (640, 640)),
    "university": Known("University-1652", ("train", "d2s", "s2d"), {"train": _TO_TRAIN}),
    "cvtown": Known("CVTown", cvtown.AREAS, {}),
}

# Queries and references of a split; None where the count is not known.
PINNED: Final[dict[tuple[str, str], tuple[int | None, int]]] = {
    ("cvusa", "train"): (35_532, 35_532),
    ("cvusa", "val"): (8_884, 8_884),
    ("cvact", "train"): (35_532, 35_532),
    ("cvact", "val"): (8_884, 8_884),
    ("cvact", "test"): (92_802, 92_802),
    ("vigor", "same-train"): (52_609, 90_618),
    ("vigor", "same-test"): (52_605, 90_618),
    ("vigor", "cross-train"): (51_520, 44_055),
    ("vigor", "cross-test"): (53_694, 46_563),
    ("university", "train"): (None, 701),
    ("university", "d2s"): (37_855, 951),
    ("university", "s2d"): (701, 51_355),
}


def pinned(dataset: str, split: str) -> tuple[int | None, int] | None:
    """How many queries and references a split has; None where any number may be."""
    return PINNED.get((dataset, split.removesuffix("-corrected")))


def anchor(dataset: str, root: Path, split: str) -> Path:
    """The file or folder without which a split is not there at all."""
    if dataset == "cvusa":
        return root / "splits" / f"{split}-19zl.csv"
    if dataset == "cvact":
        return root / ("ANU_data_test" if split == "test" else "ANU_data_small")
    if dataset == "university":
        return root / university.SPLITS[split].queries
    if dataset == "cvtown":
        return root / f"{cvtown.SPLITS[split].area}.json"
    wanted = vigor.SPLITS[split]
    places = [root / folder / wanted.cities[0] for folder, _ in vigor.LABELS[wanted.labels]]
    return next((place for place in places if place.is_dir()), places[0])
