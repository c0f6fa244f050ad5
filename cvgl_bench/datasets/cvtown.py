"""CVTown, the built-in world, as `cvgl-bench town --form pairs` writes it; see `town.pairs`.

    ROOT/<area>.json                     what the area was made with; written last
    ROOT/splits/<area>-19zl.csv          aerial path, panorama path, annotation path
    ROOT/split_locations/<area>.csv      id, aerial and ground latitude and longitude; a header

The areas are train, val, test and cross. A suite's split names one and its size, so that it means
one town and no other: "val" is the area val with seed 7 and pictures of CVUSA's size, "val-small"
the same in small, "any-val" the area val with whatever seed and size the folder has.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl_bench.datasets.base import Dataset, Pair, Position, check, csv_rows, inside
from cvgl_bench.errors import DataError

GENERATOR_VERSION = 3
SUITE_SEED = 7
OBTAIN = "CVTown is drawn by this package: cvgl-bench town --help"
AREAS = ("train", "val", "test", "cross")
SIZES = ("cvusa", "cvact", "small")
LOCATION_FIELDS = (
    "id",
    "aerial_latitude",
    "aerial_longitude",
    "ground_latitude",
    "ground_longitude",
)


@dataclass(frozen=True)
class Wanted:
    """What a split stands for.

    Attributes:
        area: one of AREAS.
        seed: of the town; None takes any.
        size: one of SIZES; None takes any.
    """

    area: str
    seed: int | None
    size: str | None


SPLITS = {
    **{area: Wanted(area, SUITE_SEED, "cvusa") for area in AREAS},
    **{f"{area}-{size}": Wanted(area, SUITE_SEED, size) for area in AREAS for size in SIZES[1:]},
    **{f"any-{area}": Wanted(area, None, None) for area in AREAS},
}


def load(root: Path, split: str) -> Dataset:
    """List the pairs of a split.

    Args:
        root: what `cvgl-bench town --out` wrote.
        split: a key of SPLITS.

    Raises:
        DataError: the area is not finished, is another town's, or pictures are missing.
    """
    return check(listed(root, split), root)


def listed(root: Path, split: str) -> Dataset:
    """As `load`, without looking whether the pictures are there."""
    wanted = SPLITS[split]
    page = _page(root, split)
    _check(page, root, split)
    source = root / "splits" / f"{wanted.area}-19zl.csv"
    positions = _positions(root / "split_locations" / f"{wanted.area}.csv")
    rows = csv_rows(source)
    if len(rows) != page["pairs"]:
        raise DataError(f"{source} lists {len(rows)} pairs where {page['pairs']} were made.")
    pairs = []
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise DataError(f"{source}, line {number}: two paths were expected, not {row}.")
        aerial, ground = (inside(root, field, source) for field in row[:2])
        if aerial.stem != ground.stem:
            raise DataError(f"{source}, line {number}: tile and panorama are of different places.")
        if ground.stem not in positions:
            raise DataError(f"{source}, line {number}: '{ground.stem}' has no position.")
        pairs.append(Pair(ground.stem, ground, aerial, *positions[ground.stem]))
    return Dataset("cvtown", tuple(pairs))


def _page(root: Path, split: str) -> dict[str, Any]:
    wanted = SPLITS[split]
    path = root / f"{wanted.area}.json"
    if not path.is_file():
        size = "" if wanted.size is None else f" --size {wanted.size}"
        raise DataError(
            f"{root} holds no finished '{wanted.area}' of CVTown (no {path.name}). "
            f"Make it: cvgl-bench town --out {root} --split {wanted.area}{size}"
        )
    page = read_page(path)
    missing = {"form", "size", "seed", "generator_version", "pairs"} - page.keys()
    if missing:
        raise DataError(f"{path} is not what cvgl-bench town wrote: it lacks {sorted(missing)}.")
    return page


def read_page(path: Path) -> dict[str, Any]:
    """Read what an area was made with.

    Raises:
        DataError: the file cannot be read, or is no JSON object.
    """
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not what cvgl-bench town wrote: {error}.") from error
    if not isinstance(page, dict):
        raise DataError(f"{path} is not what cvgl-bench town wrote.")
    return page


def _check(page: dict[str, Any], root: Path, split: str) -> None:
    """Refuse the folder unless it holds the very town that the split stands for."""
    if page["form"] != "pairs":
        raise DataError(f"{root} has the form '{page['form']}'; only the form 'pairs' can be read.")
    wanted = SPLITS[split]
    seed = page["seed"] if wanted.seed is None else wanted.seed
    size = page["size"] if wanted.size is None else wanted.size
    made = (page["seed"], page["size"], page["generator_version"])
    if made != (seed, size, GENERATOR_VERSION):
        raise DataError(
            f"{root} is a town with seed {made[0]} in size {made[1]}, drawn by version {made[2]}; "
            f"the split '{split}' is the one with seed {seed} in size {size}, drawn by version "
            f"{GENERATOR_VERSION}. Suites of your own may take 'any-{wanted.area}'."
        )


def _positions(path: Path) -> dict[str, tuple[Position, Position]]:
    """Ground and aerial position of every id."""
    positions: dict[str, tuple[Position, Position]] = {}
    for number, row in enumerate(csv_rows(path), start=1):
        try:
            if number == 1:
                if tuple(row) != LOCATION_FIELDS:
                    raise ValueError(f"its header is not {','.join(LOCATION_FIELDS)}")
                continue
            north, east, ground_north, ground_east = (float(field) for field in row[1:])
            if not all(abs(n) <= 90 for n in (north, ground_north)) or not all(
                abs(e) <= 180 for e in (east, ground_east)
            ):
                raise ValueError("there is no such place")
            if row[0] in positions:
                raise ValueError(f"'{row[0]}' is listed twice")
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}.") from error
        positions[row[0]] = (Position(ground_north, ground_east), Position(north, east))
    return positions
