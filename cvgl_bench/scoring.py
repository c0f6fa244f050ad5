"""Embeddings or ranks on disk become a record: numpy only, no torch.

An embeddings folder holds `index.json` (provenance, ids, and a file a cell), `references.npy`
(R, D) and one (Q, D) array a cell; float16 or float32, unit length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cvgl_bench.errors import ModelError, RecordError, first_fault
from cvgl_bench.files import write_atomically
from cvgl_bench.record import (
    CellRanks,
    Provenance,
    Record,
    make_record,
    read_ranks,
    read_record,
    write_ranks,
    write_record,
)
from cvgl_bench.scores import Embeddings, check_embeddings, ranks
from cvgl_bench.suite import Cell

INDEX = "index.json"
REFERENCES = "references.npy"
RANKS = "ranks.parquet"
RECORD = "record.json"


class CellFile(BaseModel):
    """The array of one cell, relative to the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell
    file: str


class EmbeddingsIndex(BaseModel):
    """What the arrays of an embeddings folder are.

    Attributes:
        provenance: suite, model and data.
        query_ids: the rows of every cell's array.
        reference_ids: the rows of `references.npy`; a query's true reference has its id.
        files: an array a cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provenance: Provenance
    query_ids: tuple[str, ...]
    reference_ids: tuple[str, ...]
    files: tuple[CellFile, ...]


def write_index(folder: Path, index: EmbeddingsIndex) -> None:
    """Write `index.json`; last, so that a folder with one is whole."""
    write_atomically(folder / INDEX, (index.model_dump_json(indent=1) + "\n").encode())


def score(source: Path, out: Path) -> Record:
    """Score an embeddings folder, or ranks that an earlier run kept.

    Writes `record.json` and `ranks.parquet`.

    Args:
        source: an embeddings folder, or a `ranks.parquet`.
        out: the folder to write into.

    Raises:
        RecordError: the source is neither, or the folder holds another run.
        ModelError: the embeddings are broken.
    """
    if source.is_dir():
        index = _read_index(source)
        ids = list(index.query_ids)
        provenance, by_cell = _rank_all(source, index)
    else:
        provenance, ids, by_cell = read_ranks(source)
    record = make_record(provenance, by_cell)
    refuse_another_run(out, provenance, list(by_cell))
    write_ranks(out / RANKS, provenance, ids, by_cell)
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


def _rank_all(folder: Path, index: EmbeddingsIndex) -> tuple[Provenance, CellRanks]:
    rows = {identity: row for row, identity in enumerate(index.reference_ids)}
    lacking = [identity for identity in index.query_ids if identity not in rows]
    if lacking or len(rows) != len(index.reference_ids):
        raise RecordError(
            f"{folder / INDEX}: every query needs one reference of its id "
            f"({len(lacking)} lack one; {len(index.reference_ids) - len(rows)} ids are doubled)."
        )
    positives = [rows[identity] for identity in index.query_ids]
    name = index.provenance.model.name
    references = _read_array(folder / REFERENCES, len(rows), f"the references of '{name}'")
    by_cell: CellRanks = {}
    same = []
    for item in index.files:
        what = f"the queries of '{name}' in {item.cell}"
        queries = _read_array(folder / item.file, len(positives), what)
        if queries.shape[1] != references.shape[1]:
            raise ModelError(
                f"{what} have {queries.shape[1]} dimensions, its references {references.shape[1]}."
            )
        by_cell[item.cell] = ranks(queries, references, positives)
        same.append(_all_equal(queries))
    side = "reference" if _all_equal(references) else "query" if all(same) else ""
    if not side:
        return index.provenance, by_cell
    degenerate = {"degenerate": f"every {side} embedding is the same"}
    return index.provenance.model_copy(update=degenerate), by_cell


def _all_equal(embeddings: Embeddings) -> bool:
    return len(embeddings) > 1 and bool((embeddings == embeddings[0]).all())


def _read_index(folder: Path) -> EmbeddingsIndex:
    path = folder / INDEX
    try:
        index = EmbeddingsIndex.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"{folder} holds no finished embeddings ({INDEX}: {error.strerror})."
        ) from error
    except ValidationError as error:
        raise RecordError(f"{path}: {first_fault(error)}.") from error
    if any(Path(item.file).name != item.file for item in index.files):
        raise RecordError(f"{path} names an array outside its folder.")
    cells, files = {item.cell for item in index.files}, {item.file for item in index.files}
    if not len(cells) == len(files) == len(index.files):
        raise RecordError(f"{path} has a cell or an array twice.")
    if len(set(index.query_ids)) != len(index.query_ids):
        raise RecordError(f"{path} has a query twice.")
    data = index.provenance.data
    if (data.queries, data.references) != (len(index.query_ids), len(index.reference_ids)):
        raise RecordError(
            f"{path} says {data.queries} queries and {data.references} references, and lists "
            f"{len(index.query_ids)} and {len(index.reference_ids)} ids."
        )
    return index


def _read_array(path: Path, rows: int, what: str) -> Embeddings:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
        raise RecordError(f"{path} is no readable numpy array ({error}).") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise RecordError(f"{path} is no readable numpy array (it is an archive of several).")
    if array.dtype.kind != "f" or array.shape[:1] != (rows,):
        raise RecordError(
            f"{path} holds {array.dtype} of shape {array.shape}; floats in {rows} rows were "
            "expected."
        )
    embeddings: Embeddings = np.ascontiguousarray(array, dtype=np.float32)
    check_embeddings(embeddings, what)
    return embeddings
