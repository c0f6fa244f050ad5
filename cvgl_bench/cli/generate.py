"""cvgl-bench generate: render a suite's corrupted set."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvgl_bench.cli import options, output

if TYPE_CHECKING:
    from cvgl_bench.executors import Executor
    from cvgl_bench.manifest import Format, SetPage
    from cvgl_bench.planning import Plan


@click.command()
@options.suite
@options.data
@click.option("--out", type=options.FOLDER, required=True, help="Where the set goes.")
@options.workers
@options.executor
@options.address
@click.option(
    "--shard",
    type=options.Shard(),
    default=(1, 1),
    help="Do one of N parts, in a SLURM array the task's own. All may share --out, or be copied "
    "together after.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "parquet"]),
    default="tree",
    show_default=True,
    help="A file a picture, or Parquet files with the pictures' bytes.",
)
@click.option("--dry-run", is_flag=True, help="Say what it takes; write nothing.")
@click.option(
    "--calibrate",
    "seconds",
    type=click.IntRange(1, 60),
    default=10,
    show_default=True,
    help="Seconds that --dry-run renders for, to know this machine and these pictures.",
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
@output.json_option
@click.pass_context
def command(
    ctx: click.Context,
    suite: str,
    data: Path,
    out: Path,
    workers: int | None,
    executor: Literal["local", "ray"],
    address: str | None,
    shard: tuple[int, int],
    form: Format,
    dry_run: bool,
    seconds: int,
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
    where it was, and the bytes are the same whatever the number of workers, shards and machines.
    """
    from cvgl_bench.datasets import load_dataset
    from cvgl_bench.generation import make_plan
    from cvgl_bench.suite import load_suite

    if address is not None and executor != "ray":
        raise click.UsageError("--address is of a Ray cluster; add --executor ray.")
    definition = load_suite(suite, profile)
    if executor == "ray":
        # Its workers may run in another folder.
        data, out = data.absolute(), out.absolute()
    plan = make_plan(
        definition,
        load_dataset(definition.dataset, data, definition.split),
        definition.select(views=views, corruptions=corruptions, severities=severities),
        limit=limit,
        partial=partial,
        measured=measured,
        form=form,
    )
    if dry_run:
        from cvgl_bench.pricing import as_document, estimate, report

        found = estimate(plan, seconds)
        output.show(report(plan, found, out, workers=workers or 1))
        output.document(as_document(plan, found, out))
        return
    try:
        page = _run(plan, out, _executor(executor, workers, address), shard)
    except KeyboardInterrupt:
        options.stop(ctx, out)
    _tell(out, page, shard)


def _tell(out: Path, page: SetPage | None, shard: tuple[int, int]) -> None:
    """Say what became of a set; of a shard where others are not done."""
    if page is None:
        output.show(f"shard {shard[0]}/{shard[1]} is done; {out} is complete when all are.")
        output.document({"folder": out, "complete": False, "shard": shard, "set": None})
        return
    note = " It is partial: its scores compare with no others." if page.partial else ""
    kind = f"{page.suite} version {page.version}, profile {page.profile}"
    output.show(f"{out}: {page.images:,} images of {kind}, complete.{note}")
    output.document({"folder": out, "complete": True, "shard": shard, "set": page})


def _run(plan: Plan, out: Path, executor: Executor, shard: tuple[int, int]) -> SetPage | None:
    from cvgl_bench.generation import generate

    total = sum(len(unit) for unit in plan.units[shard[0] - 1 :: shard[1]]) * len(plan.cells)
    with options.progress_bar(total, plan.suite.name) as bar:
        return generate(plan, out, shard=shard, executor=executor, progress=bar.update)


def _executor(name: Literal["local", "ray"], workers: int | None, address: str | None) -> Executor:
    if name == "ray":
        from cvgl_bench.ray_executor import run_ray

        return functools.partial(run_ray, workers=workers, address=address)
    from cvgl_bench.executors import run_local

    return functools.partial(run_local, workers=workers or 1)
