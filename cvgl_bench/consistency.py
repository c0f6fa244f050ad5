"""Agreement of a model with itself: the same queries under other headings, views and corruptions.

Of decisions, from answers; of embeddings, from an embeddings folder (see `scoring`). That of
attention is in `attention`. What is kept is a number a query, so that means over queries get the
intervals of `statistics`. docs/protocol.md has the formulas.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cvgl_bench.answers import Answers
from cvgl_bench.arrays import read_embeddings
from cvgl_bench.errors import ModelError, RecordError
from cvgl_bench.ranking import MEMORY, TIE_TOLERANCE, Embeddings
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.scoring import INDEX, CellFile, EmbeddingsIndex, read_index
from cvgl_bench.statistics import resampled
from cvgl_bench.suite import CLEAN, Cell
from cvgl_bench.views import FULL

BASE: Final = Cell(view=FULL.name, corruption=CLEAN, severity=0)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DecisionAgreement:
    """What a model decided in one cell beside what it decided in the base, a number a query.

    Attributes:
        same_found: (Q,), 1 where both cells found the same reference, else 0; None where what was
            found is not known.
        flipped: (Q,), 1 where exactly one of the two found the true reference.
        lost: (Q,), 1 where only the base found it.
        gained: (Q,), 1 where only the other cell found it.
        rank_shift: (Q,), log2(rank / rank in the base): 1 where the rank doubled.
    """

    same_found: Array | None
    flipped: Array
    lost: Array
    gained: Array
    rank_shift: Array

    @property
    def medians(self) -> dict[str, float]:
        """`rank_drift`, the median of |rank_shift|: how far a rank moves, either way."""
        return {"rank_drift": float(np.median(np.abs(self.rank_shift)))}


@dataclass(frozen=True)
class EmbeddingAgreement:
    """What a model embedded in one cell beside what it embedded in the base, a number a query.

    Attributes:
        cosine_drift: (Q,), 1 - cos of the angle between the query's two embeddings, 0 to 2.
        row_agreement: (Q,), Pearson's correlation, over all references, of the similarities that
            the query has in the two cells, -1 to 1; NaN where they are all equal in one of them.
    """

    cosine_drift: Array
    row_agreement: Array

    @property
    def medians(self) -> dict[str, float]:
        """`cosine_drift_median`."""
        return {"cosine_drift_median": float(np.median(self.cosine_drift))}


def decision_agreement(base: Answers, other: Answers) -> DecisionAgreement:
    """Compare the answers to the same queries, in the same order, in two cells.

    Raises:
        RecordError: the cells have other numbers of queries.
    """
    if base.ranks.shape != other.ranks.shape:
        raise RecordError(
            f"cells of {len(base.ranks)} and {len(other.ranks)} queries cannot be compared."
        )
    same = None
    if base.found is not None and other.found is not None:
        same = (base.found == other.found).astype(np.float64)
    lost, gained = base.hits * (1 - other.hits), other.hits * (1 - base.hits)
    return DecisionAgreement(
        same, lost + gained, lost, gained, np.log2(other.ranks) - np.log2(base.ranks)
    )


def embedding_agreement(
    folder: Path,
    base: Cell = BASE,
    cells: Iterable[Cell] | None = None,
    *,
    block_bytes: int = MEMORY,
) -> dict[Cell, EmbeddingAgreement]:
    """Compare the embeddings of the same queries in several cells with those in the base.

    No row of similarities is formed. Over references r, the covariance of q . r and p . r is
    q C p, C being the covariance of the references; so the time does not grow with the product of
    queries and references.

    Args:
        folder: of embeddings; see `scoring`.
        base: the cell that the others are compared with.
        cells: those to compare; all but the base if None.
        block_bytes: what is worked on at a time. Held besides are the gallery's embeddings, those
            of two cells, and (D, D) numbers of 8 bytes.

    Raises:
        RecordError: the folder is not whole, or lacks a cell.
        ModelError: the embeddings are broken.
    """
    index = read_index(folder)
    files = {item.cell: item for item in index.files}
    wanted = [cell for cell in files if cell != base] if cells is None else list(cells)
    if lacking := [cell for cell in (base, *wanted) if cell not in files]:
        raise RecordError(f"{folder / INDEX} has no cell {lacking[0]}.")
    references = read_embeddings(
        folder / index.references,
        len(index.reference_ids),
        f"the references of '{index.provenance.model.name}'",
        index.references_array,
    )
    first = _Base.of(_queries(folder, index, files[base]), references, block_bytes)
    return {cell: first.against(_queries(folder, index, files[cell])) for cell in wanted}


def _queries(folder: Path, index: EmbeddingsIndex, item: CellFile) -> Embeddings:
    what = f"the queries of '{index.provenance.model.name}' in {item.cell}"
    return read_embeddings(folder / item.file, len(index.query_ids), what, item.array)


@dataclass(frozen=True)
class _Base:
    """The base cell's embeddings, (Q, D), with what a comparison needs of the gallery.

    Attributes:
        queries: (Q, D).
        spread: (D, D), the references' covariance.
        variances: (Q,), of each query's similarities to the references.
        rows: how many queries are compared at a time.
    """

    queries: Embeddings
    spread: Array
    variances: Array
    rows: int

    @classmethod
    def of(cls, queries: Embeddings, references: Embeddings, block_bytes: int) -> "_Base":
        width = references.shape[1]
        _refuse_other_width(queries, width)
        # In double precision: a block, its product with the spread, and a second block.
        rows = max(1, block_bytes // (8 * 3 * width))
        centre = references.mean(axis=0, dtype=np.float64)
        spread = np.zeros((width, width))
        for start in range(0, len(references), rows):
            part = references[start : start + rows] - centre
            spread += part.T @ part
        spread /= len(references)
        blocks = (queries[i : i + rows].astype(np.float64) for i in range(0, len(queries), rows))
        variances = np.concatenate([_dots(block @ spread, block) for block in blocks])
        return cls(queries, spread, variances, rows)

    def against(self, others: Embeddings) -> EmbeddingAgreement:
        """Compare with the same queries' embeddings in another cell, (Q, D)."""
        _refuse_other_width(others, len(self.spread))
        starts = range(0, len(others), self.rows)
        drifts, agreements = zip(*(self._block(others, start) for start in starts), strict=True)
        return EmbeddingAgreement(np.concatenate(drifts), np.concatenate(agreements))

    def _block(self, others: Embeddings, start: int) -> tuple[Array, Array]:
        block = slice(start, start + self.rows)
        one, two = (part[block].astype(np.float64) for part in (self.queries, others))
        cosines = _dots(one, two) / np.sqrt(_dots(one, one) * _dots(two, two))
        spread = two @ self.spread
        ours, theirs = self.variances[block], _dots(spread, two)
        # Similarities that differ by less than what counts as a tie are all equal.
        is_flat = np.minimum(ours, theirs) <= TIE_TOLERANCE**2
        scale = np.sqrt(np.where(is_flat, np.nan, ours * theirs))
        return np.clip(1 - cosines, 0, 2), np.clip(_dots(spread, one) / scale, -1, 1)


def _dots(one: Array, two: Array) -> Array:
    dots: Array = np.einsum("ij,ij->i", one, two)
    return dots


def _refuse_other_width(queries: Embeddings, width: int) -> None:
    if queries.shape[1] != width:
        raise ModelError(f"queries of {queries.shape[1]} dimensions, references of {width}.")


def consistency_table(
    run: RunAnswers, embeddings: Path | None = None, base: Cell = BASE
) -> pd.DataFrame:
    """Every cell of a run against one of them.

    Args:
        run: the answers.
        embeddings: the run's folder of embeddings, for the agreement of these too.
        base: the cell that the others are compared with: the clean panorama as it is. A view's
            clean cell against it says what the heading or the field of view does; name that cell
            as the base for what a corruption does within a view.

    Returns:
        A row a cell but the base: `view`, `corruption`, `severity`; each mean over queries with
        `_low` and `_high`, the ends of its interval; and the medians, which have none. Shares are
        fractions. The names are those of `DecisionAgreement` and `EmbeddingAgreement`.

    Raises:
        RecordError: the run lacks the base or has no other cell, or the embeddings are not the
            run's.
    """
    others = [cell for cell in run.cells if cell != base]
    if base not in run.cells or not others:
        lacks = f"no cell but {base}" if base in run.cells else f"no cell {base}"
        raise RecordError(f"the run of {run.provenance.model.name} has {lacks} to compare with.")
    found: dict[Cell, list[DecisionAgreement | EmbeddingAgreement]] = {
        cell: [decision_agreement(run.cells[base], run.cells[cell])] for cell in others
    }
    if embeddings is not None:
        _refuse_another_run(run, embeddings)
        for cell, agreement in embedding_agreement(embeddings, base, others).items():
            found[cell].append(agreement)
    return _table(found)


def _refuse_another_run(run: RunAnswers, folder: Path) -> None:
    index = read_index(folder)
    if index.query_ids != run.ids or index.provenance.model != run.provenance.model:
        raise RecordError(
            f"{folder} holds embeddings of {index.provenance.model.name} for "
            f"{len(index.query_ids)} queries, which are not those of the run of "
            f"{run.provenance.model.name} for {len(run.ids)}."
        )


def _table(
    found: Mapping[Cell, list[DecisionAgreement | EmbeddingAgreement]],
) -> pd.DataFrame:
    means = {
        (cell, field.name): values
        for cell, agreements in found.items()
        for agreement in agreements
        for field in fields(agreement)
        if (values := getattr(agreement, field.name)) is not None
    }
    low, high = resampled(np.stack([*means.values()]), lambda drawn: drawn)
    rows: dict[Cell, dict[str, object]] = {cell: cell.model_dump() for cell in found}
    for place, ((cell, name), values) in enumerate(means.items()):
        numbers = {name: values.mean(), f"{name}_low": low[place], f"{name}_high": high[place]}
        rows[cell] |= numbers
    for cell, agreements in found.items():
        for agreement in agreements:
            rows[cell] |= agreement.medians
    return pd.DataFrame(list(rows.values()))
