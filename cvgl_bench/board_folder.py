"""The runs in a leaderboards folder: a folder an entry, which is there whole or not at all."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cvgl_bench.errors import DataError, RecordError
from cvgl_bench.ranks_file import write_ranks
from cvgl_bench.record import Record, read_record, write_record
from cvgl_bench.runs import Run
from cvgl_bench.scoring import RANKS, RECORD

RECORDS: Final = "records"
LOCK: Final = ".lock"

_NEW, _OLD = ".writing-", ".replaced-"
_SECONDS: Final = 60


def entry_of(record: Record) -> str:
    """What tells a model with its weights from all others, fit to name a folder."""
    name, weights = record.model.name, record.model.weights_sha256
    return f"{name}-{weights[:12]}" if weights else name


def entry_folders(folder: Path) -> list[Path]:
    """The folders of all runs, in order; what a killed process was still writing is none."""
    return [
        path
        for path in sorted((folder / RECORDS).glob("*/*"))
        if path.is_dir() and not path.name.startswith(".") and not path.parent.name.startswith(".")
    ]


def refuse_other_model(run: Run, there: Record) -> None:
    """Refuse a run whose entry has the name of another model's, or of other weights'.

    Args:
        run: to be put where `there` is.
        there: the record of the same entry's folder.

    Raises:
        RecordError: twelve digits of a hash, or a name that ends like one, are the same by chance
            or by choice.
    """
    if _identity(run.record) != _identity(there):
        raise RecordError(
            f"the entry {entry_of(run.record)} is taken by {there.model.name} with the weights "
            f"{there.model.weights_sha256 or 'none'}; publish {run.name} under another name."
        )


def _identity(record: Record) -> tuple[str, str]:
    return record.model.name, record.model.weights_sha256


def record_there(path: Path) -> Record | None:
    """The record in an entry's folder; None if it is broken, so that it can be published again."""
    try:
        return read_record(path / RECORD)
    except RecordError:
        return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a leaderboards folder: one process reads, adds and derives at a time; others wait.

    What a killed process left is put right first. It may be held again inside.

    Raises:
        RecordError: another process holds it for more than a minute.
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.resolve() / LOCK, timeout=_SECONDS, is_singleton=True):
            _put_right(folder)
            yield
    except Timeout as error:
        raise RecordError(
            f"another process is publishing in {folder} ({folder / LOCK} is locked); wait for it."
        ) from error
    except OSError as error:
        raise DataError(f"cannot write into {folder}: {error.strerror}.") from error


def put(folder: Path, run: Run) -> Path:
    """Put a run in its place, in the stead of the one that is there; the folder is held.

    A process that is killed leaves the old run or the new one, or both until the next is put.

    Raises:
        DataError: the disk is full or the place cannot be written.
    """
    place = folder / RECORDS / run.record.suite.label / entry_of(run.record)
    fresh, old = (place.with_name(f"{mark}{place.name}") for mark in (_NEW, _OLD))
    write_ranks(fresh / RANKS, run.answers)
    write_record(fresh / RECORD, run.record)
    try:
        _sync(fresh)
        if place.exists():
            place.replace(old)
        fresh.replace(place)
        _sync(place.parent)
        if old.exists():
            shutil.rmtree(old)
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror}.") from error
    return place


def _put_right(folder: Path) -> None:
    for path in sorted((folder / RECORDS).glob("*/.*")):
        if path.name.startswith(_OLD):
            place = path.with_name(path.name.removeprefix(_OLD))
            if not place.exists():
                path.replace(place)
                continue
        if path.name.startswith((_OLD, _NEW)) and path.is_dir():
            shutil.rmtree(path)


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; Windows opens no folders, and needs none of it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
