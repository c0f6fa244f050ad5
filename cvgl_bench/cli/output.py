"""What a command prints: text for people, or with --json one document for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cvgl_bench.record import Record

Command = TypeVar("Command", bound=Callable[..., Any])
# In the notes that a command shares with those that it runs itself: the context that prints JSON.
_ASKED = "cvgl_bench.cli.output"


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value:
        ctx.meta[_ASKED] = ctx


def json_option(command: Command) -> Command:
    """Add --json, which `show` and `document` obey."""
    option = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Print one JSON document instead of text.",
    )
    return option(command)


def as_json() -> bool:
    """Whether --json was given, to this command or to the one that runs it."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and _ASKED in ctx.meta


def show(text: str = "", **style: Any) -> None:
    """Print text for people; nothing with --json.

    Args:
        text: one line or more.
        style: as `click.style` takes it.
    """
    if not as_json():
        click.secho(text, **style)


def document(content: object) -> None:
    """Print the document of a command; nothing without --json.

    Only the command that was given --json prints, not those that it runs itself.

    Args:
        content: what pydantic makes JSON of: mappings, lists, models, dataclasses, paths, numpy's
            numbers. What is no number, and infinity, becomes null.
    """
    ctx = click.get_current_context(silent=True)
    if ctx is None or ctx.meta.get(_ASKED) is not ctx:
        return
    from pydantic_core import to_json

    click.echo(to_json(content, indent=1, inf_nan_mode="null", fallback=_plain).decode())


def _plain(value: Any) -> object:
    """A number of numpy's as Python's."""
    return value.item()


def run_document(
    record: Record, files: Sequence[Path], reference: Record | None = None
) -> dict[str, object]:
    """Describe a run: what it is of, its cost, and its averages view by view, as fractions.

    Args:
        record: of the run.
        files: that belong to it.
        reference: the run whose errors count as 1 in mCE.
    """
    from cvgl_bench.summary import summarise

    views = dict.fromkeys(score.view for score in record.cells)
    return {
        "model": record.model.name,
        "weights_sha256": record.model.weights_sha256,
        "suite": record.suite.name,
        "version": record.suite.version,
        "profile": record.suite.profile,
        "fingerprint": record.fingerprint,
        "status": record.status,
        "queries": record.data.queries,
        "references": record.data.references,
        "cells": len(record.cells),
        "cells_lacking": len(record.lacking),
        "not_comparable": record.not_comparable,
        "degenerate": record.degenerate,
        "mce_reference": None if reference is None else reference.model.name,
        "cost": record.cost,
        "views": {view: summarise(record, view, reference) for view in views},
        "files": files,
    }
