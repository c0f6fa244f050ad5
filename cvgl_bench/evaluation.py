"""The one place that joins suite, data, model, embedding, scores and record."""

import datetime
import io
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench import __version__
from cvgl_bench.codec import decode, usable_codec
from cvgl_bench.datasets import Dataset, Position, load_dataset
from cvgl_bench.embedding import Device, embed, resolve_device
from cvgl_bench.errors import ModelError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.files import read, sha256, write_atomically
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.pictures import Pictures, RenderedPictures, cells_of_set, open_set
from cvgl_bench.record import DataCard, ModelCard, Provenance, Record
from cvgl_bench.scoring import (
    BY_NUMPY,
    EMBEDDINGS,
    REFERENCES,
    CellFile,
    EmbeddingsIndex,
    Positions,
    Resources,
    refuse_another_run,
    score,
    write_index,
)
from cvgl_bench.suite import Cell, Suite, check_size
from cvgl_bench.views import parse_view

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate on what.

    Attributes:
        suite: the benchmark.
        dataset: its data; all tiles are the gallery.
        pictures: where the queries come from.
        cells: which cells to score.
        adapter: the model.
    """

    suite: Suite
    dataset: Dataset
    pictures: Pictures
    cells: Sequence[Cell]
    adapter: Adapter


def plan_evaluation(
    suite: Suite,
    data: Path,
    adapter: Adapter,
    *,
    set_folder: Path | None = None,
    cells: Sequence[Cell] | None = None,
    partial: bool = False,
) -> Evaluation:
    """Plan an evaluation, and refuse what would not compare.

    Args:
        suite: the benchmark.
        data: the data set's folder.
        adapter: the model.
        set_folder: a generated set; None renders the pictures on the fly.
        cells: which cells; all that the set (or, on the fly, the suite) has if None.
        partial: the user has said that fewer or other pictures are meant.

    Raises:
        CvglBenchError: data, set or counts are not the suite's, its codec is not installed, or the
            model has no usable name.
    """
    usable_codec(suite.codec)
    dataset = load_dataset(suite.dataset, data, suite.split)
    pictures: Pictures
    if set_folder is None:
        pictures = RenderedPictures(suite, dataset.name, dataset.pairs)
        chosen = suite.cells if cells is None else tuple(cells)
    else:
        opened = open_set(set_folder, suite, dataset)
        pictures, chosen = opened, cells_of_set(opened, cells)
    check_size(suite, len(pictures.queries), len(dataset.pairs), partial=partial)
    model_card(adapter)
    return Evaluation(suite, dataset, pictures, chosen, adapter)


def evaluate(
    job: Evaluation,
    out: Path,
    *,
    device: Device = "auto",
    batch_size: int = 32,
    progress: Progress = no_progress,
) -> Record:
    """Embed the gallery once and every cell's queries, score them, and write the run.

    An earlier run in the folder stays whole until the new one is.

    Args:
        job: what to evaluate.
        out: the run's folder; gets `embeddings/`, `ranks.parquet` and `record.json`.
        device: "auto", "cpu" or "cuda".
        batch_size: pictures at a time.
        progress: told 1 for each picture embedded.

    Raises:
        CvglBenchError: a picture or an embedding is broken, or the folder holds another run.
            No record is written then.
    """
    provenance = _provenance(job, "", str(resolve_device(device)))
    refuse_another_run(out, provenance, job.cells)
    unfinished = out / f"{EMBEDDINGS}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    run = partial(embed, job.adapter, device=device, batch_size=batch_size)
    hashes: list[str] = []
    tiles = _counted(_tiles(job, hashes), progress)
    references = run(tiles, side="aerial")
    _write_array(unfinished / REFERENCES, references)
    files = []
    seconds: list[float] = []
    for number, cell in enumerate(job.cells):
        images = _counted(job.pictures.images(cell), progress)
        fov_degrees = parse_view(cell.view).fov_degrees
        queries = run(images, side="ground", fov_degrees=fov_degrees, clock=seconds.append)
        if queries.shape[1] != references.shape[1]:
            raise ModelError(
                f"{job.adapter.name} gives {queries.shape[1]} numbers for a ground picture and "
                f"{references.shape[1]} for an aerial one; they must be as many."
            )
        name = f"{number:03d}-{cell.view}-{cell.corruption}-{cell.severity}.npy"
        _write_array(unfinished / name, queries)
        files.append(CellFile(cell=cell, file=name))
    gallery = sha256("\n".join(hashes).encode())
    latency = 1000 * sum(seconds) / (len(job.cells) * len(job.pictures.queries))
    index = EmbeddingsIndex(
        provenance=_provenance(job, gallery, str(resolve_device(device)), latency),
        query_ids=tuple(pair.id for pair in job.pictures.queries),
        reference_ids=tuple(pair.id for pair in job.dataset.pairs),
        files=tuple(files),
        query_positions=_positions(pair.ground_position for pair in job.pictures.queries),
        reference_positions=_positions(pair.aerial_position for pair in job.dataset.pairs),
    )
    write_index(unfinished, index)
    place = resolve_device(device)
    resources = Resources(device=str(place)) if place.type == "cuda" else BY_NUMPY
    record = score(unfinished, out, resources)
    shutil.rmtree(out / EMBEDDINGS, ignore_errors=True)
    unfinished.rename(out / EMBEDDINGS)
    return record


def _positions(places: Iterable[Position | None]) -> Positions | None:
    """Latitudes and longitudes; None unless all are known."""
    known = [None if place is None else (place.latitude, place.longitude) for place in places]
    return None if None in known else tuple(place for place in known if place is not None)


def _tiles(job: Evaluation, hashes: list[str]) -> Iterator[Image]:
    codec = CODECS[job.suite.codec]
    for pair in job.dataset.pairs:
        data = read(pair.aerial)
        hashes.append(sha256(data))
        yield decode(data, str(pair.aerial), codec)


def _counted(images: Iterator[Image], progress: Progress) -> Iterator[Image]:
    for image in images:
        yield image
        progress(1)


def _write_array(path: Path, array: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def _provenance(
    job: Evaluation, gallery_sha256: str, device: str, latency: float | None = None
) -> Provenance:
    return Provenance(
        suite=job.suite,
        fingerprint=job.suite.fingerprint,
        model=model_card(job.adapter),
        data=DataCard(
            queries=len(job.pictures.queries),
            references=len(job.dataset.pairs),
            ids_sha256=job.dataset.ids_sha256,
            gallery_sha256=gallery_sha256,
            manifest_sha256=job.pictures.manifest_sha256,
        ),
        environment=_environment(device)
        | ({} if latency is None else {"ground_ms_per_image": f"{latency:.3g}"}),
        date=datetime.datetime.now(datetime.timezone.utc).date(),
    )


def model_card(adapter: Adapter) -> ModelCard:
    """Describe a model as records do.

    Raises:
        ModelError: its name is none that a file can have.
    """
    try:
        return ModelCard(
            name=adapter.name,
            weights_sha256=adapter.weights_sha256,
            preprocessing=adapter.preprocessing,
            remarks=getattr(adapter, "remarks", ""),
        )
    except ValueError as error:
        raise ModelError(
            f"the model's name '{adapter.name}' or weights_sha256 '{adapter.weights_sha256}' "
            "cannot be recorded. A name is up to 64 lower-case letters, digits, '.', '_' and '-'; "
            'a hash is 64 hexadecimal digits, or "" for a model without weights.'
        ) from error


def _environment(device: str) -> dict[str, str]:
    import timm
    import torch

    return {
        "cvgl-bench": __version__,
        "device": device,
        "device_name": torch.cuda.get_device_name() if device.startswith("cuda") else "",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "timm": timm.__version__,
        "torch": torch.__version__,
    }
