"""cvgl-bench evaluate: embed a suite with one model, score it, and write one record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cvgl_bench.cli import options
from cvgl_bench.cli.score import Size

if TYPE_CHECKING:
    from cvgl_bench.embedding_run import Scale
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.record import Record


@click.command()
@click.argument("suite")
@click.option(
    "--model", required=True, metavar="NAME|FILE.py:CLASS", help="A known model or your own."
)
@options.data
@click.option("--set", "set_folder", type=options.FOLDER, help="A set that `generate` made.")
@click.option("--on-the-fly", is_flag=True, help="Render the pictures instead of reading a set.")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint; all of it must fit.")
@click.option("--out", type=options.FOLDER, help="Default: runs/SUITE-VERSION/MODEL.")
@options.device
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Pictures at once."
)
@options.workers
@options.executor
@options.address
@click.option(
    "--cache",
    type=options.FOLDER,
    help="Embeddings that several runs share: what is there is not embedded again.",
)
@click.option(
    "--max-memory",
    type=Size(),
    help="For embeddings and similarities, such as 4G; the model's own comes on top.",
)
@click.option(
    "--shard",
    type=options.Shard(),
    default=(1, 1),
    help="Embed one of N parts of gallery and cells. The last to be done scores.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A record whose errors count as 100 in mCE.",
)
@click.option(
    "--attention",
    type=click.IntRange(1),
    metavar="N",
    help="Compare attention maps of the first N queries under headings and fields of view.",
)
@click.option(
    "--layer", default="", help="For --attention: the module to look at, of a model of your own."
)
@options.profile
@click.option("--quiet", is_flag=True, help="Write the run and print no tables.")
@options.selection
@options.partial
@click.pass_context
def command(
    ctx: click.Context,
    suite: str,
    model: str,
    data: Path,
    set_folder: Path | None,
    on_the_fly: bool,
    weights: Path | None,
    out: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    batch_size: int,
    workers: int | None,
    executor: Literal["local", "ray"],
    address: str | None,
    cache: Path | None,
    max_memory: int | None,
    shard: tuple[int, int],
    reference: Path | None,
    attention: int | None,
    layer: str,
    profile: Literal["standard", "published"] | None,
    quiet: bool,
    views: tuple[str, ...] | None,
    corruptions: tuple[str, ...] | None,
    severities: tuple[int, ...] | None,
    partial: bool,
) -> None:
    """Score a model, clean and corrupted.

    Give one of --set DIR and --on-the-fly. Writes record.json, ranks.parquet, embeddings/ and
    severity.png; ties count against the model. Run again after a kill: it goes on with the first
    cell that was not whole.
    """
    if on_the_fly == (set_folder is not None):
        raise click.UsageError("give one of --set DIR and --on-the-fly.")
    if quiet and reference:
        raise click.UsageError("--reference is for the tables that --quiet leaves out.")
    if layer and attention is None:
        raise click.UsageError("--layer is for the maps that --attention makes.")
    if executor == "local" and not (workers is None and address is None):
        raise click.UsageError("--workers and --address are of a Ray cluster; add --executor ray.")
    from cvgl_bench.embedding_run import Scale
    from cvgl_bench.errors import RecordError
    from cvgl_bench.evaluation import plan_evaluation
    from cvgl_bench.models import load
    from cvgl_bench.plots import plot_all
    from cvgl_bench.record import read_record
    from cvgl_bench.scoring import RANKS, RECORD
    from cvgl_bench.suite import load_suite

    if executor == "ray":
        # Its actors may run in another folder.
        model, data = absolute(model), data.absolute()
        set_folder = set_folder and set_folder.absolute()
        weights = weights and weights.absolute()
    definition = load_suite(suite, profile)
    chosen = None
    if not (views is None and corruptions is None and severities is None):
        chosen = definition.select(views=views, corruptions=corruptions, severities=severities)
    baseline = read_record(reference) if reference else None
    if baseline and baseline.fingerprint != definition.fingerprint:
        theirs, ours = (f"{s.label}, profile {s.profile}" for s in (baseline.suite, definition))
        raise RecordError(f"{reference} is of {theirs}, not of {ours}, as it is defined here.")
    job = plan_evaluation(
        definition, data, load(model, weights), set_folder=set_folder, cells=chosen, partial=partial
    )
    out = out or Path("runs") / definition.label / job.adapter.name
    elsewhere = None
    if executor == "ray":
        from cvgl_bench.ray_embedding import ModelSource, RayEmbedding

        elsewhere = RayEmbedding(ModelSource(model, weights), workers, address, device)
    scale = Scale(cache, max_memory, say, elsewhere)
    try:
        record = run(job, out, shard, device=device, batch_size=batch_size, scale=scale)
    except KeyboardInterrupt:
        say(f"stopped. {out} keeps what was finished: run the same command again to go on.")
        ctx.exit(options.INTERRUPTED)
    if record is None:
        click.echo(f"shard {shard[0]}/{shard[1]} is done; {out} is complete when all are.")
        return
    written = [out / RECORD, out / RANKS, *plot_all(record, out)]
    click.echo(f"written: {', '.join(map(str, written))}")
    if attention is not None:
        show_attention(job, out, attention, layer, device)
    if not quiet:
        show_tables(record, baseline)


def run(
    job: Evaluation,
    out: Path,
    shard: tuple[int, int],
    *,
    device: Literal["auto", "cpu", "cuda"],
    batch_size: int,
    scale: Scale,
) -> Record | None:
    """Evaluate behind a progress bar; None while other shards are not done."""
    from cvgl_bench.evaluation import evaluate, evaluate_shard

    rows = [len(job.dataset.pairs), *[len(job.pictures.queries)] * len(job.cells)]
    with options.progress_bar(sum(rows[shard[0] - 1 :: shard[1]]), job.adapter.name) as bar:
        how: Any = {"device": device, "batch_size": batch_size, "scale": scale}
        if shard == (1, 1):
            return evaluate(job, out, **how, progress=bar.update)
        return evaluate_shard(job, out, shard, **how, progress=bar.update)


def absolute(model: str) -> str:
    """The same model, named so that it is found from any folder."""
    file, colon, class_name = model.rpartition(":")
    return f"{Path(file).absolute()}:{class_name}" if colon else model


def say(sentence: str) -> None:
    """Tell the user something beside what is printed, and beside a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"cvgl-bench: {sentence}", file=sys.stderr)


def show_attention(
    job: Evaluation, out: Path, count: int, layer: str, device: Literal["auto", "cpu", "cuda"]
) -> None:
    """Compare attention maps, write them, and print the scores."""
    from cvgl_bench.attending import attend
    from cvgl_bench.gradcam import Setting

    pairs = job.pictures.queries[:count]
    page = attend(job.adapter, job.suite, pairs, out, Setting(layer=layer, device=device))
    for kind, numbers in page.items():
        click.echo(f"attention, {kind}: {numbers['score']:.3f} ({len(pairs)} queries)")
    click.echo(f"written: {out / 'attention.json'}, {out / 'attention-*.png'}")


def show_tables(record: Record, reference: Record | None) -> None:
    """Print a record's cells, a table a view, and its averages."""
    from cvgl_bench.tables import as_markdown, cell_table, describe, model_table

    for view in dict.fromkeys(score.view for score in record.cells):
        click.echo(f"\nview: {view}\n{as_markdown(cell_table(record, view))}")
    click.echo(f"\n{as_markdown(model_table([record], reference))}\n\n{describe(record)}")
    if reference is None and record.suite.mce_reference:
        click.echo(f"mCE needs --reference, a record of {record.suite.mce_reference}.")
