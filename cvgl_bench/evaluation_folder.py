"""A run's folder: the arrays of an unfinished run, and how they become a record.

RUN/embeddings.unfinished/   run.json (whose they are) and an `embedding_store.EmbeddingStore`
RUN/embeddings/              the same arrays under the names of their cells, and index.json
"""

import datetime
import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cvgl_bench import __version__
from cvgl_bench.cost import Cost
from cvgl_bench.datasets import Gallery, Position
from cvgl_bench.datasets.base import ids_sha256
from cvgl_bench.embedding_identity import Unit, corrupted_on_device, key_of
from cvgl_bench.embedding_run import CORRUPTED_ON, Embedder
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore, link
from cvgl_bench.errors import DataError, ModelError, RecordError, first_fault
from cvgl_bench.files import read, sha256, write_atomically
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.pieces import side_by_side
from cvgl_bench.precision import recorded_precision
from cvgl_bench.record import DataCard, ModelCard, Provenance, Record, read_record
from cvgl_bench.scoring import (
    EMBEDDINGS,
    INDEX,
    RECORD,
    REFERENCES,
    CellFile,
    EmbeddingsIndex,
    Positions,
    Resources,
    score,
    write_index,
)
from cvgl_bench.suite import CLEAN, Cell

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

UNFINISHED = f"{EMBEDDINGS}.unfinished"
LATENCY = "ground_ms_per_image"
FROM_CACHE = "cells_from_cache"
_SCORED = f"{EMBEDDINGS}.scored"
_OWNER = "run.json"


class _Owner(BaseModel):
    """Whose the arrays of an unfinished run are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights_sha256: str
    suite: str
    fingerprint: str
    queries: int
    references: int


def claim(store: EmbeddingStore, job: "Evaluation") -> None:
    """Make the folder of unfinished embeddings this run's, or refuse.

    Raises:
        RecordError: it has arrays of another model, suite or data set.
        DataError: the folder cannot be written.
    """
    mine = _Owner(
        model=job.adapter.name,
        weights_sha256=job.adapter.weights_sha256,
        suite=job.suite.label,
        fingerprint=job.suite.fingerprint,
        queries=len(job.pictures.queries),
        references=len(job.dataset.references),
    )
    folder = store.folder
    path = folder / _OWNER
    if not path.is_file() or not store.keys():
        write_atomically(path, (mine.model_dump_json(indent=1) + "\n").encode())
        return
    try:
        theirs = _Owner.model_validate_json(read(path))
    except ValidationError as error:
        raise RecordError(f"{path} is damaged ({first_fault(error)}). Remove {folder}.") from error
    if theirs != mine:
        raise RecordError(
            f"{folder} holds an unfinished run of {theirs.model} (weights "
            f"'{theirs.weights_sha256[:12]}') on {theirs.suite} with {theirs.queries:,} queries "
            f"and {theirs.references:,} references, which is not the same as this one. Finish "
            "that one, remove its folder, or choose another --out."
        )


def refuse_another_making(job: "Evaluation", out: Path) -> None:
    """Let no run replace one of another precision, or of pictures that were corrupted elsewhere.

    Raises:
        RecordError: the folder holds such a one.
    """
    if not (out / RECORD).is_file():
        return
    was = read_record(out / RECORD).environment
    precision = recorded_precision(was)
    worse = any(cell.corruption != CLEAN for cell in job.cells)
    on_device = worse and corrupted_on_device(job.pictures)
    was_on_device = worse and "device" in was.get(CORRUPTED_ON, "")
    if (precision, was_on_device) != (job.precision, on_device):
        words = [
            f"in {how}, pictures corrupted {'on the device' if there else 'by the processor'}"
            for how, there in ((precision, was_on_device), (job.precision, on_device))
        ]
        raise RecordError(
            f"{out} holds a run {words[0]}; this one is {words[1]}. Choose another --out."
        )


def finish(
    embedder: Embedder, units: Sequence[Unit], out: Path, cost: Cost | None = None
) -> Record:
    """Score the arrays of an unfinished run and put them in their place.

    Args:
        embedder: whose arrays they are.
        units: all of them.
        out: the run's folder.
        cost: of the model, if it was measured.

    Raises:
        CvglBenchError: an array is missing or damaged, or they cannot be scored.
    """
    job, store = embedder.job, embedder.store
    pages = [embedder.found(unit) for unit in units]
    whole = [page for page in pages if page is not None]
    if len(whole) < len(units):
        raise DataError(
            f"{len(units) - len(whole)} of {len(units)} arrays in {store.folder} are damaged. Run "
            "the same command again, without --shard, to make them anew."
        )
    scored = out / _SCORED
    shutil.rmtree(scored, ignore_errors=True)
    names = [REFERENCES, *(_file_name(*numbered) for numbered in enumerate(job.cells))]
    for unit, name in zip(units, names, strict=True):
        link(store.array(key_of(unit.identity)), scored / name)
    files = [
        CellFile(cell=cell, file=name) for cell, name in zip(job.cells, names[1:], strict=True)
    ]
    gallery = sha256("\n".join(embedder.sources.tiles).encode())
    references, queries = job.dataset.references, job.pictures.queries
    index = EmbeddingsIndex(
        provenance=provenance_of(job, gallery, _environment(whole)),
        query_ids=tuple(pair.id for pair in queries),
        reference_ids=tuple(one.id for one in references),
        files=tuple(files),
        query_positions=_positions(pair.ground_position for pair in queries),
        reference_positions=_positions(one.position for one in references),
        **_relations(job.dataset.gallery, [pair.id for pair in queries]),
    )
    write_index(scored, index)
    record = score(scored, out, Resources(embedder.scale.max_memory, embedder.device), cost)
    shutil.rmtree(out / EMBEDDINGS, ignore_errors=True)
    scored.rename(out / EMBEDDINGS)
    shutil.rmtree(store.folder, ignore_errors=True)
    return record


def already_finished(embedder: Embedder, units: Sequence[Unit], out: Path) -> Record | None:
    """The record that another shard has written of the same arrays; None if there is none."""
    if any(embedder.store.page(key_of(unit.identity)).is_file() for unit in units):
        return None
    if not all(path.is_file() for path in (out / RECORD, out / EMBEDDINGS / INDEX)):
        return None
    record = read_record(out / RECORD)
    job = embedder.job
    gallery = sha256("\n".join(embedder.sources.tiles).encode())
    mine = provenance_of(job, gallery)
    same = (record.model, record.fingerprint, record.data) == (
        mine.model,
        mine.fingerprint,
        mine.data,
    )
    if not same or [score.cell for score in record.cells] != list(job.cells):
        return None
    # The folder was only made to look.
    shutil.rmtree(embedder.store.folder, ignore_errors=True)
    return record


def provenance_of(
    job: "Evaluation", gallery_sha256: str = "", environment: dict[str, str] | None = None
) -> Provenance:
    """Everything about a run but its scores, as of today.

    Args:
        job: what is evaluated.
        gallery_sha256: hash of the references' hashes; "" if it is not known yet.
        environment: versions and device.
    """
    return Provenance(
        suite=job.suite,
        fingerprint=job.suite.fingerprint,
        model=model_card(job.adapter),
        data=DataCard(
            queries=len(job.pictures.queries),
            references=len(job.dataset.references),
            # Of a set of fewer queries, those alone: the ones that the ranks are of.
            ids_sha256=ids_sha256(job.pictures.queries),
            gallery_sha256=gallery_sha256,
            manifest_sha256=job.pictures.manifest_sha256,
        ),
        environment=environment or {},
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


def environment_of(device: str) -> dict[str, str]:
    """Versions, device and machine, as records name them."""
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


def _environment(pages: Sequence[ArrayPage]) -> dict[str, str]:
    """Where arrays were made, of the gallery first: what differs stands side by side."""
    joined = side_by_side([page.environment for page in pages])
    cells = pages[1:]
    timed = [page for page in cells if not page.cached]
    if timed:
        seconds, pictures = sum(page.seconds for page in timed), sum(page.rows for page in timed)
        joined[LATENCY] = f"{1000 * seconds / pictures:.3g}"
    if len(timed) < len(cells):
        joined[FROM_CACHE] = f"{len(cells) - len(timed)} of {len(cells)}"
    return joined


def _file_name(number: int, cell: Cell) -> str:
    return f"{number:03d}-{cell.view}-{cell.corruption}-{cell.severity}.npy"


def _relations(gallery: Gallery | None, queries: Sequence[str]) -> dict[str, Any]:
    """What the references are to the queries, as `EmbeddingsIndex` has it."""
    if gallery is None:
        return {}
    semi = gallery.semi_positive
    return {
        "true_references": tuple(gallery.true[query] for query in queries),
        "semi_positives": None if semi is None else tuple(semi[query] for query in queries),
    }


def _positions(places: Iterable[Position | None]) -> Positions | None:
    """Latitudes and longitudes; None unless all are known."""
    known = [None if place is None else (place.latitude, place.longitude) for place in places]
    return None if None in known else tuple(place for place in known if place is not None)
