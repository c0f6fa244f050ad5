"""cvgl-bench evaluate: embed a suite with one model, score it, and write one record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cvgl_bench.cli import options, output
from cvgl_bench.cli.score import Size

if TYPE_CHECKING:
    from cvgl_bench.embedding_run import Scale
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.record import Record
    from cvgl_bench.suite import Suite


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
def command(
    ctx: click.Context,
    suite: str,
    model: str,
    data: Path,
    set_folder: Path | None,
    on_the_fly: bool,
    corrupt_on: Literal["auto", "cpu", "device"] | None,
    weights: Path | None,
    out: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    batch_size: int,
    precision: Literal["float32", "bfloat16"],
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
    cost: bool,
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
    refuse_pairs(ctx.params)
    del on_the_fly  # what is not in a set is rendered
    from cvgl_bench.datasets import refuse_views
    from cvgl_bench.embedding_run import Scale
    from cvgl_bench.errors import RecordError
    from cvgl_bench.evaluation import Arithmetic, plan_evaluation
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
    on = who_corrupts(corrupt_on or "auto", definition, "cpu" if executor == "ray" else device)
    job = plan_evaluation(
        definition,
        data,
        load(model, weights),
        set_folder=set_folder,
        cells=chosen,
        partial=partial,
        arithmetic=Arithmetic(on, precision),
    )
    if attention is not None:
        # It turns the queries.
        refuse_views(job.dataset, ["heading90"])
    out = out or Path("runs") / definition.label / job.adapter.name
    elsewhere = None
    if executor == "ray":
        from cvgl_bench.ray_embedding import ModelSource, RayEmbedding

        elsewhere = RayEmbedding(ModelSource(model, weights), workers, address, device)
    scale = Scale(cache, max_memory, options.say, elsewhere, with_cost=cost)
    try:
        record = run(job, out, shard, device=device, batch_size=batch_size, scale=scale)
    except KeyboardInterrupt:
        options.say(f"stopped. {out} keeps what was finished: run the same command again to go on.")
        ctx.exit(options.INTERRUPTED)
    if record is None:
        output.show(f"shard {shard[0]}/{shard[1]} is done; {out} is complete when all are.")
        output.document({"folder": out, "complete": False, "shard": shard, "run": None})
        return
    written = [out / RECORD, out / RANKS, *plot_all(record, out)]
    output.show(f"written: {', '.join(map(str, written))}")
    if attention is not None:
        written += show_attention(job, out, attention, layer, device)
    if not quiet:
        show_tables(record, baseline)
    described = output.run_document(record, written, baseline)
    output.document({"folder": out, "complete": True, "shard": shard, "run": described})


def refuse_pairs(given: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    local = given["executor"] == "local"
    wrong = {
        "give one of --set DIR and --on-the-fly.": given["on_the_fly"]
        == (given["set_folder"] is not None),
        "--corrupt-on is for --on-the-fly: a set's pictures are made already.": given["corrupt_on"]
        and not given["on_the_fly"],
        "--reference is for the tables that --quiet leaves out.": given["quiet"]
        and given["reference"],
        "--layer is for the maps that --attention makes.": given["layer"]
        and given["attention"] is None,
        "--workers and --address are of a Ray cluster; add --executor ray.": local
        and not (given["workers"] is None and given["address"] is None),
    }
    for sentence, holds in wrong.items():
        if holds:
            raise click.UsageError(sentence)


def who_corrupts(
    asked: Literal["auto", "cpu", "device"], suite: Suite, device: Literal["auto", "cpu", "cuda"]
) -> Literal["cpu", "device"]:
    """Who corrupts on the fly: a device by itself only where it is faster and has the codec."""
    from cvgl_bench.embedding import resolve_device
    from cvgl_bench.makers import CODEC_OF_DEVICES

    if asked != "auto":
        return asked
    on_gpu = resolve_device(device).type == "cuda"
    return "device" if on_gpu and suite.codec == CODEC_OF_DEVICES else "cpu"


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

    rows = [len(job.dataset.references), *[len(job.pictures.queries)] * len(job.cells)]
    with options.progress_bar(sum(rows[shard[0] - 1 :: shard[1]]), job.adapter.name) as bar:
        how: Any = {"device": device, "batch_size": batch_size, "scale": scale}
        if shard == (1, 1):
            return evaluate(job, out, **how, progress=bar.update)
        return evaluate_shard(job, out, shard, **how, progress=bar.update)


def absolute(model: str) -> str:
    """The same model, named so that it is found from any folder."""
    file, colon, class_name = model.rpartition(":")
    return f"{Path(file).absolute()}:{class_name}" if colon else model


def show_attention(
    job: Evaluation, out: Path, count: int, layer: str, device: Literal["auto", "cpu", "cuda"]
) -> list[Path]:
    """Compare attention maps, write them, and print the scores; returns the page of all of them."""
    from cvgl_bench.attending import attend
    from cvgl_bench.gradcam import Setting

    pairs = job.pictures.queries[:count]
    page = attend(job.adapter, job.suite, pairs, out, Setting(layer=layer, device=device))
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
