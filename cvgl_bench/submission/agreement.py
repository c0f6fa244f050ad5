"""Do a record and its ranks say the same, and can what they say be?"""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.answers import Answers, ranks_digest
from cvgl_bench.errors import RecordError
from cvgl_bench.files import sha256
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import Provenance, Record, make_record
from cvgl_bench.submission.verdict import shown
from cvgl_bench.suite import Cell

_METRES_APART: Final = 0.01
_WIDEST_MARGIN: Final = 2.001
_Ids = NDArray[np.object_]


def refuse_other_cells(cells: Mapping[Cell, object] | set[Cell], record: Record) -> None:
    """Refuse cells that are not exactly the suite's.

    Raises:
        RecordError: one is missing, or one more is there.
    """
    wanted, found = set(record.suite.cells), set(cells)
    if missing := sorted(map(str, wanted - found)):
        raise RecordError(f"{len(missing)} of the suite's cells are missing (first: {missing[0]}).")
    if extra := sorted(map(str, found - wanted)):
        raise RecordError(f"the cell {shown(extra[0], 80)} is none of {record.suite.label}.")


def refuse_other_provenance(record: Record, answers: RunAnswers) -> None:
    """Refuse ranks whose header tells of another run than the record.

    Raises:
        RecordError: a field differs.
    """
    for name in Provenance.model_fields:
        if getattr(record, name) != getattr(answers.provenance, name):
            raise RecordError(f"record.json and the header of ranks.parquet differ in '{name}'.")


def refuse_other_ids(record: Record, answers: RunAnswers) -> None:
    """Refuse queries that are not those whose hash the record has.

    Raises:
        RecordError: the hash is missing or another one.
    """
    found = sha256("\n".join(answers.ids).encode())
    stated = record.data.ids_sha256
    if found != stated:
        raise RecordError(
            f"the ids of its {len(answers.ids):,} queries have the hash {found[:12]}; the record "
            f"says {stated[:12] or 'nothing'}."
        )


def refuse_other_hash(record: Record, answers: RunAnswers) -> None:
    """Refuse a hash of the ranks that is not theirs.

    Raises:
        RecordError: it is not.
    """
    found = ranks_digest(answers.cells)
    if found != record.ranks_sha256:
        raise RecordError(
            f"the ranks have the hash {found[:12]}; the record says {record.ranks_sha256[:12]}."
        )


def refuse_other_scores(record: Record, answers: RunAnswers) -> None:
    """Compute every number of the record again, and refuse one that differs.

    Raises:
        RecordError: one does; the sentence says in which cell, and both numbers.
    """
    again = make_record(answers.provenance, answers.cells)
    computed = {score.cell: score.model_dump() for score in again.cells}
    for score in record.cells:
        stated = dict(_numbers(score.model_dump()))
        found = dict(_numbers(computed[score.cell]))
        if stated.keys() != found.keys():
            name = sorted(stated.keys() ^ found.keys())[0]
            where = "ranks" if name in found else "record"
            raise RecordError(f"{name} of {score.cell} is there in the {where} alone.")
        for name, value in stated.items():
            if not isclose(value, found[name], rel_tol=1e-9, abs_tol=1e-12):
                raise RecordError(
                    f"{name} of {score.cell} is {value:.6g} in the record and {found[name]:.6g} by "
                    "its ranks."
                )


def _numbers(fields: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)


def refuse_contradictions(record: Record, answers: RunAnswers) -> None:
    """Refuse answers that contradict each other.

    A query of rank 1 found its own tile, by some margin; any other found another tile, and its own
    stands no earlier among those that came next than its rank allows.

    Raises:
        RecordError: some do; the sentence names the first query.
    """
    ids = np.array(answers.ids, dtype=object)
    gallery = set(answers.ids)
    for cell, each in answers.cells.items():
        if each.found is not None:
            _refuse_found(cell, each, ids, gallery)
        if each.margins is not None and record.data.references > 1:
            _refuse_margins(cell, each, each.margins, ids)


def _refuse_found(cell: Cell, answers: Answers, ids: _Ids, gallery: set[str]) -> None:
    found = answers.found
    if found is None:
        return
    own = found == ids
    _refuse_first(
        cell, ids, own & (answers.ranks > 1), "found its own tile, with a rank that is not 1"
    )
    _refuse_first(cell, ids, ~own & (answers.ranks == 1), "has rank 1, and found another tile")
    listed = found[:, None]
    if answers.runners_up is not None:
        listed = np.concatenate([listed, answers.runners_up], axis=1)
    if strangers := {str(name) for name in listed.flat} - gallery:
        raise RecordError(f"{cell}: the tile '{shown(min(strangers), 80)}' is not in the gallery.")
    doubled = np.array([len(set(row)) < len(row) for row in listed])
    _refuse_first(cell, ids, doubled, "has the same tile twice among those that came first")
    there = listed == ids[:, None]
    place = np.where(there.any(axis=1), there.argmax(axis=1) + 1, listed.shape[1] + 1)
    _refuse_first(cell, ids, answers.ranks < place, "has its own tile later than its rank")


def _refuse_margins(cell: Cell, answers: Answers, margins: NDArray[np.float32], ids: _Ids) -> None:
    with np.errstate(invalid="ignore"):
        none = ~(margins <= _WIDEST_MARGIN)
    _refuse_first(cell, ids, none, "has a margin that no two similarities have")
    flat = (margins == 0) & (answers.ranks == 1)
    _refuse_first(cell, ids, flat, "has rank 1 with a margin of 0, which is a tie")


def _refuse_first(cell: Cell, ids: _Ids, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        more = f", like {wrong.sum() - 1:,} more" if wrong.sum() > 1 else ""
        raise RecordError(f"{cell}: the query {shown(ids[wrong.argmax()], 80)} {what}{more}.")


def refuse_moving_tiles(answers: RunAnswers) -> None:
    """Refuse distances that change with the cell, of the same query to the same tile.

    Raises:
        RecordError: they are not; the sentence names the query and the tile.
    """
    known: dict[tuple[str, str], float] = {}
    for cell, each in answers.cells.items():
        if each.metres is None or each.found is None:
            continue
        for query, tile, metres in zip(
            answers.ids, each.found.tolist(), each.metres.tolist(), strict=True
        ):
            before = known.setdefault((query, tile), metres)
            if abs(before - metres) > _METRES_APART:
                raise RecordError(
                    f"{cell}: from the query {shown(query, 80)} to the tile {shown(tile, 80)} it "
                    f"is {metres:.6g} m, and {before:.6g} m in another cell."
                )
