"""cvgl-bench publish: runs become leaderboard CSVs and pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvgl_bench.cli import options, output

if TYPE_CHECKING:
    from cvgl_bench.leaderboard import Board
    from cvgl_bench.runs import Run


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
@output.json_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[Path, ...],
    folder: Path,
    check: bool,
    site: Path | None,
    pictures: Path | None,
) -> None:
    """Put runs on the leaderboards.

    RUNS are folders with a record and its ranks, or submissions. Every CSV is derived again from
    all runs in the folder.
    """
    from cvgl_bench import leaderboard

    if check and (runs or site):
        raise click.UsageError("--check looks at what is there; it takes no RUNS and no --site.")
    if pictures and not site:
        raise click.UsageError("--pictures are for the pages; name their folder with --site.")
    if check:
        faults = leaderboard.check(folder)
        for fault in faults:
            click.echo(fault, err=True)
        output.document({"folder": folder, "files": [], "site": None, "faults": faults})
        if faults:
            ctx.exit(1)
        output.show(f"{folder}: every table follows from its runs.")
        return
    derived = _publish(runs, folder, site, pictures)
    stale = leaderboard.stale(folder, derived)
    for fault in stale:
        click.echo(f"{fault}; remove it if it is no longer wanted", err=True)
    page = None if site is None else site / "index.html"
    output.document({"folder": folder, "files": derived, "site": page, "faults": stale})
    if stale:
        ctx.exit(1)


def _publish(
    runs: tuple[Path, ...], folder: Path, site: Path | None, pictures: Path | None
) -> list[Path]:
    from cvgl_bench import leaderboard
    from cvgl_bench.board_folder import entry_folders, held
    from cvgl_bench.errors import RecordError
    from cvgl_bench.runs import read_run
    from cvgl_bench.submission import open_submission

    # What is wrong shall be found before anything is written.
    plain = {path: read_run(path) for path in runs if path.suffix != ".zip"}
    if not runs and not site and not entry_folders(folder):
        raise RecordError(f"{folder} holds no runs; name one to publish.")
    with held(folder):
        added: list[Run] = []
        for path in runs:
            added.append(plain.get(path) or open_submission(path, folder, added))
        if site:
            _refuse_unfit_site(leaderboard.read_boards(folder, added), site, pictures)
        leaderboard.add_runs(folder, added)
        derived = leaderboard.write_derived(folder)
        for path in derived:
            output.show(f"written: {path}")
        if site:
            from cvgl_bench.site import build_site

            build_site(folder, site, pictures=pictures)
            output.show(f"written: {site / 'index.html'}")
    return derived


def _refuse_unfit_site(boards: list[Board], site: Path, pictures: Path | None) -> None:
    from cvgl_bench.site import refuse_others
    from cvgl_bench.site.pictures import may_be_shown, pictures_of

    refuse_others(site)
    for board in boards if pictures else ():
        if pictures and may_be_shown(board.suite):
            pictures_of(board, pictures)
