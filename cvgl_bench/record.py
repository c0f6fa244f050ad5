"""The record of a run: every cell's score and where it comes from, as JSON."""

import datetime
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from cvgl_bench.answers import Answers, CellAnswers, ranks_digest
from cvgl_bench.cost import Cost
from cvgl_bench.errors import RecordError, first_fault
from cvgl_bench.files import write_atomically
from cvgl_bench.scores import (
    METRES,
    METRIC_VERSION,
    PERCENTILES,
    recall_at,
    recall_at_one_percent,
)
from cvgl_bench.suite import Cell, Suite, check_size, load_suite, suite_names

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

Fraction = Annotated[float, Field(ge=0, le=1)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]

TIE_RULE: Final = "a reference as similar as the true one counts against the model"


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


class Distances(_Frozen):
    """How far the found references of one cell lie from where the queries were taken.

    Attributes:
        median: in metres.
        p95: the 95th percentile, in metres.
        within_5: the fraction of queries whose found reference lies within 5 m; so the others.
    """

    median: Annotated[float, Field(ge=0)]
    p95: Annotated[float, Field(ge=0)]
    within_5: Fraction
    within_10: Fraction
    within_25: Fraction
    within_50: Fraction


class CellScore(_Frozen):
    """The recalls of one cell, as fractions; r1p is None below 100 references.

    `metres` is None where the data set does not say where its pictures were taken; `hit_rate` where
    it knows no semi-positive references, `ap` where a query has one true reference of its own.
    """

    view: str
    corruption: str
    severity: Annotated[int, Field(ge=0, le=5)]
    r1: Fraction
    r5: Fraction
    r10: Fraction
    r1p: Fraction | None
    metres: Distances | None = None
    hit_rate: Fraction | None = None
    ap: Fraction | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what most data sets do not have, so that their records stay as they were."""
        fields: dict[str, Any] = handler(self)
        for name in ("hit_rate", "ap"):
            if fields.get(name) is None:
                fields.pop(name, None)
        return fields

    @model_validator(mode="after")
    def _recall_grows_with_k(self) -> Self:
        if not self.r1 <= self.r5 <= self.r10:
            raise ValueError("R@1 <= R@5 <= R@10 does not hold")
        if self.hit_rate is not None and self.hit_rate < self.r1:
            raise ValueError("the hit rate is below R@1")
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
        cost: what the model costs on the machine that measured it; None where nobody did. It
            follows from no ranks, and says nothing of which run this is.
    """

    schema_version: Literal[1] = 1
    status: Literal["measured", "unverified"]
    metric_version: Literal[1] = METRIC_VERSION
    tie_rule: Literal["a reference as similar as the true one counts against the model"] = TIE_RULE
    ranks_sha256: Sha256
    cells: Annotated[tuple[CellScore, ...], Field(min_length=1)]
    cost: Cost | None = None

    @model_serializer(mode="wrap")
    def _without_cost(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the cost out where there is none: records of before stay as they were."""
        fields: dict[str, Any] = handler(self)
        if fields.get("cost") is None:
            fields.pop("cost", None)
        return fields

    @model_validator(mode="after")
    def _cells_can_be(self) -> Self:
        if len({score.cell for score in self.cells}) != len(self.cells):
            raise ValueError("a cell is there twice")
        for score in self.cells:
            for recall in (score.r1, score.r5, score.r10, score.r1p or 0, score.hit_rate or 0):
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


def make_record(provenance: Provenance, answers: CellAnswers) -> Record:
    """Score the answers of every cell, and mark the record if its counts are not the suite's."""
    if not answers:
        raise RecordError(f"there is no cell of {provenance.model.name} to score.")
    data = provenance.data
    sizes = check_size(provenance.suite, data.queries, data.references, partial=True)
    reasons = dict.fromkeys([*provenance.not_comparable, *sizes])
    return Record(
        **dict(provenance) | {"not_comparable": tuple(reasons)},
        status="measured" if data.gallery_sha256 else "unverified",
        ranks_sha256=ranks_digest(answers),
        cells=tuple(_cell_score(cell, each, data) for cell, each in answers.items()),
    )


def _cell_score(cell: Cell, answers: Answers, data: DataCard) -> CellScore:
    ranks, metres = answers.ranks, answers.metres
    shown, precision = answers.shows_place, answers.precision
    return CellScore(
        **cell.model_dump(),
        r1=recall_at(ranks, 1),
        r5=recall_at(ranks, 5),
        r10=recall_at(ranks, 10),
        r1p=recall_at_one_percent(ranks, data.references),
        metres=None if metres is None else _distances(metres),
        hit_rate=None if shown is None else float(np.count_nonzero(shown) / len(shown)),
        ap=None if precision is None else float(precision.mean()),
    )


def _distances(metres: NDArray[np.float64]) -> Distances:
    median, p95 = np.percentile(metres, PERCENTILES)
    within = {f"within_{limit}": float(np.mean(metres <= limit)) for limit in METRES}
    return Distances(median=float(median), p95=float(p95), **within)


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
