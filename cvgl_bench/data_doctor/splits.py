"""Do the lists of a split say what they should, and are the pictures there that they name?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.data_doctor.finding import Finding
from cvgl_bench.data_doctor.known import KNOWN, anchor, pinned
from cvgl_bench.data_doctor.recognising import TOWN_CITIES, archives, town_split
from cvgl_bench.datasets import DATASETS, Dataset, cvtown, vigor
from cvgl_bench.datasets.base import check
from cvgl_bench.errors import DataError
from cvgl_bench.suite import load_suite, suite_names


@dataclass(frozen=True)
class Survey:
    """What the lists of a split name.

    Attributes:
        split: which.
        dataset: its queries and references; None if the lists cannot be read.
        findings: what was found.
    """

    split: str
    dataset: Dataset | None
    findings: tuple[Finding, ...]


def splits_of(name: str, root: Path) -> list[str]:
    """The splits that are looked at unless one is named: those of the data set that are there.

    Raises:
        DataError: the page of a town cannot be read.
    """
    if name == "cvtown":
        areas = [area for area in cvtown.AREAS if (root / f"{area}.json").is_file()]
        return [town_split(root, area) for area in areas]
    if name == "vigor":
        towns = [city for city in TOWN_CITIES if (root / city).is_dir()]
        if towns:
            return [f"town-{city.removesuffix('Town').lower()}" for city in towns]
        marks = [
            "" if labels == "original" else f"-{labels}"
            for labels in vigor.LABELS
            if any(_label_files(root, labels))
        ]
        return [f"{split}{mark}" for mark in marks or [""] for split in KNOWN[name].splits]
    return list(KNOWN[name].splits)


def _label_files(root: Path, labels: str) -> Iterator[Path]:
    """Yield the label files of a version that are there."""
    for folder, ending in vigor.LABELS[labels]:
        for name in (vigor.ALL, vigor.TRAIN, vigor.TEST):
            yield from (root / folder).glob(f"*/{name}{ending}.txt")


def survey(name: str, root: Path, split: str, *, needed: bool) -> Survey:
    """Look at a split's lists, counts and the presence of its pictures.

    Args:
        name: a key of `DATASETS`.
        root: its folder.
        split: one of its splits.
        needed: whether the user named the split, so that it may not be missing.
    """
    known = KNOWN[name]
    place = anchor(name, root, split)
    if not needed and split in known.optional and not place.exists():
        detail = f"{place.relative_to(root)} is not there; {known.optional[split]}"
        return Survey(split, None, (Finding(f"{split}: lists", None, detail),))
    try:
        dataset = DATASETS[name].listed(root, split)
    except DataError as error:
        told = str(error).removesuffix(DATASETS[name].OBTAIN).strip()
        finding = Finding(f"{split}: lists", False, told, _fix_of_lists(name, root))
        return Survey(split, None, (finding,))
    return Survey(split, dataset, tuple(_findings(name, root, split, dataset)))


def _findings(name: str, root: Path, split: str, dataset: Dataset) -> Iterator[Finding]:
    counts = len(dataset.pairs), len(dataset.references)
    yield _count(name, split, counts)
    missing = [path for path in files_of(dataset) if not path.is_file()]
    if missing:
        yield _missing(name, root, split, missing, len(files_of(dataset)))
        return
    try:
        check(dataset, root)
    except DataError as error:
        yield Finding(f"{split}: pictures there", False, str(error), "get the lists again")
        return
    yield Finding(f"{split}: pictures there", True, f"all {len(files_of(dataset)):,}")
    known = [pair.ground_position is not None for pair in dataset.pairs]
    if name == "cvusa" and not all(known):
        detail = "split_locations/all.csv is not there; errors in metres are left out"
        yield Finding(f"{split}: positions", None, detail)


def files_of(dataset: Dataset) -> list[Path]:
    """All files that a split names, each once, queries first."""
    queries = [pair.ground for pair in dataset.pairs]
    return [*dict.fromkeys([*queries, *(one.picture for one in dataset.references)])]


def _count(name: str, split: str, found: tuple[int, int]) -> Finding:
    check_name = f"{split}: counts"
    words = f"{found[0]:,} queries, {found[1]:,} references"
    wanted = pinned(name, split)
    if wanted is None:
        suites = [load_suite(each) for each in suite_names()]
        fitting = [each for each in suites if (each.dataset, each.split) == (name, split)]
        says = f"; {fitting[0].name} has {fitting[0].pairs:,}" if fitting else ""
        return Finding(check_name, None, f"{words}{says}, and any number can be drawn")
    if all(want in (None, have) for want, have in zip(wanted, found, strict=True)):
        return Finding(check_name, True, f"{words}, as the split has")
    should = " and ".join(
        f"{want:,} {what}"
        for want, what in zip(wanted, ("queries", "references"), strict=True)
        if want is not None
    )
    return Finding(
        check_name,
        False,
        f"{words}; the split has {should}",
        "complete it: scores on a part compare with no others, and need --partial",
    )


def _missing(name: str, root: Path, split: str, missing: Sequence[Path], listed: int) -> Finding:
    packed = archives(root)
    again = f"unpack {', '.join(packed[:3])}" if packed else f"get them. {DATASETS[name].OBTAIN}"
    return Finding(
        f"{split}: pictures there",
        False,
        f"{len(missing):,} of {listed:,} that the lists name are missing (first: {missing[0]})",
        again,
    )


def _fix_of_lists(name: str, root: Path) -> str:
    packed = archives(root)
    if packed:
        return f"unpack {', '.join(packed[:3])}"
    return f"get the lists again. {DATASETS[name].OBTAIN}"


def extra(datasets: Sequence[Dataset]) -> Finding:
    """Say which files lie among the pictures and are named by no list."""
    named = {path for dataset in datasets for path in files_of(dataset)}
    folders = sorted({path.parent for path in named})
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir():
            found += [entry for entry in folder.iterdir() if entry not in named]
    if not found:
        return Finding("extra files", True, f"none in {len(folders):,} folders of pictures")
    first = min(found)
    detail = f"{len(found):,} that no list names (first: {first}); they are not read"
    return Finding("extra files", None, detail)
