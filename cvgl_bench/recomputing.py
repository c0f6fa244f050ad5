"""Does a record follow from its ranks? Every number of it is computed again."""

from collections.abc import Iterator, Mapping
from math import isclose

from cvgl_bench.answers import ranks_digest
from cvgl_bench.errors import RecordError
from cvgl_bench.files import sha256
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import Provenance, Record, make_record


def refuse_other_record(record: Record, answers: RunAnswers) -> None:
    """Refuse a record that is not the one that its ranks give: hash, provenance or a number.

    Ids are compared where the record has their hash; runs made elsewhere may have none.

    Raises:
        RecordError: something differs; the sentence says what.
    """
    refuse_other_hash(record, answers)
    refuse_other_provenance(record, answers)
    if record.data.ids_sha256:
        refuse_other_ids(record, answers)
    refuse_other_scores(record, answers)


def refuse_other_provenance(record: Record, answers: RunAnswers) -> None:
    """Refuse ranks whose header tells of another run than the record.

    Raises:
        RecordError: a field differs.
    """
    again = make_record(answers.provenance, answers.cells)
    for name in [*Provenance.model_fields, "status"]:
        if getattr(record, name) != getattr(again, name):
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
            f"the ranks have the hash {found[:12]}; the record says "
            f"{record.ranks_sha256[:12] or 'nothing'}."
        )


def refuse_other_scores(record: Record, answers: RunAnswers) -> None:
    """Compute every number of the record again, and refuse one that differs.

    Raises:
        RecordError: one does; the sentence says in which cell, and both numbers.
    """
    again = make_record(answers.provenance, answers.cells)
    computed = {score.cell: score.model_dump() for score in again.cells}
    stated_cells = {score.cell for score in record.cells}
    if alone := sorted(map(str, stated_cells ^ computed.keys())):
        raise RecordError(f"the cell {alone[0]} is in only one of the record and the ranks.")
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
