"""A site's folder: told from everybody else's folders, and replaced as a whole.

A site lists its files with their hashes. What the list does not name, or what was changed since, is
somebody's, and a folder that holds such a thing is left as it is.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from filelock import FileLock, Timeout

from cvgl_bench.errors import DataError
from cvgl_bench.files import settle, sha256, sha256_of_file, write_atomically
from cvgl_bench.site.pages import Pages

LISTING: Final = "files.txt"
FIRST_LINE: Final = "The files of a site that cvgl-bench made, each with its SHA-256."
_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")


def write_pages(pages: Pages, out: Path) -> None:
    """Write a site beside `out`, then put it in its place.

    `out` holds the old site or the new one, whole, whatever happens: where the computer stops
    between the two, the next call puts the old one back before it does anything else.

    Raises:
        DataError: `out` holds files that are no site's, cannot be written, or another process is
            writing there.
    """
    refuse_others(out)
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _alone_beside(out) as work:
            fresh = work / "new"
            for path, data in {**pages, LISTING: _listing(pages)}.items():
                write_atomically(fresh / path, data, durable=False)
            settle()
            # Writing took a while, in which somebody may have put something there.
            refuse_others(out)
            _swap(fresh, out, work / "old")
    except OSError as error:
        raise DataError(f"cannot write the site to {out}: {error.strerror}.") from error


def refuse_others(out: Path) -> None:
    """Refuse to replace a folder that is not empty and is no site as cvgl-bench left it.

    Raises:
        DataError: it is a file; or holds a file that no site's listing names or that was changed
            since, a link, or a folder of none of the listed files; or cannot be read.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is no folder; name one for the site.")
    try:
        others = _others(out.resolve())
    except OSError as error:
        raise DataError(f"cannot read {out}: {error.strerror}.") from error
    if others:
        raise DataError(
            f"{out} holds '{others[0]}', which is no part of a site as cvgl-bench left it; name an "
            "empty folder."
        )


def _others(out: Path) -> list[str]:
    """What is not the site's own: by path relative to the folder, sorted; links not followed."""
    listed = _listed(out / LISTING)
    folders = {parent.as_posix() for path in listed for parent in PurePosixPath(path).parents}
    others = []
    waiting = [out]
    while waiting:
        for path in waiting.pop().iterdir():
            name = path.relative_to(out).as_posix()
            if path.is_symlink():
                others.append(name)
            elif path.is_dir():
                waiting.append(path)
                if name not in folders:
                    others.append(name)
            elif name == LISTING and listed:
                continue
            elif not path.is_file() or sha256_of_file(path) != listed.get(name):
                others.append(name)
    return sorted(others)


def _listing(pages: Pages) -> bytes:
    lines = [f"{sha256(data)}  {path}" for path, data in sorted(pages.items())]
    return "".join(f"{line}\n" for line in [FIRST_LINE, *lines]).encode()


def _listed(listing: Path) -> dict[str, str]:
    """The hashes of a site's files by path; none if the listing is not one of ours, as written."""
    if listing.is_symlink() or not listing.is_file():
        return {}
    first, *lines = listing.read_bytes().decode("utf-8", "replace").removesuffix("\n").split("\n")
    found = [_LINE.fullmatch(line) for line in lines]
    if first != FIRST_LINE or None in found:
        return {}
    return {each[2]: each[1] for each in found if each}


@contextmanager
def _alone_beside(out: Path) -> Iterator[Path]:
    """Hold a folder beside `out` to write in, and tidy up what a killed process left in it."""
    work = out.with_name(f".cvgl-bench-{out.name}")
    work.mkdir(exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            old = work / "old"
            if old.exists() and not out.exists():
                old.rename(out)
            for name in ("old", "new"):
                if (work / name).exists():
                    shutil.rmtree(work / name)
            try:
                yield work
            finally:
                # An old site that could not be put back is kept for the next call.
                if not old.exists():
                    shutil.rmtree(work, ignore_errors=True)
    except Timeout as error:
        raise DataError(
            f"another process is writing the site {out}; wait for it, or name another folder."
        ) from error


def _swap(fresh: Path, out: Path, old: Path) -> None:
    """Put a folder in the place of another, which is deleted; or leave that where it was."""
    if out.exists():
        out.rename(old)
    try:
        fresh.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    if old.exists():
        # What is deleted in part must not be taken for a site that is to be put back.
        old.rename(fresh)
