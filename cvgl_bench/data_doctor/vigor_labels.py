"""Which version VIGOR's labels are of: told by the resolution that their offsets were made with.

The original labels take a pixel of every tile for 0.114 m; the corrected ones (SliceMatch) have a
resolution a city. An offset in rows and the latitudes in the files' names give it.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np

from cvgl_bench.data_doctor.finding import Finding
from cvgl_bench.datasets.vigor import ALL, CITIES, LABELS, TEST, TRAIN, read_labels, tile_position
from cvgl_bench.errors import DataError

# Metres a degree of latitude on the sphere that the authors' code has.
_METRES: Final = 6_371_004 * math.pi / 180
_ORIGINAL: Final = 0.114
_CORRECTED: Final = {"Chicago": 0.111, "NewYork": 0.113, "SanFrancisco": 0.118, "Seattle": 0.101}
_EXACT, _NEAR = 0.0015, 0.02
# A row's offset is rounded to a pixel, so small ones say little.
_LEAST_PIXELS: Final = 50
_CHECK: Final = "label version"


def examine_labels(root: Path) -> list[Finding]:
    """Say of every version of labels that is there whether it is what its name says."""
    found = []
    for version, places in LABELS.items():
        for folder, ending in places:
            files = {
                city: [root / folder / city / f"{name}{ending}.txt" for name in (ALL, TEST, TRAIN)]
                for city in CITIES
            }
            there = {
                city: next((file for file in some if file.is_file()), None)
                for city, some in files.items()
            }
            if any(there.values()):
                found.append(_examine(version, folder, there))
    if not found:
        found.append(Finding(_CHECK, None, "there are no labels of the four cities"))
    return found


def resolution(path: Path) -> float | None:
    """Metres a pixel that the offsets of a label file stand for; None if it has none that say.

    Raises:
        DataError: it is no label file.
    """
    ratios = []
    for label in read_labels(path):
        for tile, (below, _) in zip(label.tiles, label.offsets, strict=True):
            if abs(below) >= _LEAST_PIXELS:
                north = tile_position(tile).latitude - label.position.latitude
                ratios.append(north * _METRES / below)
    return float(np.median(ratios)) if ratios else None


def version_of(city: str, metres_a_pixel: float) -> str | None:
    """The version whose resolution that is; None if it is neither's."""
    if abs(metres_a_pixel / _ORIGINAL - 1) <= _EXACT:
        return "original"
    if abs(metres_a_pixel / _CORRECTED[city] - 1) <= _NEAR:
        return "corrected"
    return None


def _examine(version: str, folder: str, files: dict[str, Path | None]) -> Finding:
    check = f"{_CHECK} in {folder}"
    metres: dict[str, float] = {}
    for city, file in files.items():
        try:
            found = None if file is None else resolution(file)
        except DataError as error:
            return Finding(check, False, str(error), "get the lists again")
        if found is not None:
            metres[city] = found
    if not metres:
        return Finding(check, None, "the labels have no offset that says")
    words = ", ".join(f"{city} {value:.4f}" for city, value in metres.items())
    versions = {city: version_of(city, value) for city, value in metres.items()}
    other = [city for city, one in versions.items() if one != version]
    if not other:
        return Finding(check, True, f"{version}: {words} m a pixel")
    if all(one not in (version, None) for one in versions.values()):
        return Finding(
            check,
            False,
            f"the files are named as the {version} labels are, and hold others: {words} m a pixel",
            _rename(version),
        )
    return Finding(
        check,
        False,
        f"the labels of {other[0]} are not the {version} ones: {words} m a pixel",
        "get the lists again; scores do not change with them, records say which they are of",
    )


def _rename(version: str) -> str:
    if version == "original":
        return (
            "name the folder splits__corrected and its files *__corrected.txt, and take a split "
            "such as same-test-corrected"
        )
    return "name the folder splits and its files without __corrected"
