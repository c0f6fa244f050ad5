"""cvgl-bench submit: a run becomes one file that others can verify."""

from pathlib import Path

import click

from cvgl_bench.cli import options, output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file. Default: <suite>-<version>-<model>-<weights>.zip, here.",
)
@click.option(
    "--folder",
    type=options.FOLDER,
    default=Path("leaderboards"),
    show_default=True,
    help="The leaderboards that it is for; without them, other runs are not compared.",
)
@output.json_option
@click.pass_context
def command(ctx: click.Context, run: Path, out: Path | None, folder: Path) -> None:
    """Pack RUN, the folder of a run, for the leaderboards.

    Its record and its ranks go into one file, no code and no picture. What verify-submission would
    refuse is refused here.
    """
    from cvgl_bench.files import write_atomically
    from cvgl_bench.submission import pack_run
    from cvgl_bench.suite import CLEAN
    from cvgl_bench.summary import summarise

    packed = pack_run(run, folder if folder.is_dir() else None, out.name if out else "")
    output.show(packed.report.text)
    if not packed.report.accepted:
        click.echo("Nothing was written.", err=True)
        output.document({**packed.report.as_json, "files": []})
        ctx.exit(1)
    path = out or Path(packed.name)
    write_atomically(path, packed.data)
    record = packed.run.record
    for view in record.suite.views:
        summary = summarise(record, view)
        shown = {f"R@1 {CLEAN}": summary.r1_clean, "R@1_cor": summary.r1_cor}
        numbers = [
            f"{name} {100 * value:.2f}" for name, value in shown.items() if value is not None
        ]
        output.show(f"{record.model.name}, {record.suite.label}, {view}: {', '.join(numbers)}")
    output.show(f"written: {path} ({len(packed.data):,} bytes)")
    output.document({**packed.report.as_json, "files": [path]})
    output.show("Put it into leaderboards/submissions/ and open a pull request (CONTRIBUTING.md).")
