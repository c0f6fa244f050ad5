"""What every page of the site shares: the site's content, its templates and its files."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import Board
from cvgl_bench.published import Published, Source

# By path relative to the site's root, with forward slashes.
Pages = dict[str, bytes]

# No two places on Earth are farther apart, in metres, whichever way round it.
FARTHEST: Final = 20_038_000

_HERE: Final = Path(__file__).parent
_STATIC: Final = _HERE / "static"


@dataclass(frozen=True)
class Site:
    """What a site shows.

    Attributes:
        boards: the leaderboards, by the names of their suites.
        published: the numbers that others report; empty if there are none.
        sources: where those are from, by key.
        version: of the package that builds the site.
    """

    boards: tuple[Board, ...]
    published: tuple[Published, ...]
    sources: dict[str, Source]
    version: str

    @property
    def navigation(self) -> list[tuple[str, str]]:
        """The links that every page begins with: path relative to the site's root, and text."""
        links = [("index.html", "Leaderboards")]
        if self.boards:
            first = self.boards[0].suite.label
            links += [("compare.html", "Compare"), (f"failures/{first}.html", "Failures")]
        links.append(("gallery.html", "Corruptions"))
        if self.published:
            links.append(("reported.html", "Reported numbers"))
        return links


def render(template: str, **values: object) -> bytes:
    """Fill a template; everything that a value holds comes out as text.

    Args:
        template: the name of a file in `templates`.
        values: its variables, `site` (a `Site`) and `page` (the page's path relative to the root)
            always among them. `root`, the way back to the root, and `navigation` are added.

    Returns:
        The page, UTF-8.

    Raises:
        jinja2.UndefinedError: the template uses a variable that is not given.
    """
    site, page = values["site"], values["page"]
    if not isinstance(site, Site) or not isinstance(page, str):
        raise TypeError("a page needs its site and its path")
    added = {"root": "../" * page.count("/"), "navigation": site.navigation}
    return _environment().get_template(template).render(added | values).encode()


def static_pages() -> Pages:
    """The stylesheets and scripts, under `static/`."""
    return {f"static/{path.name}": path.read_bytes() for path in sorted(_STATIC.iterdir())}


def joined(parts: Iterable[Pages]) -> Pages:
    """All pages of several parts of a site.

    Raises:
        RecordError: two parts have a page of the same path.
    """
    made: Pages = {}
    for part in parts:
        if twice := made.keys() & part.keys():
            raise RecordError(
                f"two pages of the site would both be {min(twice)}; rename the suite or the entry "
                "that it shows."
            )
        made |= part
    return made


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "distance": distance, "spoken": spoken}
    return environment


def number(value: float | None, decimals: int = 1) -> str:
    """A number as tables write it; a dash where there is none."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    # Machines may differ in the last bit of a number that lies between two texts.
    text = f"{round(value, 9):.{decimals}f}"
    if not text.strip("-0."):
        # A rounded nothing has no sign.
        return text.removeprefix("-")
    return text.replace("-", "\N{MINUS SIGN}")


def distance(metres: float | None) -> str:
    """Metres as tables write them; a dash where there are none, or more than there are on Earth."""
    return number(metres if metres is not None and metres <= FARTHEST else None)


def spoken(name: str) -> str:
    """A corruption's or family's name in running text: `motion_blur` is motion blur."""
    return name.replace("_", " ")
