"""What a shell may complete: suites, models, corruptions, views; read without loading anything.

A shell asks at every press of a key, so names are read from the files that define them; importing
`corruptions` would take seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Items = list[CompletionItem]
_SUITES = Path(__file__).parents[1] / "suites"
# What may be looked for in any suite, beside the views that suites name.
_METHODS = ("lrfr", "mrgeo", "sample4geo", "singeo")
_VIEWS = ("full", "heading90", "heading180", "heading270")


def suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of suites, with their titles; where none begins so, files."""
    del ctx, param
    titles = {path.stem: str(_read(path)["title"]) for path in _SUITES.glob("*.toml")}
    return _names(dict(sorted(titles.items())), incomplete) or [
        CompletionItem(incomplete, type="file")
    ]


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of models; where none begins so, files, for one's own."""
    del ctx, param
    from cvgl_bench.models import MODELS

    return _names(dict.fromkeys(sorted(MODELS), ""), incomplete) or [
        CompletionItem(incomplete, type="file")
    ]


def methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of the methods that can be trained."""
    del ctx, param
    return _names(dict.fromkeys(_METHODS, ""), incomplete)


def corruptions(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of corruptions, with commas between them, and none."""
    del ctx, param
    package = find_spec("corruptions")
    if package is None or package.origin is None:
        return []
    return _listed([*_read(Path(package.origin).parent / "severities.toml"), "none"], incomplete)


def views(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Views that suites have, and turned panoramas, with commas between them."""
    del ctx, param
    named = [view for path in sorted(_SUITES.glob("*.toml")) for view in _read(path)["views"]]
    return _listed(dict.fromkeys([*_VIEWS, *named]), incomplete)


def severities(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """1 to 5, with commas between them."""
    del ctx, param
    return _listed("12345", incomplete)


def _read(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _names(helps: Mapping[str, str], incomplete: str) -> Items:
    return [
        CompletionItem(name, help=text or None)
        for name, text in helps.items()
        if name.startswith(incomplete)
    ]


def _listed(names: Iterable[str], incomplete: str) -> Items:
    """Complete the last of some words with commas between them, by one that is not there."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in names
        if name.startswith(last) and name not in given and not (comma and name == "none")
    ]
