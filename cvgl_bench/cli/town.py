"""cvgl-bench town: write the built-in world to disk."""

from __future__ import annotations

from pathlib import Path

import click

from cvgl_bench.cli import options, output
from cvgl_bench.datasets.cvtown import AREAS, SIZES


@click.command()
@click.option("--out", type=options.FOLDER, required=True, help="Where the data set goes.")
@click.option(
    "--split", type=click.Choice(AREAS), default="test", show_default=True, help="Which area."
)
@click.option(
    "--pairs",
    type=click.IntRange(1, 1_000_000),
    help="How many; by default train 20,000, val 1,000, test and cross 2,000.",
)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Which town.")
@click.option(
    "--size", type=click.Choice(SIZES), default="cvusa", show_default=True, help="Of the pictures."
)
@click.option(
    "--form",
    type=click.Choice(["pairs", "vigor"]),
    default="pairs",
    show_default=True,
    help="Layout: CVUSA's, or VIGOR's with tiles on a grid.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--shard",
    type=options.Shard(),
    default=(1, 1),
    help="I/N: make only the I-th of N shares; the last to end finishes the split.",
)
@output.json_option
def command(
    out: Path,
    split: str,
    pairs: int | None,
    seed: int,
    size: str,
    form: str,
    workers: int,
    shard: tuple[int, int],
) -> None:
    """Render CVTown, the built-in data set.

    Street panoramas and aerial tiles of one seeded town. Its splits are areas that never meet;
    cross is of another style. Run it once a split to have several in one folder. Sizes: cvusa is
    1232 x 224 (+-32.6 degrees) with tiles of 384, cvact 1664 x 832 (the whole sphere) with tiles
    of 384, small 616 x 112 with tiles of 256 pixels; a tile always shows 76.8 m.

    Number of workers, shards, kills and resumes change no byte.
    """
    from cvgl_bench.town.order import SIZES as PICTURE_SIZES
    from cvgl_bench.town.order import Order
    from cvgl_bench.town.regions import REGIONS
    from cvgl_bench.town.world import write_town

    pairs = REGIONS[split].pairs if pairs is None else pairs
    order = Order(out, split, pairs, seed, PICTURE_SIZES[size], form)
    total = sum(len(order.numbers(district)) for district in order.share(shard))
    with options.progress_bar(total, f"town {split}", " pairs") as bar:
        left = write_town(order, workers=workers, shard=shard, progress=bar.update)
    output.document(
        {
            "folder": out,
            "complete": not left,
            "split": split,
            "pairs": pairs,
            "seed": seed,
            "size": size,
            "form": form,
            "shard": shard,
            "districts": order.districts,
            "districts_left": left,
        }
    )
    if not left:
        output.show(f"{out}: {pairs:,} pairs of the split {split}, seed {seed}, size {size}.")
        return
    output.show(
        f"shard {shard[0]} of {shard[1]} done; {left:,} of {order.districts:,} districts are for "
        f"other shards to make. The last to end finishes {out}. Made apart? Copy their folders, "
        ".unfinished too, into one, and run this command once more."
    )
