"""cvgl-bench generate: render a suite's corrupted set."""

from pathlib import Path
from typing import Literal

import click

from cvgl_bench.cli import options


@click.command()
@click.argument("suite")
@options.data
@click.option("--out", type=options.FOLDER, required=True, help="Where the set goes.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--shard",
    type=options.Shard(),
    default=(1, 1),
    help="Do one of N parts. All parts may share --out, or be copied together after.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first N queries; marks the set.")
@click.option(
    "--measure",
    "measured",
    type=options.Count(),
    help="Of how many queries SSIM and PSNR go into the manifest: N, all. Default: 1 to 8.",
)
@options.profile
@options.selection
@options.partial
def command(
    suite: str,
    data: Path,
    out: Path,
    workers: int,
    shard: tuple[int, int],
    limit: int | None,
    measured: int | None,
    profile: Literal["standard", "published"] | None,
    views: tuple[str, ...] | None,
    corruptions: tuple[str, ...] | None,
    severities: tuple[int, ...] | None,
    partial: bool,
) -> None:
    """Render a suite's corrupted set.

    Writes pictures, manifest.parquet and set.json.

    SUITE is a name of `cvgl-bench list suites` or a TOML file. Run again after a kill: it goes on
    where it was, and the bytes are the same whatever the number of workers and shards.
    """
    from cvgl_bench.datasets import load_dataset
    from cvgl_bench.generation import generate, make_plan
    from cvgl_bench.suite import load_suite

    definition = load_suite(suite, profile)
    plan = make_plan(
        definition,
        load_dataset(definition.dataset, data, definition.split),
        definition.select(views=views, corruptions=corruptions, severities=severities),
        limit=limit,
        partial=partial,
        measured=measured,
    )
    total = sum(len(unit) for unit in plan.units[shard[0] - 1 :: shard[1]]) * len(plan.cells)
    with options.progress_bar(total, definition.name) as bar:
        page = generate(plan, out, workers=workers, shard=shard, progress=bar.update)
    if page is None:
        click.echo(f"shard {shard[0]}/{shard[1]} is done; {out} is complete when all are.")
        return
    note = " It is partial: its scores compare with no others." if page.partial else ""
    kind = f"{page.suite} version {page.version}, profile {page.profile}"
    click.echo(f"{out}: {page.images:,} images of {kind}, complete.{note}")
