"""cvgl-bench doctor: what is wrong, in a minute, before a long run says it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvgl_bench.cli import options

if TYPE_CHECKING:
    from cvgl_bench.doctor import Finding

_MARKS = {True: "ok", False: "FAILED", None: "-"}
_LONGEST_LINE = 300


@click.group("doctor")
def command() -> None:
    """Say in a minute what is wrong, before a long run does."""


@command.command("model")
@click.argument("name", metavar="NAME|FILE.py:CLASS")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint; all of it must fit.")
@options.device
@click.pass_context
def model(
    ctx: click.Context, name: str, weights: Path | None, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """Check a known model or your own.

    One line a check: ok, FAILED, or - where it could not be checked. Exit status 1 if any failed.
    """
    from cvgl_bench.doctor import examine_model

    findings = []
    for finding in examine_model(name, weights, device=device):
        click.echo(_line(finding))
        findings.append(finding)
    failed = sum(finding.passed is False for finding in findings)
    click.echo(f"\n{name}: {failed or 'none'} of {len(findings)} checks failed.")
    if failed:
        ctx.exit(1)


def _line(finding: Finding) -> str:
    # What a model raises may fill a page.
    detail = " ".join(finding.detail.split())
    if len(detail) > _LONGEST_LINE:
        detail = f"{detail[:_LONGEST_LINE]} ..."
    return f"{_MARKS[finding.passed]:<7} {finding.check:<38} {detail}"
