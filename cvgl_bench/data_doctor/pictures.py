"""Are the files pictures, whole, of the kind and the size that they should be?"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cvgl_bench.codec import decode, look_at
from cvgl_bench.data_doctor.finding import Finding
from cvgl_bench.data_doctor.known import Size
from cvgl_bench.errors import DataError
from cvgl_bench.files import read

# What a whole file ends with; cameras and tools may leave a few bytes behind it.
_ENDS: Final = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
_PAGES: Final = (b"<!doctype", b"<html", b"<?xml")
_LFS: Final = b"version https://git-lfs"
# What `decode` says of a file that is not whole.
_CUT_OFF: Final = ("no end", "truncated", "complete", "cannot be decoded", "cannot be read")
_AGAIN: Final = "get it again from the archive or the server that it came from"
_TAIL: Final = 4096
_HEAD: Final = 512
_THREADS: Final = min(16, (os.cpu_count() or 1) + 4)


class Bar(Protocol):
    """Is told how many pictures more have been looked at."""

    def update(self, n: float = 1) -> object:
        """So many more."""


Begin = Callable[[int], AbstractContextManager[Bar]]


@dataclass(frozen=True)
class Seen:
    """What a file is.

    Attributes:
        path: which.
        size: width and height; None if that cannot be told.
        fault: what is wrong with it; "" if nothing.
        fix: what to do about it.
    """

    path: Path
    size: Size | None
    fault: str = ""
    fix: str = ""


def look(path: Path, *, quick: bool) -> Seen:
    """Look at a picture: all of it decoded, or with `quick` only its header and its end."""
    try:
        if quick:
            return _look_at_ends(path)
        height, width = decode(read(path), path.name).shape[:2]
    except DataError as error:
        return Seen(path, None, *_fault(path, str(error)))
    return Seen(path, (width, height))


def _look_at_ends(path: Path) -> Seen:
    size, kind = look_at(path)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read()
    if _ENDS[kind] in tail:
        return Seen(path, size)
    return Seen(path, size, *_fault(path, "it has no end"))


def _fault(path: Path, told: str) -> tuple[str, str]:
    """Word what is wrong with a file, by how it begins, and what to do."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"cannot be read ({error.strerror})", "give yourself the right to read it"
    start = head.lstrip().lower()
    if not head.strip(b"\0"):
        return ("holds zeros where a picture begins" if head else "is empty"), _AGAIN
    if start.startswith(_LFS):
        return "is a pointer of Git LFS, not the picture", "git lfs pull"
    if start.startswith(_PAGES):
        return "is a web page: its download failed", _AGAIN
    if any(word in told for word in _CUT_OFF):
        return f"is cut off or damaged ({path.stat().st_size:,} bytes)", _AGAIN
    return told.removesuffix("."), "convert nothing yourself: get the data set's own files"


@dataclass(frozen=True)
class Side:
    """The files of one side of a data set.

    Attributes:
        name: "queries" or "references".
        files: each once.
        size: that they should have; None if any will do.
    """

    name: str
    files: Sequence[Path]
    size: Size | None


def examine_pictures(sides: Sequence[Side], begin: Begin, *, quick: bool) -> Iterator[Finding]:
    """Look at all pictures, with threads, and say what is wrong with those of each side.

    Args:
        sides: what to look at.
        begin: makes a progress bar for a number of pictures.
        quick: look at headers and ends only.
    """
    total = sum(len(side.files) for side in sides)
    with begin(total) as bar, ThreadPoolExecutor(_THREADS) as readers:
        for side in sides:
            seen = []
            for one in readers.map(lambda path: look(path, quick=quick), side.files):
                seen.append(one)
                bar.update(1)
            yield _whole(side, seen, quick=quick)
            yield _sizes(side, seen)


def _whole(side: Side, seen: Sequence[Seen], *, quick: bool) -> Finding:
    check = f"{side.name}: whole"
    broken = [one for one in seen if one.fault]
    if broken:
        first = broken[0]
        count = f"{len(broken):,} of {len(seen):,} cannot be used, " if len(broken) > 1 else ""
        return Finding(check, False, f"{count}{first.path} {first.fault}", first.fix)
    how = "headers and ends" if quick else "decoded"
    return Finding(check, True, f"{len(seen):,} pictures, {how}")


def _sizes(side: Side, seen: Sequence[Seen]) -> Finding:
    check = f"{side.name}: size"
    sizes = Counter(one.size for one in seen if one.size is not None)
    if not sizes:
        return Finding(check, None, "no picture can be read")
    found = ", ".join(f"{w} x {h} ({n:,})" for (w, h), n in sizes.most_common(3))
    if side.size is None:
        return Finding(check, True if len(sizes) == 1 else None, found)
    other = [one for one in seen if one.size not in (None, side.size)]
    if not other:
        return Finding(check, True, found)
    width, height = side.size
    return Finding(
        check,
        False,
        f"{len(other):,} of {len(seen):,} are not {width} x {height} pixels as the data set's are: "
        f"{found} (first: {other[0].path})",
        "corruptions depend on the size: get the originals, not a resized or polar copy",
    )
