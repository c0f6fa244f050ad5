"""Photos of the user's own become folders of corrupted pictures.

    DIR/<photo>/codec_only.jpg             the photo, upright, through the same encoder as the rest
    DIR/<photo>/<corruption>-<severity>.jpg
    DIR/<photo>/corrupted.json             seed, hashes and how they were made
    DIR/<photo>/contact-sheet.png

One folder a photo, because what is looked at is one photo in all its states; a benchmark's set is
laid out by state. With PNG the first picture is clean.png: nothing is lost on its way.

Chance follows from the photo's bytes, the seed, corruption and severity. So a photo has the same
pictures wherever it lies and whatever it is called, and in any order, process or selection.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from corruptions import CORRUPTIONS
from cvgl_bench.contact_sheet import SHEET, draw_sheet
from cvgl_bench.corrupted_page import (
    PAGE,
    WORK,
    CorruptedPage,
    Picture,
    read_corrupted_page,
    write_corrupted_page,
)
from cvgl_bench.corrupted_picture import Recipe, State, Task, render
from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import sha256_of_file
from cvgl_bench.own_pictures import Photo, shown
from cvgl_bench.suite import CLEAN, CODEC_ONLY


@dataclass(frozen=True)
class Result:
    """What there is of a photo.

    Attributes:
        photo: which.
        folder: where its pictures are.
        pictures: names of those that were asked for.
        made: how many of them this run made; the others were there.
        sheet: the contact sheet; None if none was asked for.
    """

    photo: Photo
    folder: Path
    pictures: tuple[str, ...]
    made: int
    sheet: Path | None


def folders_of(photos: Sequence[Path], out: Path) -> list[Path]:
    """Where each photo's pictures go: a folder of its name without the ending.

    Raises:
        DataError: a name is none of a folder, or two photos have the same.
    """
    taken: dict[str, Path] = {}
    for photo in photos:
        name = photo.stem
        # "...jpg" would name the folder above, what begins with a dot is hidden, and some disks
        # drop a dot or blank at the end.
        if name.startswith(".") or name != name.rstrip(". "):
            raise DataError(f"{shown(photo)}: '{shown(name)}' names no folder. Rename the photo.")
        # Some disks do not tell capitals from small letters.
        other = taken.setdefault(name.casefold(), photo)
        if other is not photo:
            raise DataError(
                f"{shown(other)} and {shown(photo)} would both go to {shown(out / name)}. Rename "
                "one, or corrupt them into folders of their own."
            )
    return [out / photo.stem for photo in photos]


def corrupt_photos(
    photos: Sequence[Photo],
    out: Path,
    recipe: Recipe,
    states: Sequence[State],
    *,
    workers: int = 1,
    sheets: bool = True,
    progress: Progress = no_progress,
) -> list[Result]:
    """Make the pictures that are not there yet, then the contact sheets.

    Args:
        photos: as `check_photos` found them.
        out: the folder of all.
        recipe: how.
        states: what, see `states_of`.
        workers: processes.
        sheets: whether to draw contact sheets, of all that is on each page.
        progress: told how many pictures more are there.

    Raises:
        DataError: a folder holds something else or cannot be written, a photo has changed, or
            another process is at work.
    """
    folders = folders_of([photo.path for photo in photos], out)
    with _alone_in(out):
        pages = {
            folder: _opened(folder, recipe.page(photo))
            for photo, folder in zip(photos, folders, strict=True)
        }
        tasks: list[Task] = []
        made = dict.fromkeys(folders, 0)
        for photo, folder in zip(photos, folders, strict=True):
            missing = _missing(folder, pages[folder], recipe, states)
            progress(len(states) - len(missing))
            tasks += _tasks(photo, folder, recipe, missing)
        for folder, pictures in run_local(render, tasks, workers=workers, describe=_title):
            pages[folder] = _with(pages[folder], pictures)
            write_corrupted_page(folder, pages[folder])
            made[folder] += len(pictures)
            progress(len(pictures))
        drawn = list(run_local(draw_sheet, folders if sheets else [], workers=workers))
    names = tuple(recipe.name_of(state) for state in states)
    return [
        Result(photo, folder, names, made[folder], folder / SHEET if drawn else None)
        for photo, folder in zip(photos, folders, strict=True)
    ]


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold the folder, with a place for what is being written, which goes away at the end."""
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {shown(out)}: {error.strerror}.") from error
    try:
        with FileLock(out / WORK / "lock").acquire(timeout=0):
            try:
                yield
            finally:
                shutil.rmtree(out / WORK, ignore_errors=True)
    except Timeout as error:
        raise DataError(
            f"another run is writing into {shown(out)}. Wait for it, or choose another --out."
        ) from error


def _opened(folder: Path, page: CorruptedPage) -> CorruptedPage:
    """The page of a folder: what is there of the same photo and recipe, or the new one."""
    if (folder / PAGE).is_file():
        there = read_corrupted_page(folder)
        differing = [key for key, value in page.recipe.items() if there.recipe[key] != value]
        if differing:
            raise DataError(
                f"{shown(folder)} holds pictures with another {', '.join(differing)} than asked "
                "for. Choose another --out."
            )
        return there
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{shown(folder)} is there, and not of cvgl-bench corrupt. Choose another --out."
        )
    return page


def _missing(
    folder: Path, page: CorruptedPage, recipe: Recipe, states: Sequence[State]
) -> list[State]:
    """The states whose pictures are not there as the page has them."""

    def is_there(name: str) -> bool:
        path, known = folder / name, page.pictures.get(name)
        return known is not None and path.is_file() and sha256_of_file(path) == known.sha256

    return [state for state in states if not is_there(recipe.name_of(state))]


def _tasks(photo: Photo, folder: Path, recipe: Recipe, states: Sequence[State]) -> Iterator[Task]:
    """A task a corruption: small enough that one photo keeps several processes busy."""
    for corruption in dict.fromkeys(name for name, _ in states):
        some = tuple(state for state in states if state[0] == corruption)
        yield Task(photo, folder, recipe, some)


def _title(task: Task) -> str:
    return task.title


def _with(page: CorruptedPage, pictures: dict[str, Picture]) -> CorruptedPage:
    """A page with more pictures, in the tables' order."""
    order = {name: place for place, name in enumerate((CODEC_ONLY, CLEAN, *CORRUPTIONS))}
    every = {**page.pictures, **pictures}
    names = sorted(every, key=lambda name: (order[every[name].corruption], every[name].severity))
    return page.model_copy(update={"pictures": {name: every[name] for name in names}})
