"""Embeddings or ranks on disk become a record; no torch, unless a device of its is asked for.

An embeddings folder holds `index.json` (provenance, ids, positions where they are known, and where
each cell's array is), the references' array (R, D) and one (Q, D) array a cell; floats of 16 or 32
bits, unit length; `.npy`, `.npz` or Parquet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvgl_bench.answers import Answers
from cvgl_bench.arrays import read_embeddings
from cvgl_bench.cost import Cost
from cvgl_bench.errors import ModelError, RecordError, first_fault
from cvgl_bench.files import write_atomically
from cvgl_bench.ranking import MEMORY, Embeddings, least_memory, rank_all
from cvgl_bench.ranks_file import RunAnswers, read_ranks, write_ranks
from cvgl_bench.record import Provenance, Record, make_record, read_record, write_record
from cvgl_bench.relations import Related, Relations, rank_related
from cvgl_bench.scores import errors_in_metres
from cvgl_bench.suite import Cell

INDEX = "index.json"
EMBEDDINGS = "embeddings"
REFERENCES = "references.npy"
RANKS = "ranks.parquet"
RECORD = "record.json"


_Latitude = Annotated[float, Field(ge=-90, le=90)]
_Longitude = Annotated[float, Field(ge=-180, le=180)]
Positions = tuple[tuple[_Latitude, _Longitude], ...]
_Places = tuple[Annotated[int, Field(ge=0)], ...]
_RELATIONS = {"true_references", "semi_positives"}


@dataclass(frozen=True)
class Resources:
    """What scoring may use.

    Attributes:
        max_memory: bytes for the embeddings of the gallery and of one cell, and for their
            similarities; None takes what the embeddings need and 256 MiB.
        device: None computes with numpy; "cpu" or "cuda" with torch there, to the same ranks.
    """

    max_memory: int | None = None
    device: str | None = None

    def for_ranking(self, queries: int, references: int, width: int) -> int:
        """Bytes left to rank with.

        Args:
            queries: how many of one cell.
            references: how many.
            width: how many numbers each of them has.

        Raises:
            RecordError: they are too few.
        """
        if self.max_memory is None:
            return MEMORY
        used = np.dtype(np.float32).itemsize * width * (queries + references)
        least = least_memory(references)
        if self.max_memory < used + least:
            raise RecordError(
                f"{queries:,} queries and {references:,} references of {width:,} numbers need at "
                f"least {math.ceil((used + least) / 2**20)} MiB of --max-memory."
            )
        return min(MEMORY, self.max_memory - used)


BY_NUMPY: Final = Resources()


class CellFile(BaseModel):
    """Where one cell's array is.

    Attributes:
        cell: which.
        file: beside the index.
        array: which array of an `.npz`, or which column of a Parquet file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell
    file: str
    array: str = ""


class EmbeddingsIndex(BaseModel):
    """What the arrays of an embeddings folder are.

    Attributes:
        provenance: suite, model and data.
        query_ids: the rows of every cell's array.
        reference_ids: the rows of the references' array; a query's true reference has its id,
            unless `true_references` says otherwise.
        files: an array a cell.
        query_positions: where each query was taken, latitude and longitude in degrees; None if it
            is not known.
        reference_positions: the centre of each reference, likewise.
        references: the file of the references' array.
        references_array: which array of it, as a cell's.
        true_references: of each query, the places of its true references in `reference_ids`, from
            0; None where each query has one, of its own id.
        semi_positives: likewise, of those that show its place, too; None where there is no such
            thing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provenance: Provenance
    query_ids: tuple[str, ...]
    reference_ids: tuple[str, ...]
    files: tuple[CellFile, ...]
    query_positions: Positions | None = None
    reference_positions: Positions | None = None
    references: str = REFERENCES
    references_array: str = ""
    true_references: tuple[_Places, ...] | None = None
    semi_positives: tuple[_Places, ...] | None = None


def write_index(folder: Path, index: EmbeddingsIndex) -> None:
    """Write `index.json`; last, so that a folder with one is whole."""
    # Most data sets have none, and their pages do not speak of them.
    unsaid = _RELATIONS if index.true_references is None else None
    text = index.model_dump_json(indent=1, exclude=unsaid)
    write_atomically(folder / INDEX, (text + "\n").encode())


def score(
    source: Path, out: Path, resources: Resources = BY_NUMPY, cost: Cost | None = None
) -> Record:
    """Score an embeddings folder, or ranks that an earlier run kept.

    Writes `record.json` and `ranks.parquet`.

    Args:
        source: an embeddings folder, or a `ranks.parquet`.
        out: the folder to write into.
        resources: memory and device.
        cost: of the model, if it was measured.

    Raises:
        RecordError: the source is neither, or the folder holds another run.
        ModelError: the embeddings are broken.
    """
    is_folder = source.is_dir()
    run = _answered(source, read_index(source), resources) if is_folder else read_ranks(source)
    record = make_record(run.provenance, run.cells).model_copy(update={"cost": cost})
    refuse_another_run(out, run.provenance, list(run.cells))
    write_ranks(out / RANKS, run)
    write_record(out / RECORD, record)
    return record


def refuse_another_run(out: Path, provenance: Provenance, cells: Sequence[Cell]) -> None:
    """Let a run be made again in its folder, but not be replaced by another or by a part of it.

    Raises:
        RecordError: the folder holds a run of another model, weights, suite or data, or one with
            cells that the new one lacks.
    """
    if not (out / RECORD).is_file():
        return
    old = read_record(out / RECORD)
    identities = [
        (run.model, run.fingerprint, run.data.queries, run.data.references)
        for run in (old, provenance)
    ]
    lacking = {score.cell for score in old.cells} - set(cells)
    if identities[0] != identities[1] or lacking:
        raise RecordError(
            f"{out} holds the run of {old.model.name} on {old.suite.label} with "
            f"{len(old.cells)} cells and {old.data.queries:,} queries, which is not the same as "
            "this one. Choose another --out."
        )


def _answered(folder: Path, index: EmbeddingsIndex, resources: Resources) -> RunAnswers:
    relations = _relations_of(folder, index)
    name = index.provenance.model.name
    references = read_embeddings(
        folder / index.references,
        len(index.reference_ids),
        f"the references of '{name}'",
        index.references_array,
    )
    cells = {}
    same = []
    for item in index.files:
        what = f"the queries of '{name}' in {item.cell}"
        queries = read_embeddings(folder / item.file, len(index.query_ids), what, item.array)
        if queries.shape[1] != references.shape[1]:
            raise ModelError(
                f"{what} have {queries.shape[1]} dimensions, its references {references.shape[1]}."
            )
        cells[item.cell] = _answers(index, queries, references, relations, resources)
        same.append(_all_equal(queries))
    side = "reference" if _all_equal(references) else "query" if all(same) else ""
    degenerate = {"degenerate": f"every {side} embedding is the same" if side else ""}
    provenance = index.provenance.model_copy(update=degenerate)
    return RunAnswers(provenance, index.query_ids, cells)


def _answers(
    index: EmbeddingsIndex,
    queries: Embeddings,
    references: Embeddings,
    relations: Relations | NDArray[np.int64],
    resources: Resources,
) -> Answers:
    memory = resources.for_ranking(len(queries), *references.shape)
    how: Any = {"memory": memory, "device": resources.device}
    if isinstance(relations, Relations):
        related = rank_related(queries, references, relations, **how)
    else:
        related = Related(rank_all(queries, references, relations, **how))
    ranking = related.ranking
    metres = None
    if index.query_positions is not None and index.reference_positions is not None:
        places = np.array(index.query_positions), np.array(index.reference_positions)
        metres = errors_in_metres(*places, ranking.found)
    ids = np.array(index.reference_ids, dtype=object)
    first = ids[ranking.first]
    return Answers(
        *(ranking.ranks, first[:, 0], ranking.margins, metres, first[:, 1:]),
        true=None if related.true is None else ids[related.true],
        shows_place=related.shows_place,
        precision=related.precision,
    )


def _relations_of(folder: Path, index: EmbeddingsIndex) -> Relations | NDArray[np.int64]:
    """Which references are true: the rows of one a query, where each query has one of its id."""
    rows = {identity: row for row, identity in enumerate(index.reference_ids)}
    doubled = len(index.reference_ids) - len(rows)
    if index.true_references is not None and not doubled:
        relations = Relations.of(index.true_references, index.semi_positives)
        try:
            relations.refuse_unfit(len(index.query_ids), len(rows))
        except ValueError as error:
            raise RecordError(f"{folder / INDEX}: {error}.") from error
        return relations
    lacking = [identity for identity in index.query_ids if identity not in rows]
    if lacking or doubled:
        raise RecordError(
            f"{folder / INDEX}: every query needs one reference of its id, or true_references "
            f"({len(lacking)} lack one; {doubled} ids are doubled)."
        )
    return np.array([rows[identity] for identity in index.query_ids])


def _all_equal(embeddings: Embeddings) -> bool:
    return len(embeddings) > 1 and bool((embeddings == embeddings[0]).all())


def read_index(folder: Path) -> EmbeddingsIndex:
    """Read an embeddings folder's index.

    Raises:
        RecordError: it is missing, damaged, or does not fit together.
    """
    path = folder / INDEX
    try:
        index = EmbeddingsIndex.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"{folder} holds no finished embeddings ({INDEX}: {error.strerror})."
        ) from error
    except ValidationError as error:
        raise RecordError(f"{path}: {first_fault(error)}.") from error
    named = [index.references, *(item.file for item in index.files)]
    if any(Path(file).name != file for file in named):
        raise RecordError(f"{path} names an array outside its folder.")
    cells = {item.cell for item in index.files}
    arrays = {(item.file, item.array) for item in index.files}
    if not len(cells) == len(arrays) == len(index.files):
        raise RecordError(f"{path} has a cell or an array twice.")
    if len(set(index.query_ids)) != len(index.query_ids):
        raise RecordError(f"{path} has a query twice.")
    listed = (
        (index.query_positions, index.query_ids),
        (index.reference_positions, index.reference_ids),
    )
    if any(places is not None and len(places) != len(ids) for places, ids in listed):
        raise RecordError(f"{path} does not have a position for every picture; leave them out.")
    data = index.provenance.data
    if (data.queries, data.references) != (len(index.query_ids), len(index.reference_ids)):
        raise RecordError(
            f"{path} says {data.queries} queries and {data.references} references, and lists "
            f"{len(index.query_ids)} and {len(index.reference_ids)} ids."
        )
    return index
