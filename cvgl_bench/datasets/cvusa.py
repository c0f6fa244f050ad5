"""CVUSA (Workman et al. 2015; CVPR subset of Zhai et al. 2017) in its own layout.

    ROOT/splits/train-19zl.csv, val-19zl.csv     aerial path, panorama path, annotation path
    ROOT/bingmap/19/<id>.jpg                     750 x 750, north up
    ROOT/streetview/panos/<id>.jpg               1232 x 224, north in the centre column
    ROOT/split_locations/all.csv                 optional; row <id> - 1: aerial and ground position

The 8,884 pairs of val-19zl.csv are the set that everyone tests on.
"""

from pathlib import Path

from cvgl_bench.datasets.base import Dataset, Pair, Position, check, csv_rows, inside
from cvgl_bench.errors import DataError

SPLITS = {"train": "train-19zl.csv", "val": "val-19zl.csv"}
OBTAIN = "CVUSA is free on request: https://mvrl.cse.wustl.edu/datasets/cvusa"


def load(root: Path, split: str, name: str = "cvusa") -> Dataset:
    """List the pairs of a split.

    Args:
        root: the folder that holds `splits`.
        split: "train" or "val".
        name: the data set's name, for others that come in this layout.

    Raises:
        DataError: the list is missing or malformed, or pictures are missing.
    """
    return check(listed(root, split, name), root)


def listed(root: Path, split: str, name: str = "cvusa") -> Dataset:
    """As `load`, without looking whether the pictures are there."""
    source = root / "splits" / SPLITS[split]
    if not source.is_file():
        raise DataError(f"{source} is missing, so {root} is no {name.upper()} folder. {OBTAIN}")
    positions = _positions(root / "split_locations" / "all.csv")
    pairs = []
    for number, row in enumerate(csv_rows(source), start=1):
        if len(row) < 2:
            raise DataError(f"{source}, line {number}: two paths were expected, not {row}.")
        aerial, ground = (inside(root, field.strip(), source) for field in row[:2])
        pairs.append(_pair(ground, aerial, positions, f"{source}, line {number}"))
    return Dataset(name, tuple(pairs))


def _pair(ground: Path, aerial: Path, positions: list[list[str]] | None, where: str) -> Pair:
    if positions is None:
        return Pair(ground.stem, ground, aerial)
    try:
        row = int(ground.stem) - 1
        if row < 0:
            raise IndexError
        numbers = [float(field) for field in positions[row][:4]]
        aerial_latitude, aerial_longitude, ground_latitude, ground_longitude = numbers
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{where}: split_locations/all.csv has no four numbers for the id '{ground.stem}'."
        ) from error
    return Pair(
        ground.stem,
        ground,
        aerial,
        Position(ground_latitude, ground_longitude),
        Position(aerial_latitude, aerial_longitude),
    )


def _positions(path: Path) -> list[list[str]] | None:
    return csv_rows(path) if path.is_file() else None
