"""cvgl-bench publish: records become leaderboard CSVs."""

from pathlib import Path

import click

from cvgl_bench.cli import options


@click.command()
@click.argument("records", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--folder",
    type=options.FOLDER,
    default=Path("leaderboards"),
    show_default=True,
    help="The leaderboards.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a CSV differs.")
@click.pass_context
def command(ctx: click.Context, records: tuple[Path, ...], folder: Path, check: bool) -> None:
    """Put records on the leaderboards.

    Every CSV is derived again from all records in the folder.
    """
    from cvgl_bench import leaderboard
    from cvgl_bench.record import read_record

    if check and records:
        raise click.UsageError("--check looks at what is there and takes no RECORDS.")
    if check:
        faults = leaderboard.check(folder)
        for fault in faults:
            click.echo(fault, err=True)
        if faults:
            ctx.exit(1)
        click.echo(f"{folder}: every table follows from its records.")
        return
    leaderboard.add_records(folder, [read_record(path) for path in records])
    for path in leaderboard.write_derived(folder):
        click.echo(f"written: {path}")
