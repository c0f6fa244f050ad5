"""cvgl-bench evaluate: embed a suite with one model, score it, and write one record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvgl_bench.cli import options, output
from cvgl_bench.cli.evaluate_plan import Asked, plan, read_baseline, refuse_pairs
from cvgl_bench.cli.score import Size

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.record import Record


@click.command()
@options.suite
@options.model
@options.data
@click.option("--set", "set_folder", type=options.FOLDER, help="A set that `generate` made.")
@click.option("--on-the-fly", is_flag=True, help="Render the pictures instead of reading a set.")
@click.option(
    "--corrupt-on",
    type=click.Choice(["auto", "cpu", "device"]),
    help="For --on-the-fly: the processor, or the model's device. Default: auto, the device where "
    "it is a GPU and the suite's codec can be computed there.",
)
@options.weights
@click.option("--out", type=options.FOLDER, help="Default: runs/SUITE-VERSION/MODEL.")
@options.device
@options.batch_size
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of the model. bfloat16 is refused where it finds other references than float32.",
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
    help="For pictures rendered on the fly, embeddings and similarities, such as 4G; the model's "
    "own comes on top.",
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
@click.option(
    "--cost/--no-cost",
    default=True,
    show_default=True,
    help="Measure at the end what the model costs here; for times that count, on an idle machine.",
)
@click.option("--quiet", is_flag=True, help="Write the run and print no tables.")
@options.selection
@options.partial
@output.json_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Score a model, clean and corrupted.

    Give one of --set DIR and --on-the-fly. Writes record.json, ranks.parquet, embeddings/ and
    severity.png; ties count against the model. Run again after a kill: it goes on with the first
    cell that was not whole.
    """
    from cvgl_bench.suite import load_suite

    refuse_pairs(given)
    asked = Asked(**given).anywhere()
    suite = load_suite(asked.suite, asked.profile)
    baseline = read_baseline(asked.reference, suite)
    job = plan(asked, suite)
    out = asked.out or Path("runs") / suite.label / job.adapter.name
    try:
        record = run(asked, job, out)
    except KeyboardInterrupt:
        options.stop(ctx, out)
    shard = asked.shard
    if record is None:
        output.show(f"shard {shard[0]}/{shard[1]} is done; {out} is complete when all are.")
        output.document({"folder": out, "complete": False, "shard": shard, "run": None})
        return
    written = write_beside(asked, job, out, record)
    if not asked.quiet:
        show_tables(record, baseline)
    described = output.run_document(record, written, baseline)
    output.document({"folder": out, "complete": True, "shard": shard, "run": described})


def run(asked: Asked, job: Evaluation, out: Path) -> Record | None:
    """Evaluate behind a progress bar; None while other shards are not done."""
    from cvgl_bench.embedding_run import Scale
    from cvgl_bench.evaluation import evaluate, evaluate_shard

    elsewhere = None
    if asked.executor == "ray":
        from cvgl_bench.ray_embedding import ModelSource, RayEmbedding

        source = ModelSource(asked.model, asked.weights)
        elsewhere = RayEmbedding(source, asked.workers, asked.address, asked.device)
    scale = Scale(asked.cache, asked.max_memory, options.say, elsewhere, with_cost=asked.cost)
    shard = asked.shard
    rows = [len(job.dataset.references), *[len(job.pictures.queries)] * len(job.cells)]
    with options.progress_bar(sum(rows[shard[0] - 1 :: shard[1]]), job.adapter.name) as bar:
        how: Any = {"device": asked.device, "batch_size": asked.batch_size, "scale": scale}
        if shard == (1, 1):
            return evaluate(job, out, **how, progress=bar.update)
        return evaluate_shard(job, out, shard, **how, progress=bar.update)


def write_beside(asked: Asked, job: Evaluation, out: Path, record: Record) -> list[Path]:
    """Write what goes beside the record, and say so; returns all that the run has written."""
    from cvgl_bench.plots import plot_all
    from cvgl_bench.scoring import RANKS, RECORD

    written = [out / RECORD, out / RANKS, *plot_all(record, out)]
    output.show(f"written: {', '.join(map(str, written))}")
    if asked.attention is not None:
        written += show_attention(asked, job, out, asked.attention)
    return written


def show_attention(asked: Asked, job: Evaluation, out: Path, count: int) -> list[Path]:
    """Compare attention maps, write them, and print the scores; returns the page of all of them."""
    from cvgl_bench.attending import attend
    from cvgl_bench.gradcam import Setting

    pairs = job.pictures.queries[:count]
    setting = Setting(layer=asked.layer, device=asked.device)
    page = attend(job.adapter, job.suite, pairs, out, setting)
    for kind, numbers in page.items():
        output.show(f"attention, {kind}: {numbers['score']:.3f} ({len(pairs)} queries)")
    output.show(f"written: {out / 'attention.json'}, {out / 'attention-*.png'}")
    return [out / "attention.json"]


def show_tables(record: Record, reference: Record | None) -> None:
    """Print a record's cells, a table a view, its averages, and what the model costs."""
    from cvgl_bench.cost import describe_cost
    from cvgl_bench.tables import as_markdown, cell_table, describe, model_table

    for view in dict.fromkeys(score.view for score in record.cells):
        output.show(f"\nview: {view}\n{as_markdown(cell_table(record, view))}")
    output.show(f"\n{as_markdown(model_table([record], reference))}\n\n{describe(record)}")
    if reference is None and record.suite.mce_reference:
        output.show(f"mCE needs --reference, a record of {record.suite.mce_reference}.")
    if record.cost:
        output.show(describe_cost(record.cost))
