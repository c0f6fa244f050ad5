"""Which data set a folder holds, in which layout, and whether it is the right folder of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cvgl_bench.data_doctor.finding import Finding
from cvgl_bench.data_doctor.known import KNOWN
from cvgl_bench.datasets import cvtown, vigor
from cvgl_bench.errors import DataError

TOWN_CITIES: Final = tuple(f"{area.capitalize()}Town" for area in vigor.TOWN_AREAS)
_CVACT: Final = ("ACT_data.mat", "ANU_data_small", "ANU_data_test")
_VIGOR: Final = tuple(
    place.format(city)
    for city in (*vigor.CITIES, *TOWN_CITIES)
    for place in ("{}/panorama", "{}/satellite", "ground/{}", "splits/{}", "splits__corrected/{}")
)
_UNIVERSITY: Final = (
    "train/drone",
    "test/query_drone",
    "test/gallery_drone",
    "test/gallery_satellite",
)
_ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z")
_LEVELS: Final = 2
_MOST_FOLDERS: Final = 400
_CHECK: Final = "folder"


def recognised(root: Path) -> list[str]:
    """The data sets whose marks a folder has: some of its lists, or of its folders of pictures."""
    pages = [root / f"{area}.json" for area in cvtown.AREAS]
    is_town = any(page.is_file() for page in pages)
    lists = [root / "splits" / f"{split}-19zl.csv" for split in ("train", "val")]
    pairs = any(path.is_file() for path in lists) or _all(root, "bingmap", "streetview")
    marks = {
        "cvtown": is_town and not any((root / city).is_dir() for city in TOWN_CITIES),
        "cvusa": pairs and not is_town,
        "cvact": any((root / name).exists() for name in _CVACT),
        "vigor": any((root / place).is_dir() for place in _VIGOR),
        "university": any((root / place).is_dir() for place in _UNIVERSITY),
    }
    return [name for name, is_marked in marks.items() if is_marked]


def _all(root: Path, *folders: str) -> bool:
    return all((root / folder).is_dir() for folder in folders)


def layout(dataset: str, root: Path) -> str:
    """The name of the layout that a recognised folder has."""
    if dataset == "vigor":
        if any((root / city).is_dir() for city in TOWN_CITIES):
            return "CVTown in the official layout"
        sample4geo = (root / "ground").is_dir() and (root / "satellite").is_dir()
        return "Sample4Geo's layout" if sample4geo else "the official layout, also TransGeo's"
    if dataset == "cvtown":
        return "as cvgl-bench town writes it"
    also = "Sample4Geo's" if dataset in ("cvact", "university") else "Sample4Geo's and TransGeo's"
    return f"the official layout, also {also}"


def find(root: Path, dataset: str | None) -> tuple[str | None, list[Finding]]:
    """Say which data set a folder is; findings where it is none, or not the right folder of one.

    Args:
        root: the folder that the user gave.
        dataset: what the user says that it is; None asks the folder.

    Returns:
        The data set, None if the folder cannot be used as it is; and what to tell.
    """
    if not root.is_dir():
        return None, [_no_folder(root)]
    here = recognised(root)
    wanted = [dataset] if dataset else list(KNOWN)
    fitting = [name for name in here if name in wanted]
    if len(fitting) == 1:
        finding = _transgeo(root) if fitting == ["cvact"] else None
        if finding:
            return None, [finding]
        title = KNOWN[fitting[0]].title
        return fitting[0], [Finding(_CHECK, True, f"{title}, {layout(fitting[0], root)}")]
    if len(fitting) > 1:
        titles = " and ".join(KNOWN[name].title for name in fitting)
        return None, [
            Finding(
                _CHECK,
                False,
                f"{root} has marks of {titles}",
                f"say which with --dataset {fitting[0]} or --dataset {fitting[1]}, and keep each "
                "in a folder of its own",
            )
        ]
    return None, [_elsewhere(root, wanted, here)]


def archives(root: Path) -> list[str]:
    """Names of archives that lie in a folder, perhaps not unpacked."""
    found = (entry.name for entry in root.iterdir() if entry.is_file())
    return sorted(name for name in found if name.lower().endswith(_ARCHIVES))


def _no_folder(root: Path) -> Finding:
    if root.exists():
        packed = root.name.lower().endswith(_ARCHIVES)
        fix = "unpack it, and give the folder" if packed else "give the folder that it lies in"
        return Finding(_CHECK, False, f"{root} is a file and no folder", fix)
    there = f", and {root.parent} holds {_named(root.parent)}" if root.parent.is_dir() else ""
    return Finding(_CHECK, False, f"there is no folder {root}{there}", "give the one that there is")


def _named(folder: Path) -> str:
    names = [one.name for one in _folders(folder)]
    some = ", ".join(names[:5])
    return (some + (", ..." if len(names) > 5 else "")) if names else "no folder"


def _transgeo(root: Path) -> Finding | None:
    """TransGeo's CVACT has the list among the pictures, and gives their folder."""
    lists = root / "ACT_data.mat"
    if lists.is_file() and _all(root, "streetview", "satview_polish"):
        above = root.parent / "ACT_data.mat"
        moving = "" if above.is_file() else f"cp {lists} {root.parent}/ and then "
        return Finding(
            _CHECK,
            False,
            f"{root} is CVACT's ANU_data_small with the list in it, as TransGeo has it",
            f"{moving}give {root.parent}",
        )
    inner = root / "ANU_data_small" / "ACT_data.mat"
    if not lists.is_file() and inner.is_file():
        return Finding(
            _CHECK,
            False,
            f"the list ACT_data.mat of CVACT lies in {inner.parent}, as TransGeo has it",
            f"cp {inner} {root}/",
        )
    return None


def _elsewhere(root: Path, wanted: list[str], here: list[str]) -> Finding:
    """Look a level or two above and below for what the folder itself is not."""
    titles = KNOWN[wanted[0]].title if len(wanted) == 1 else "a data set that is known"
    below = [
        (folder, name) for folder in _below(root) for name in recognised(folder) if name in wanted
    ]
    above = [
        (folder, name)
        for folder in list(root.absolute().parents)[:_LEVELS]
        for name in recognised(folder)
        if name in wanted
    ]
    if len(below) == 1:
        folder, name = below[0]
        return Finding(
            _CHECK,
            False,
            f"{root} is a level too high: {KNOWN[name].title} lies in {folder}",
            f"give {folder}",
        )
    if below:
        places = [(KNOWN[name].title, folder.relative_to(root)) for folder, name in below[:5]]
        what = ", ".join(f"{title} in {place}" for title, place in places)
        return Finding(_CHECK, False, f"{root} holds several: {what}", "give one of them")
    if above and not here:
        folder, name = above[0]
        return Finding(
            _CHECK,
            False,
            f"{root} is a level too low: it is a part of {KNOWN[name].title} in {folder}",
            f"give {folder}",
        )
    if not any(root.iterdir()):
        return Finding(_CHECK, False, f"{root} is empty", "unpack the data set into it")
    packed = archives(root)
    if packed:
        return Finding(
            _CHECK,
            False,
            f"{root} holds archives and no pictures ({packed[0]}, {len(packed)} in all)",
            "unpack them",
        )
    other = f"; it has marks of {KNOWN[here[0]].title}" if here else ""
    return Finding(
        _CHECK,
        False,
        f"{root} is not {titles}: it holds {_named(root)}{other}",
        f"give --dataset {here[0]}" if here else "docs/data.md has the layouts",
    )


def _below(root: Path) -> Iterator[Path]:
    """Folders below, the nearest first, a bounded number; none below one that is a data set."""
    level, seen = [root], 0
    for _ in range(_LEVELS):
        inner = []
        for folder in level:
            for entry in _folders(folder):
                seen += 1
                if seen > _MOST_FOLDERS:
                    return
                yield entry
                if not recognised(entry):
                    inner.append(entry)
        level = inner


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order; none where it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []


def town_split(root: Path, area: str) -> str:
    """The name of the split that an area of a town is: with its size, or any.

    Raises:
        DataError: its page cannot be read.
    """
    page = cvtown.read_page(root / f"{area}.json")
    if page.get("seed") != cvtown.SUITE_SEED or page.get("size") not in cvtown.SIZES:
        return f"any-{area}"
    if page.get("form") not in ("pairs", "vigor"):
        raise DataError(f"{root / area}.json is not what cvgl-bench town wrote.")
    return area if page["size"] == cvtown.SIZES[0] else f"{area}-{page['size']}"
