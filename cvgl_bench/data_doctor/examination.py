"""All checks of a data set's folder, in the order in which a user can do something about them."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.data_doctor.finding import Finding
from cvgl_bench.data_doctor.known import KNOWN, Size
from cvgl_bench.data_doctor.pictures import Bar, Begin, Side, examine_pictures
from cvgl_bench.data_doctor.recognising import TOWN_CITIES, find
from cvgl_bench.data_doctor.splits import extra, splits_of, survey
from cvgl_bench.data_doctor.vigor_labels import examine_labels
from cvgl_bench.datasets import DATASETS, Dataset, cvtown
from cvgl_bench.errors import DataError, unknown


@dataclass(frozen=True)
class _Silent:
    def update(self, n: float = 1) -> None:
        """Tell nobody."""
        del n


def no_bar(total: int) -> "nullcontext[Bar]":
    """Show no progress."""
    del total
    return nullcontext(_Silent())


def examine_data(
    root: Path,
    dataset: str | None = None,
    split: str | None = None,
    *,
    quick: bool = False,
    begin: Begin = no_bar,
) -> Iterator[Finding]:
    """Check a data set's folder; yields what is found as it is found.

    Which data set it is, in which layout, and whether the folder is a level too high or too low;
    lists, counts and missing pictures split by split; which labels VIGOR's are; files that no list
    names; and of every picture whether it is whole, of a kind that is read and of the right size.

    Args:
        root: the folder that would be given as --data.
        dataset: a key of `DATASETS`; None asks the folder.
        split: look at this one alone; None at all that are there.
        quick: look at the headers and ends of pictures, and decode none.
        begin: makes a progress bar for a number of pictures.

    Raises:
        DataError: the data set or the split is unknown.
    """
    if dataset is not None and dataset not in KNOWN:
        raise DataError(unknown("data set", dataset, KNOWN))
    name, told = find(root, dataset)
    yield from told
    if name is None:
        _refuse_unknown(dataset, split)
        return
    _refuse_unknown(name, split)
    try:
        splits = splits_of(name, root) if split is None else [split]
    except DataError as error:
        yield Finding("lists", False, str(error), "make the town again in another folder")
        return
    surveys = [survey(name, root, each, needed=split is not None) for each in splits]
    for one in surveys:
        yield from one.findings
    if name == "vigor" and not any((root / city).is_dir() for city in TOWN_CITIES):
        yield from examine_labels(root)
    found = [one.dataset for one in surveys if one.dataset is not None]
    if not found:
        return
    if split is None:
        yield extra(found)
    yield from examine_pictures(_sides(name, root, splits, found), begin, quick=quick)


def _refuse_unknown(dataset: str | None, split: str | None) -> None:
    if dataset is not None and split is not None and split not in DATASETS[dataset].SPLITS:
        raise DataError(unknown(f"split of {dataset}", split, DATASETS[dataset].SPLITS))


def _sides(name: str, root: Path, splits: Sequence[str], datasets: Sequence[Dataset]) -> list[Side]:
    """The files of both sides that are there, each once; ground pictures first."""
    grounds: dict[Path, None] = {}
    aerials: dict[Path, None] = {}
    for dataset in datasets:
        queries = dict.fromkeys(pair.ground for pair in dataset.pairs)
        references = dict.fromkeys(one.picture for one in dataset.references)
        swapped = dataset.query_side == "aerial"
        grounds |= references if swapped else queries
        aerials |= queries if swapped else references
    sizes = _sizes(name, root, splits)
    return [
        Side(side, [path for path in files if path.is_file()], size)
        for side, files, size in zip(
            ("ground pictures", "aerial pictures"), (grounds, aerials), sizes, strict=True
        )
    ]


def _sizes(name: str, root: Path, splits: Sequence[str]) -> tuple[Size | None, Size | None]:
    """Width and height of ground and aerial pictures, as far as they are known."""
    pages = [root / f"{area}.json" for area in cvtown.AREAS]
    there = [page for page in pages if page.is_file()]
    if there and (name == "cvtown" or splits[0].startswith("town-")):
        page = cvtown.read_page(there[0])
        height, width = page.get("panorama_size", (None, None))
        side = page.get("aerial_size")
        return (width, height) if width else None, (side, side) if side else None
    return KNOWN[name].query, KNOWN[name].reference
