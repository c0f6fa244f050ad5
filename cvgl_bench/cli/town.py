"""cvgl-bench town: write the built-in world to disk."""

from pathlib import Path

import click

from cvgl_bench.cli import options


@click.command()
@click.option("--out", type=options.FOLDER, required=True, help="Where the data set goes.")
@click.option("--pairs", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Which town.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def command(out: Path, pairs: int, seed: int, workers: int) -> None:
    """Render CVTown, the built-in data set.

    Street panoramas and aerial tiles of one seeded town, in CVUSA's layout. The suite cvtown-c is
    100 pairs of the town with seed 7; for others, write a suite of your own with split = "any".
    """
    from cvgl_bench.town.world import write_town

    with options.progress_bar(pairs, "town", " pairs") as bar:
        write_town(out, pairs=pairs, seed=seed, workers=workers, progress=bar.update)
    click.echo(f"{out}: {pairs:,} pairs of the town with seed {seed}.")
