"""The one place that joins suite, data, model, embedding, scores and record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.batch_size import BatchSize
from cvgl_bench.codec import usable_codec
from cvgl_bench.cost import Cost
from cvgl_bench.datasets import Dataset, load_dataset, refuse_views
from cvgl_bench.embedding import Device, Precision, resolve_device
from cvgl_bench.embedding_identity import Sources, Unit, key_of, plan_units
from cvgl_bench.embedding_run import Embedder, Scale
from cvgl_bench.embedding_store import EmbeddingStore
from cvgl_bench.errors import CvglBenchError, ModelError
from cvgl_bench.evaluation_folder import (
    UNFINISHED,
    already_finished,
    claim,
    environment_of,
    finish,
    model_card,
    provenance_of,
    refuse_another_making,
)
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.folder_lock import WHOLE, Shard, alone_in, finishing, tidy_up
from cvgl_bench.makers import refuse_codec
from cvgl_bench.measuring import cost_of
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.pictures import CorruptOn, Pictures, RenderedPictures, cells_of_set, open_set
from cvgl_bench.precision import precision_of
from cvgl_bench.record import Record
from cvgl_bench.scoring import refuse_another_run
from cvgl_bench.suite import Cell, Suite, check_size

__all__ = ["Evaluation", "evaluate", "evaluate_shard", "model_card", "plan_evaluation"]

_ALONE = Scale()


@dataclass(frozen=True)
class Arithmetic:
    """Where and how exactly pictures and embeddings are computed.

    Attributes:
        corrupt_on: who corrupts what is rendered on the fly: the processor, or the model's device.
        precision: of the model, "float32", or "bfloat16" by torch's autocast.
    """

    corrupt_on: CorruptOn = "cpu"
    precision: Precision = "float32"


_PLAIN = Arithmetic()


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate on what.

    Attributes:
        suite: the benchmark.
        dataset: its data; all tiles are the gallery.
        pictures: where the queries come from.
        cells: which cells to score.
        adapter: the model.
        precision: of its arithmetic.
    """

    suite: Suite
    dataset: Dataset
    pictures: Pictures
    cells: Sequence[Cell]
    adapter: Adapter
    precision: Precision = "float32"


def plan_evaluation(
    suite: Suite,
    data: Path,
    adapter: Adapter,
    *,
    set_folder: Path | None = None,
    cells: Sequence[Cell] | None = None,
    partial: bool = False,
    arithmetic: Arithmetic = _PLAIN,
) -> Evaluation:
    """Plan an evaluation, and refuse what would not compare.

    Args:
        suite: the benchmark.
        data: the data set's folder.
        adapter: the model.
        set_folder: a generated set; None renders the pictures on the fly.
        cells: which cells; all that the set (or, on the fly, the suite) has if None.
        partial: the user has said that fewer or other pictures are meant.
        arithmetic: where and how exactly pictures and embeddings are computed.

    Raises:
        CvglBenchError: data, set or counts are not the suite's, its codec is not installed, or the
            model has no usable name.
    """
    usable_codec(suite.codec)
    dataset = load_dataset(suite.dataset, data, suite.split)
    pictures: Pictures
    if set_folder is None:
        if arithmetic.corrupt_on == "device":
            refuse_codec(suite)
        pictures = RenderedPictures(
            suite, dataset.name, dataset.pairs, corrupt_on=arithmetic.corrupt_on
        )
        chosen = suite.cells if cells is None else tuple(cells)
    else:
        opened = open_set(set_folder, suite, dataset)
        pictures, chosen = opened, cells_of_set(opened, cells)
    refuse_views(dataset, (cell.view for cell in chosen))
    check_size(suite, len(pictures.queries), len(dataset.references), partial=partial)
    model_card(adapter)
    return Evaluation(suite, dataset, pictures, chosen, adapter, arithmetic.precision)


def evaluate(
    job: Evaluation,
    out: Path,
    *,
    device: Device = "auto",
    batch_size: int = 32,
    progress: Progress = no_progress,
    scale: Scale = _ALONE,
) -> Record:
    """Embed the gallery once and every cell's queries, score them, and write the run.

    Every array is kept as soon as it is whole: the same call after a kill goes on where it was. An
    earlier run in the folder stays whole until the new one is.

    Args:
        job: what to evaluate.
        out: the run's folder; gets `embeddings/`, `ranks.parquet` and `record.json`.
        device: "auto", "cpu" or "cuda".
        batch_size: pictures at a time.
        progress: told how many pictures are embedded.
        scale: a cache, a bound on memory, other machines.

    Raises:
        CvglBenchError: a picture or an embedding is broken, another evaluation is running in the
            folder, or it holds another run. No record is written then.
    """
    with alone_in(out):
        embedder, units = _prepare(job, out, device, batch_size, scale)
        embedder.embed(units, progress)
        return finish(embedder, units, out, _cost(embedder))


def evaluate_shard(
    job: Evaluation,
    out: Path,
    shard: Shard,
    *,
    device: Device = "auto",
    batch_size: int = 32,
    progress: Progress = no_progress,
    scale: Scale = _ALONE,
) -> Record | None:
    """Embed every N-th array of gallery and cells; whoever finds all there scores them.

    Args:
        job: what to evaluate, the same for every shard.
        out: the run's folder, that of all shards, or one whose `embeddings.unfinished/` is copied
            together with those of the others.
        shard: which of how many, counted from 1.
        device: as for `evaluate`; so what follows.
        batch_size: pictures at a time.
        progress: told how many pictures are embedded.
        scale: a cache, a bound on memory, other machines.

    Returns:
        The record; None while other shards are not done.

    Raises:
        CvglBenchError: as `evaluate`, or the model cannot be told from another one.
    """
    with alone_in(out, shard):
        embedder, units = _prepare(job, out, device, batch_size, scale)
        if shard != WHOLE and not all(unit.is_reusable for unit in units):
            raise ModelError(f"{_nameless(job)}, so that no shard could find another's work.")
        record = already_finished(embedder, units, out)
        if record is None:
            embedder.embed(units[shard[0] - 1 :: shard[1]], progress)
            with finishing(out):
                record = already_finished(embedder, units, out)
                if record is None and embedder.has_all(units):
                    record = finish(embedder, units, out, _cost(embedder))
    if record is not None:
        tidy_up(out)
    return record


def _prepare(
    job: Evaluation, out: Path, device: Device, batch_size: int, scale: Scale
) -> tuple[Embedder, list[Unit]]:
    """Say what there is to embed, and refuse a folder that is another run's."""
    size = BatchSize(batch_size)
    place = resolve_device("auto" if scale.elsewhere else device)
    refuse_another_run(out, provenance_of(job), job.cells)
    refuse_another_making(job, out)
    store = EmbeddingStore(out / UNFINISHED)
    claim(store, job)
    sources = Sources(job)
    units = plan_units(job, sources)
    if not all(unit.is_reusable for unit in units):
        scale.tell(f"{_nameless(job)}: if this run is stopped, the next one starts anew.")
    foreign = store.keys() - {key_of(unit.identity) for unit in units}
    if foreign:
        scale.tell(
            f"{len(foreign)} arrays in {store.folder} are of other cells, pictures or code of the "
            "model than now, and are not used."
        )
    on: Device = "cuda" if place.type == "cuda" else "cpu"
    environment = environment_of(on) | precision_of(job, on, size)
    return Embedder(job, sources, store, on, environment, size, scale), units


def _cost(embedder: Embedder) -> Cost | None:
    """What the model costs here, if that is asked for and it runs here."""
    scale = embedder.scale
    if not scale.with_cost or scale.elsewhere is not None:
        return None
    try:
        return cost_of(embedder.job, embedder.device, embedder.size.now, scale.tell)
    except CvglBenchError as error:
        # The embeddings are there: they are not thrown away for what they cost.
        scale.tell(f"what the model costs could not be measured: {error}")
        return None


def _nameless(job: Evaluation) -> str:
    return (
        f"{job.adapter.name} names no weights and its code is in no file, or its pictures have no "
        "hashes: nothing tells its embeddings from another's"
    )
