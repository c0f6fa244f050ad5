"""cvgl-bench verify-submission: does every number of a submission follow from its ranks?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvgl_bench.cli import output

if TYPE_CHECKING:
    from cvgl_bench.runs import Run
    from cvgl_bench.submission import Report


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="The leaderboards that they are for.",
)
@output.json_option
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], folder: Path) -> None:
    """Verify submissions; writes nothing.

    FILES are what `cvgl-bench submit` made. Every number is computed again from the ranks, and each
    file compared with the runs that are there and the files before it. A line a check: passed,
    failed, or a note for whoever reviews. Exit status 0 if no check of any file failed.
    """
    from cvgl_bench.submission import verify_file

    reports: list[Report] = []
    before: list[Run] = []
    for path in files:
        report, run = verify_file(path, folder, before)
        reports.append(report)
        if run is not None and report.accepted:
            before.append(run)
    output.show("\n\n".join(report.text for report in reports))
    output.document([report.as_json for report in reports])
    if not all(report.accepted for report in reports):
        ctx.exit(1)
