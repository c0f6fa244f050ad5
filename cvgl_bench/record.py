"""The record of a run: every cell's score and where it comes from, as JSON; and its ranks."""

import datetime
import json
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cvgl_bench import parquet
from cvgl_bench.errors import RecordError, first_fault
from cvgl_bench.files import sha256, write_atomically
from cvgl_bench.scores import METRIC_VERSION, recall_at, recall_at_one_percent
from cvgl_bench.suite import Cell, Suite, check_size, load_suite, suite_names

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

Fraction = Annotated[float, Field(ge=0, le=1)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
CellRanks = dict[Cell, NDArray[np.int64]]

TIE_RULE: Final = "a reference as similar as the true one counts against the model"
_HEADER = b"cvgl_bench"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelCard(_Frozen):
    """Which model: its name, weights and preprocessing, and what to know before comparing it."""

    name: Slug
    weights_sha256: Sha256 = ""
    preprocessing: str = ""
    remarks: str = ""


class DataCard(_Frozen):
    """Which pictures: counts, and hashes of the ids, the gallery and the generated set."""

    queries: Annotated[int, Field(ge=1)]
    references: Annotated[int, Field(ge=1)]
    ids_sha256: Sha256 = ""
    gallery_sha256: Sha256 = ""
    manifest_sha256: Sha256 = ""


class Provenance(_Frozen):
    """Everything about a run but its scores.

    Attributes:
        suite: the benchmark's whole definition, so that a record explains itself.
        fingerprint: the suite's fingerprint when the run was made.
        not_comparable: why the scores compare with no others; empty if they do.
        degenerate: what is broken about the embeddings; "" if nothing.
        environment: versions and device.
    """

    suite: Suite
    fingerprint: Sha256
    model: ModelCard
    data: DataCard
    not_comparable: tuple[str, ...] = ()
    degenerate: str = ""
    environment: dict[str, str] = {}
    date: datetime.date

    @model_validator(mode="before")
    @classmethod
    def _name_stands_for_a_suite(cls, fields: object) -> object:
        """Let those who write a provenance by hand name one of the package's suites."""
        if isinstance(fields, dict) and fields.get("suite") in suite_names():
            suite = load_suite(fields["suite"])
            return {"fingerprint": suite.fingerprint, **fields, "suite": suite}
        return fields


class CellScore(_Frozen):
    """The recalls of one cell, as fractions; r1p is None below 100 references."""

    view: str
    corruption: str
    severity: Annotated[int, Field(ge=0, le=5)]
    r1: Fraction
    r5: Fraction
    r10: Fraction
    r1p: Fraction | None

    @model_validator(mode="after")
    def _recall_grows_with_k(self) -> Self:
        if not self.r1 <= self.r5 <= self.r10:
            raise ValueError("R@1 <= R@5 <= R@10 does not hold")
        return self

    @property
    def cell(self) -> Cell:
        """Which cell it is."""
        return Cell(view=self.view, corruption=self.corruption, severity=self.severity)


class Record(Provenance):
    """A run: provenance and a score a cell. Averages are computed when it is read.

    Attributes:
        status: "measured", embedded from pictures by this toolkit; "unverified", scored from
            embeddings that say nothing of the gallery's pictures.
    """

    schema_version: Literal[1] = 1
    status: Literal["measured", "unverified"]
    metric_version: Literal[1] = METRIC_VERSION
    tie_rule: Literal["a reference as similar as the true one counts against the model"] = TIE_RULE
    ranks_sha256: Sha256
    cells: Annotated[tuple[CellScore, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _cells_can_be(self) -> Self:
        if len({score.cell for score in self.cells}) != len(self.cells):
            raise ValueError("a cell is there twice")
        for score in self.cells:
            for recall in (score.r1, score.r5, score.r10, score.r1p or 0):
                found = recall * self.data.queries
                if abs(found - round(found)) > 1e-6:
                    raise ValueError(f"{recall} of {self.data.queries} queries is no whole number")
        return self

    def recalls(self, view: str) -> dict[Cell, float]:
        """R@1 by cell, of one view."""
        return {score.cell: score.r1 for score in self.cells if score.view == view}

    @property
    def lacking(self) -> list[Cell]:
        """Cells that the suite has and the record does not."""
        have = {score.cell for score in self.cells}
        return [cell for cell in self.suite.cells if cell not in have]


def make_record(provenance: Provenance, ranks: CellRanks) -> Record:
    """Score the ranks of every cell, and mark the record if its counts are not the suite's."""
    if not ranks:
        raise RecordError(f"there is no cell of {provenance.model.name} to score.")
    data = provenance.data
    sizes = check_size(provenance.suite, data.queries, data.references, partial=True)
    reasons = dict.fromkeys([*provenance.not_comparable, *sizes])
    return Record(
        **dict(provenance) | {"not_comparable": tuple(reasons)},
        status="measured" if data.gallery_sha256 else "unverified",
        ranks_sha256=ranks_digest(ranks),
        cells=tuple(
            CellScore(
                **cell.model_dump(),
                r1=recall_at(rank, 1),
                r5=recall_at(rank, 5),
                r10=recall_at(rank, 10),
                r1p=recall_at_one_percent(rank, data.references),
            )
            for cell, rank in ranks.items()
        ),
    )


def ranks_digest(ranks: CellRanks) -> str:
    """SHA-256 over cells and ranks, whatever file they are stored in."""
    parts = [
        str(cell).encode() + b"\0" + rank.astype("<i8").tobytes() for cell, rank in ranks.items()
    ]
    return sha256(b"\0".join(sorted(parts)))


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON with sorted keys."""
    write_atomically(path, record_json(record).encode())


def record_json(record: Record) -> str:
    """A record's text: the same record, the same bytes."""
    text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    return text + "\n"


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: the file is missing or is no record.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"cannot read the record {path}: {error.strerror}.") from error
    except ValidationError as error:
        raise RecordError(f"{path} is no record: {first_fault(error)}.") from error


def write_ranks(path: Path, provenance: Provenance, ids: list[str], ranks: CellRanks) -> None:
    """Write every query's rank in every cell as Parquet, with the provenance in its header."""
    columns: dict[str, list[object]] = {
        name: [] for name in ("image_id", "view", "corruption", "severity", "rank")
    }
    for cell, rank in ranks.items():
        columns["image_id"] += ids
        for name in ("view", "corruption", "severity"):
            columns[name] += [getattr(cell, name)] * len(ids)
        columns["rank"] += rank.tolist()
    table = pa.table(columns).replace_schema_metadata({_HEADER: provenance.model_dump_json()})
    write_atomically(path, parquet.to_bytes(table))


def read_ranks(path: Path) -> tuple[Provenance, list[str], CellRanks]:
    """Read what `write_ranks` wrote: provenance, the queries' ids, and ranks by cell.

    Raises:
        RecordError: the file is missing or holds no ranks.
    """
    try:
        table = parquet.from_bytes(path.read_bytes())
        provenance = Provenance.model_validate_json((table.schema.metadata or {})[_HEADER])
        if not pa.types.is_integer(table.schema.field("rank").type):
            raise ValueError("ranks are whole numbers")
        ids, ranks = _by_cell(table)
    except ValidationError as error:
        raise RecordError(f"{path} holds no ranks: {first_fault(error)}.") from error
    except OSError as error:
        raise RecordError(f"{path} holds no ranks: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path} holds no ranks that cvgl-bench wrote ({error}).") from error
    queries, references = provenance.data.queries, provenance.data.references
    for cell, rank in ranks.items():
        if len(rank) != queries or rank.min() < 1 or rank.max() > references:
            raise RecordError(f"{path}, {cell}: {queries} ranks in 1..{references} were expected.")
    return provenance, ids, ranks


def _by_cell(table: pa.Table) -> tuple[list[str], CellRanks]:
    names = ("image_id", "view", "corruption", "severity", "rank")
    by_cell: dict[tuple[str, str, int], dict[str, int]] = {}
    for image_id, view, corruption, severity, rank in zip(
        *(table[name].to_pylist() for name in names), strict=True
    ):
        ranks = by_cell.setdefault((view, corruption, severity), {})
        if image_id in ranks:
            raise ValueError(f"the query {image_id} is there twice in a cell")
        ranks[image_id] = rank
    ids = list(next(iter(by_cell.values()), {}))
    if any(list(ranks) != ids for ranks in by_cell.values()):
        raise ValueError("the cells have different queries")
    return ids, {
        Cell(view=view, corruption=corruption, severity=severity): np.array(
            list(ranks.values()), np.int64
        )
        for (view, corruption, severity), ranks in by_cell.items()
    }
