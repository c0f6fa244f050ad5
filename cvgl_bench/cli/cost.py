"""cvgl-bench cost: what a model costs on this machine, measured for a run that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvgl_bench.cli import options, output

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.models.adapter import Adapter
    from cvgl_bench.record import Record


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--model", required=True, metavar="NAME|FILE.py:CLASS", help="The run's model.")
@options.data
@options.weights
@options.device
@options.batch_size
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="Of the model. Default: the run's.",
)
@output.json_option
def command(
    run: Path,
    model: str,
    data: Path,
    weights: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    batch_size: int,
    precision: Literal["float32", "bfloat16"] | None,
) -> None:
    """Measure what a run's model costs here.

    RUN is a folder with a record and its ranks, or the record in it, which is written anew. Nothing
    is embedded again: of the record, the cost alone changes. Times count only if the machine has
    nothing else to do.
    """
    from cvgl_bench.cost import describe_cost
    from cvgl_bench.evaluation import Arithmetic, plan_evaluation
    from cvgl_bench.measuring import cost_of
    from cvgl_bench.models import load
    from cvgl_bench.precision import recorded_precision
    from cvgl_bench.record import write_record
    from cvgl_bench.runs import read_run
    from cvgl_bench.scoring import RECORD

    record = read_run(run).record
    adapter = load(model, weights)
    refuse_another_model(run, record, adapter)
    # Of a run of fewer pictures, or of a suite that has changed since, the cost is the same.
    job = plan_evaluation(
        record.suite,
        data,
        adapter,
        cells=[record.cells[0].cell],
        partial=True,
        arithmetic=Arithmetic(precision=precision or recorded_precision(record.environment)),
    )
    refuse_other_data(run, record, job)
    cost = cost_of(job, device, batch_size, options.say)
    path = run / RECORD if run.is_dir() else run
    write_record(path, record.model_copy(update={"cost": cost}))
    output.show(f"{record.model.name} on {record.suite.label}. {describe_cost(cost)}")
    output.show(f"written: {path}")
    about = {"model": record.model.name, "weights_sha256": record.model.weights_sha256}
    output.document({**about, "suite": record.suite.label, "cost": cost, "files": [path]})


def refuse_another_model(run: Path, record: Record, adapter: Adapter) -> None:
    """Refuse to write one model's cost into the record of another.

    Raises:
        RecordError: name, weights or preprocessing are others.
    """
    from cvgl_bench.errors import RecordError
    from cvgl_bench.evaluation import model_card

    theirs, card = record.model, model_card(adapter)
    for name in ("name", "weights_sha256", "preprocessing"):
        there, here = getattr(theirs, name), getattr(card, name)
        if there != here:
            raise RecordError(
                f"{run} is a run of {theirs.name}, whose {name} is '{there}'; that of the model "
                f"given is '{here}'. Give the run's own --model and --weights."
            )


def refuse_other_data(run: Path, record: Record, job: Evaluation) -> None:
    """Refuse to measure with pictures of another data set than the run's.

    Raises:
        RecordError: its queries are others.
    """
    from cvgl_bench.errors import RecordError

    there, here = record.data.ids_sha256, job.dataset.ids_sha256
    sizes = (record.data.queries, record.data.references)
    whole = (len(job.dataset.pairs), len(job.dataset.references))
    if there and sizes != whole and sizes[1] == whole[1]:
        return  # fewer queries of, as far as can be told, the same data
    if there and there != here:
        raise RecordError(
            f"{run} is a run of queries with the hash {there[:12]}; those in --data have "
            f"{here[:12]}. Give the data set that the run was made on."
        )
