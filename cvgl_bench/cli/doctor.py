"""cvgl-bench doctor: what is wrong, in a minute, before a long run says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvgl_bench.cli import completing, options, output

if TYPE_CHECKING:
    from cvgl_bench import data_doctor
    from cvgl_bench.doctor import Finding

_MARKS = {True: "ok", False: "FAILED", None: "-"}
_LONGEST_LINE = 300


@click.group("doctor")
def command() -> None:
    """Say in a minute what is wrong, before a long run does."""


@command.command("model")
@click.argument("name", metavar="NAME|FILE.py:CLASS", shell_complete=completing.models)
@options.weights
@options.device
@output.json_option
@click.pass_context
def model(
    ctx: click.Context, name: str, weights: Path | None, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """Check a known model or your own.

    One line a check: ok, FAILED, or - where it could not be checked. Exit status 1 if any failed.
    """
    from cvgl_bench.doctor import examine_model

    _tell(ctx, name, {"model": name}, examine_model(name, weights, device=device))


@command.command("data")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--dataset", help="A name of `cvgl-bench list datasets`. Default: asks the folder.")
@click.option("--split", help="Look at this split alone. Default: at all that are there.")
@click.option("--quick", is_flag=True, help="Look at headers and ends of pictures, decode none.")
@output.json_option
@click.pass_context
def data(
    ctx: click.Context, root: Path, dataset: str | None, split: str | None, quick: bool
) -> None:
    """Check a data set's folder.

    One line a check: ok, FAILED, or - where it is as it may be; below it, what to do about it. Exit
    status 1 if any failed. Decodes every picture; --quick takes a fraction of the time.
    """
    from cvgl_bench.data_doctor import examine_data

    found = examine_data(
        root,
        dataset,
        split,
        quick=quick,
        begin=lambda total: options.progress_bar(total, "looking", " pictures"),
    )
    asked = {"root": _plain(str(root)), "dataset": dataset, "split": split, "quick": quick}
    _tell(ctx, str(root), asked, found)


def _tell(
    ctx: click.Context,
    name: str,
    asked: Mapping[str, object],
    found: Iterable[Finding | data_doctor.Finding],
) -> None:
    """Print findings as they come, and end with status 1 if one failed."""
    findings: list[dict[str, object]] = []
    causes: dict[object, object] = {}
    for finding in found:
        fields = {key: _plain(value) for key, value in asdict(finding).items()}
        check = fields["check"]
        detail = fields["detail"]
        # One fault fails many checks: it is worded once.
        if finding.passed is False and causes.setdefault(detail, check) != check:
            detail = f"for the same reason as {causes[detail]}"
        output.show(f"{_MARKS[finding.passed]:<7} {check:<38} {detail}")
        if fix := fields.get("fix"):
            output.show(f"{'':<7} {'to do:':>38} {fix}")
        findings.append(fields)
    failed = sum(finding["passed"] is False for finding in findings)
    output.show(f"\n{_plain(name)}: {failed or 'none'} of {len(findings)} checks failed.")
    output.document({**asked, "failed": failed, "findings": findings})
    if failed:
        ctx.exit(1)


def _plain(value: object) -> object:
    """A text on one line of bounded length, with nothing that a terminal would obey."""
    if not isinstance(value, str):
        return value
    # What a model raises may fill a page, and a file may be called anything.
    text = " ".join(value.split())
    if len(text) > _LONGEST_LINE:
        text = f"{text[:_LONGEST_LINE]} ..."
    return "".join(sign if sign.isprintable() else "?" for sign in text)
