"""`ranks.parquet`: a row for each query in each cell, with the run's provenance in the header."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from cvgl_bench import parquet
from cvgl_bench.answers import Answers, CellAnswers
from cvgl_bench.errors import RecordError, first_fault
from cvgl_bench.files import write_atomically
from cvgl_bench.record import Provenance
from cvgl_bench.suite import Cell

# Half of a meridian is 20,004 km and half of the equator 20,037.5 km.
FARTHEST: Final = 20_038_000
_HEADER = b"cvgl_bench"
_CELL = ["view", "corruption", "severity"]
_RUNNERS_UP = ["found_2", "found_3", "found_4", "found_5"]
_REQUIRED = ["image_id", *_CELL, "rank"]


@dataclass(frozen=True)
class RunAnswers:
    """All answers of a run.

    Attributes:
        provenance: of the run.
        ids: of the queries, in the order of every cell's answers.
        cells: the answers by cell.
    """

    provenance: Provenance
    ids: tuple[str, ...]
    cells: CellAnswers


def write_ranks(path: Path, run: RunAnswers) -> None:
    """Write a run's answers; a column that no cell has is left out."""
    frames = []
    for cell, answers in run.cells.items():
        columns = {"image_id": run.ids, **cell.model_dump(), "rank": answers.ranks}
        for name, values in _optional(answers).items():
            columns[name] = values
        frames.append(pd.DataFrame(columns))
    table = pa.Table.from_pandas(pd.concat(frames), preserve_index=False)
    header = {_HEADER: run.provenance.model_dump_json()}
    write_atomically(path, parquet.to_bytes(table.replace_schema_metadata(header)))


def _optional(answers: Answers) -> dict[str, object]:
    columns = {
        "found": answers.found,
        "margin": answers.margins,
        "metres": answers.metres,
        "true": answers.true,
        "shows_place": answers.shows_place,
        "precision": answers.precision,
    }
    if answers.runners_up is not None:
        columns |= dict(zip(_RUNNERS_UP, answers.runners_up.T, strict=False))
    return {name: values for name, values in columns.items() if values is not None}


def read_ranks(path: Path) -> RunAnswers:
    """Read what `write_ranks` wrote, or what was made elsewhere in its form.

    Raises:
        RecordError: the file is missing, holds no ranks, or ranks that there cannot be.
    """
    try:
        table = parquet.from_bytes(path.read_bytes())
        provenance = Provenance.model_validate_json((table.schema.metadata or {})[_HEADER])
        if not pa.types.is_integer(table.schema.field("rank").type):
            raise ValueError("ranks are whole numbers")
        ids, cells = _by_cell(table.to_pandas(use_threads=False))
    except ValidationError as error:
        raise RecordError(f"{path} holds no ranks: {first_fault(error)}.") from error
    except OSError as error:
        raise RecordError(f"{path} holds no ranks: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path} holds no ranks that cvgl-bench wrote ({error}).") from error
    queries, references = provenance.data.queries, provenance.data.references
    for cell, answers in cells.items():
        ranks = answers.ranks
        if len(ranks) != queries or ranks.min() < 1 or ranks.max() > references:
            raise RecordError(f"{path}, {cell}: {queries} ranks in 1..{references} were expected.")
    return RunAnswers(provenance, ids, cells)


def _by_cell(rows: pd.DataFrame) -> tuple[tuple[str, ...], CellAnswers]:
    if rows[_REQUIRED].isna().to_numpy().any():
        raise ValueError("a cell of the table is empty")
    ids: tuple[str, ...] = ()
    cells: dict[Cell, Answers] = {}
    for (view, corruption, severity), group in rows.groupby(_CELL, sort=False):
        own = tuple(group["image_id"])
        if len(set(own)) < len(own):
            raise ValueError(f"a query is there twice in {view}, {corruption}, {severity}")
        ids = ids or own
        if own != ids:
            raise ValueError("the cells have different queries")
        cell = Cell(view=view, corruption=corruption, severity=severity)
        cells[cell] = _answers(group)
    return ids, cells


def _answers(group: pd.DataFrame) -> Answers:
    found = group["found"].to_numpy(object) if "found" in group else None
    numbers = {
        name: group[name].to_numpy(np.float64) for name in ("margin", "metres") if name in group
    }
    others = [name for name in _RUNNERS_UP if name in group]
    runners_up = group[others].to_numpy(object) if others else None
    for ids in (found, runners_up):
        if ids is not None and not all(isinstance(each, str) for each in ids.flat):
            raise ValueError("a found reference has no id")
    for name, values in numbers.items():
        # A gallery of one has no second reference, and so no margin.
        if not (np.isfinite(values) | (np.isnan(values) & (name == "margin"))).all():
            raise ValueError(f"{name} holds a number that is none")
        if (values < 0).any():
            raise ValueError(f"{name} is below 0")
    if "metres" in numbers and numbers["metres"].max() > FARTHEST:
        raise ValueError(f"no two places on Earth are more than {FARTHEST:,} metres apart")
    margins = numbers["margin"].astype(np.float32) if "margin" in numbers else None
    return Answers(
        group["rank"].to_numpy(np.int64),
        found,
        margins,
        numbers.get("metres"),
        runners_up,
        **_related(group),
    )


def _related(group: pd.DataFrame) -> dict[str, Any]:
    """What only runs with relations have, see `relations`; each must go with the ranks."""
    first = group["rank"].to_numpy(np.int64) == 1
    related: dict[str, Any] = {}
    if "true" in group:
        related["true"] = group["true"].to_numpy(object)
        if not all(isinstance(each, str) for each in related["true"]):
            raise ValueError("a true reference has no id")
        if "found" in group and ((group["found"] == group["true"]).to_numpy() != first).any():
            raise ValueError("a query of rank 1, and no other, found its true reference")
    if "shows_place" in group:
        if group["shows_place"].dtype != bool:
            raise ValueError("shows_place holds more than yes and no")
        related["shows_place"] = group["shows_place"].to_numpy(bool)
        if (first & ~related["shows_place"]).any():
            raise ValueError("a query found its true reference, which does not show its place")
    if "precision" in group:
        related["precision"] = group["precision"].to_numpy(np.float64)
        if not ((related["precision"] > 0) & (related["precision"] <= 1)).all():
            raise ValueError("precision lies outside 0..1")
        if (related["precision"][~first] >= 1).any():
            raise ValueError("a query that did not find a true reference has a precision of 1")
    return related
