"""The static site: the leaderboards as pages that need no server, no network and no build step."""

import tempfile
from pathlib import Path
from typing import Final

from cvgl_bench.errors import DataError, RecordError
from cvgl_bench.files import settle, write_atomically
from cvgl_bench.leaderboard import read_boards
from cvgl_bench.published import read_published, read_sources
from cvgl_bench.site import boards, comparing, failures, gallery, models, reported
from cvgl_bench.site.pages import Pages, Site, static_pages
from cvgl_bench.version import __version__

__all__ = ["build_site", "make_pages", "read_site", "write_pages"]

PUBLISHED: Final = "published"
# Lists every file of a site, so that a folder is known to hold nothing else before it is replaced.
LISTING: Final = "files.txt"


def build_site(leaderboards: Path, out: Path, *, pictures: Path | None) -> None:
    """Build the whole site from a leaderboards folder; the same records give the same bytes.

    Args:
        leaderboards: with `records` and, if there are any, `published`.
        out: the site's folder; one that an earlier call made is replaced as a whole.
        pictures: a CVTown data set to take pictures from; None shows ids.

    Raises:
        RecordError: a run or a table is broken, or there is nothing to show.
        DataError: `out` holds other files, or cannot be written.
    """
    refuse_others(out)
    write_pages(make_pages(read_site(leaderboards), pictures), out)


def read_site(leaderboards: Path) -> Site:
    """Read what a site shows.

    Raises:
        RecordError: a run or a table is broken, or there is neither a run nor a table.
    """
    published = leaderboards / PUBLISHED
    has_tables = published.is_dir()
    site = Site(
        tuple(read_boards(leaderboards)),
        read_published(published) if has_tables else (),
        read_sources(published) if has_tables else {},
        __version__,
    )
    if not site.boards and not site.published:
        raise RecordError(
            f"{leaderboards} holds neither runs nor published numbers; publish a run first."
        )
    return site


def make_pages(site: Site, pictures: Path | None = None) -> Pages:
    """Make every file of the site.

    Args:
        site: what it shows.
        pictures: as `build_site`.
    """
    reports = {board.suite.label: boards.report_of(board) for board in site.boards}
    return (
        static_pages()
        | boards.pages(site, reports)
        | models.pages(site, reports)
        | comparing.pages(site, reports)
        | reported.pages(site)
        | gallery.pages(site, pictures)
        | failures.pages(site, pictures)
    )


def write_pages(pages: Pages, out: Path) -> None:
    """Write a site beside `out`, then put it in its place.

    Raises:
        DataError: `out` holds files that are no site's, or cannot be written.
    """
    refuse_others(out)
    listing = "".join(f"{path}\n" for path in sorted([*pages, LISTING]))
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=out.parent) as scratch:
            fresh = Path(scratch) / "site"
            for path, data in {**pages, LISTING: listing.encode()}.items():
                write_atomically(fresh / path, data, durable=False)
            settle()
            if out.exists():
                out.replace(Path(scratch) / "old")
            fresh.replace(out)
    except OSError as error:
        raise DataError(f"cannot write the site to {out}: {error.strerror}.") from error


def refuse_others(out: Path) -> None:
    """Refuse to replace a folder that is not empty and is no site.

    Raises:
        DataError: it is a file, or holds one that no site's listing names.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is no folder; name one for the site.")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    listing = out / LISTING
    own = set(listing.read_text("utf-8", "replace").splitlines()) if listing.is_file() else set()
    if others := sorted(found - own):
        raise DataError(
            f"{out} holds '{others[0]}', which is no part of a site that cvgl-bench made; name an "
            "empty folder."
        )
