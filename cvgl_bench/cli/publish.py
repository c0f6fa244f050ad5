"""cvgl-bench publish: runs become leaderboard CSVs and pages."""

from pathlib import Path

import click

from cvgl_bench.cli import options


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--folder",
    type=options.FOLDER,
    default=Path("leaderboards"),
    show_default=True,
    help="The leaderboards.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a CSV differs.")
@click.option("--site", type=options.FOLDER, help="Build the pages as well, into this folder.")
@click.option(
    "--pictures",
    type=options.FOLDER,
    help="A CVTown data set, as `cvgl-bench town` writes it, to take the pages' pictures from.",
)
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[Path, ...],
    folder: Path,
    check: bool,
    site: Path | None,
    pictures: Path | None,
) -> None:
    """Put RUNS on the leaderboards: folders with a record and its ranks, or submissions.

    Every CSV is derived again from all runs in the folder.
    """
    from cvgl_bench import leaderboard
    from cvgl_bench.runs import read_run
    from cvgl_bench.submission import open_submission

    if check and (runs or site):
        raise click.UsageError("--check looks at what is there; it takes no RUNS and no --site.")
    if pictures and not site:
        raise click.UsageError("--pictures are for the pages; name their folder with --site.")
    if check:
        faults = leaderboard.check(folder)
        for fault in faults:
            click.echo(fault, err=True)
        if faults:
            ctx.exit(1)
        click.echo(f"{folder}: every table follows from its runs.")
        return
    added = [
        open_submission(path, folder) if path.suffix == ".zip" else read_run(path) for path in runs
    ]
    leaderboard.add_runs(folder, added)
    for path in leaderboard.write_derived(folder):
        click.echo(f"written: {path}")
    if site:
        from cvgl_bench.site import build_site

        build_site(folder, site, pictures=pictures)
        click.echo(f"written: {site / 'index.html'}")
