"""The static site: the leaderboards as pages that need no server, no network and no build step."""

from pathlib import Path
from typing import Final

from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import read_boards
from cvgl_bench.published import read_published, read_sources
from cvgl_bench.site import boards, comparing, failures, gallery, models, reported
from cvgl_bench.site.folder import refuse_others, write_pages
from cvgl_bench.site.pages import Pages, Site, joined, static_pages
from cvgl_bench.version import __version__

__all__ = ["build_site", "make_pages", "read_site", "refuse_others", "write_pages"]

PUBLISHED: Final = "published"


def build_site(leaderboards: Path, out: Path, *, pictures: Path | None) -> None:
    """Build the whole site from a leaderboards folder; the same records give the same bytes.

    Args:
        leaderboards: with `records` and, if there are any, `published`.
        out: the site's folder; one that an earlier call made is replaced as a whole.
        pictures: a CVTown data set to take pictures from; None shows ids.

    Raises:
        RecordError: a run or a table is broken, or there is nothing to show.
        DataError: `out` holds what is no part of a site as it was left, or cannot be written.
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

    Raises:
        RecordError: two of them would be one file.
    """
    reports = {board.suite.label: boards.report_of(board) for board in site.boards}
    parts = (
        static_pages(),
        boards.pages(site, reports),
        models.pages(site, reports),
        comparing.pages(site, reports),
        reported.pages(site),
        gallery.pages(site, pictures),
        failures.pages(site, pictures),
    )
    return joined(parts)
