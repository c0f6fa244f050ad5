"""Where the true references stand: exact, and in one pass over all similarities.

Approximate similarities settle what is far enough from the limit; what is not is computed again, so
that every rank is the one of float64, whatever multiplied first and on whatever machine. `rank_all`
needs no torch, unless it is asked for a device of torch's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import ModelError
from cvgl_bench.products import (
    Product,
    by_bfloat16,
    by_device,
    by_numpy,
    exact_lines,
    multiplies_bfloat16,
)
from cvgl_bench.sifting import CHUNK, STEPS, Best, sift, similarities

TIE_TOLERANCE: Final = 1e-6
UNIT_TOLERANCE: Final = 1e-3
MEMORY: Final = 256 << 20
FIRST: Final = 5
_BLOCK_BYTES = 64 << 20
_CHECKED_ROWS = 512

_LONGEST = 2.0

Embeddings = NDArray[np.float32]
_Way = Callable[[Embeddings], Product]
Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """What was found for each query.

    Attributes:
        ranks: (Q,), of the true reference, 1 being best.
        first: (Q, K), the rows of the K = min(5, R) most similar references, best first. A tie goes
            against the model: where the true reference is not alone at the top, it is second.
        margins: (Q,), how much more similar the most similar reference is than the second one, at
            least 0; NaN where there is only one reference.
    """

    ranks: Ranks
    first: NDArray[np.int64]
    margins: NDArray[np.float32]

    @property
    def found(self) -> NDArray[np.int64]:
        """The row of the reference that comes first, (Q,)."""
        return self.first[:, 0]


def check_embeddings(embeddings: Embeddings, what: str) -> None:
    """Refuse embeddings that cannot be scored.

    Args:
        embeddings: (N, D).
        what: whose they are, for the message.

    Raises:
        ModelError: wrong number of dimensions, empty, a NaN or infinity, or not of unit length.
    """
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise ModelError(
            f"{what} have the shape {embeddings.shape}; (number, dimensions) was expected."
        )
    # A few rows at a time: a copy in double precision of a whole gallery would be twice its size.
    blocks = (embeddings[i : i + _CHECKED_ROWS] for i in range(0, len(embeddings), _CHECKED_ROWS))
    lengths = np.concatenate([np.linalg.norm(block.astype(np.float64), axis=1) for block in blocks])
    broken = ~np.isfinite(lengths)
    if broken.any():
        raise ModelError(
            f"{what}: {broken.sum()} of {len(embeddings)} hold a NaN or an infinity (first: number "
            f"{int(broken.argmax())}). Nothing was scored."
        )
    worst = float(lengths[np.abs(lengths - 1).argmax()])
    if abs(worst - 1) > UNIT_TOLERANCE:
        raise ModelError(
            f"{what} must have unit length, one has {worst:.4g}. Normalise them: the similarity "
            "is the dot product."
        )


def least_memory(references: int) -> int:
    """Bytes that ranking cannot do without."""
    return 64 * references + (1 << 20)


def rank_all(
    queries: Embeddings,
    references: Embeddings,
    positives: Sequence[int] | NDArray[np.int64],
    *,
    memory: int = MEMORY,
    device: str | None = None,
) -> Ranking:
    """Rank each query's true reference among all references.

    A rank counts every reference that is at least as similar as the true one, so that a tie goes
    against the model, and constant embeddings rank last and not first. Similarities nearer than
    `TIE_TOLERANCE` are ties: what float32 holds of unit vectors is no more exact than that.

    Args:
        queries: (Q, D), unit length; what is no float32 is rounded to it.
        references: (R, D), likewise.
        positives: (Q,), the row of each query's true reference.
        memory: bytes that may be held besides the arguments and 120 bytes a query; not less than
            `least_memory`.
        device: None computes with numpy; "cpu" with torch's bfloat16 where the processor multiplies
            that, "cuda" with torch there. The ranks are the same.

    Raises:
        ValueError: the shapes do not fit, a positive lies outside the references, or something is
            not finite or longer than 2.
    """
    truth = np.asarray(positives, dtype=np.int64)
    _refuse_unfit(queries, references, truth)
    # A copy only of what is of another type or order.
    ours, theirs = (np.ascontiguousarray(rows, dtype=np.float32) for rows in (queries, references))
    least = np.empty(len(truth))
    similarities(ours, theirs, truth, least)
    least -= TIE_TOLERANCE
    first = min(FIRST, len(theirs))
    best = Best(
        np.empty(len(truth), np.int64),
        np.empty((len(truth), first), np.int64),
        np.empty((len(truth), first)),
    )
    left = np.arange(len(truth))
    for multiplying in _ways(theirs, memory, device):
        if left.size:
            left = _settle(multiplying(theirs), (ours, theirs), least, left, best, memory=memory)
    _in_float64((ours, theirs), least, left, best, memory=memory)
    return _against_the_model(best, truth)


def _settle(
    product: Product,
    embeddings: tuple[Embeddings, Embeddings],
    least: NDArray[np.float64],
    rows: NDArray[np.int64],
    best: Best,
    *,
    memory: int,
) -> NDArray[np.int64]:
    """Rank some queries by one way of multiplying; returns those for which it is too coarse."""
    queries, references = embeddings
    size = _rows(product, references, memory)
    left = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        own = queries[block]
        bits, errors = product.block(own)
        found, settled = sift(
            bits, errors, (own, references), least[block], first=best.columns.shape[1]
        )
        done = block[settled]
        best.ranks[done] = found.ranks[settled]
        best.columns[done] = found.columns[settled]
        best.values[done] = found.values[settled]
        left.append(block[~settled])
    return np.concatenate(left)


def _refuse_unfit(queries: Embeddings, references: Embeddings, truth: NDArray[np.int64]) -> None:
    fit = queries.ndim == references.ndim == 2 and queries.shape[1] == references.shape[1]
    if not fit or truth.shape != queries.shape[:1]:
        raise ValueError(
            f"{queries.shape} queries, {references.shape} references and {truth.shape} positives "
            "do not fit together"
        )
    if truth.size and not (truth.min() >= 0 and truth.max() < len(references)):
        raise ValueError(f"a positive lies outside the {len(references)} references")
    for rows in (queries, references):
        for start in range(0, len(rows), _CHECKED_ROWS):
            block = rows[start : start + _CHECKED_ROWS].astype(np.float64)
            lengths = np.linalg.norm(block, axis=1)
            if not np.isfinite(lengths).all():
                raise ValueError("an embedding holds a NaN or an infinity")
            if (lengths > _LONGEST).any():
                raise ValueError("an embedding is not of unit length")


def _ways(references: Embeddings, memory: int, device: str | None) -> Sequence[_Way]:
    """Ways of multiplying, coarse and quick ones first; none for a gallery of a few."""
    if len(references) < FIRST * CHUNK:
        return []
    if device not in (None, "cpu"):
        return [partial(by_device, device=device)]
    fits = references.size * 2 <= memory * 3 // 4
    if device == "cpu" and fits and multiplies_bfloat16():
        return [by_bfloat16, by_numpy]
    return [by_numpy]


def _rows(product: Product, references: Embeddings, memory: int) -> int:
    """How many queries at a time: their similarities, embeddings, chunks and open references."""
    number, width = references.shape
    one: int = product.itemsize * number + 12 * width + 16 * number // CHUNK + 1000
    return max(1, min(_BLOCK_BYTES, (memory - product.gallery_bytes) * 9 // 10) // one)


def _in_float64(
    embeddings: tuple[Embeddings, Embeddings],
    least: NDArray[np.float64],
    rows: NDArray[np.int64],
    best: Best,
    *,
    memory: int,
) -> None:
    """Rank some queries by all their similarities: where too many references are alike."""
    for row, line in exact_lines(*embeddings, rows, memory):
        best.ranks[row] = np.count_nonzero(line >= least[row])
        np.multiply(np.rint(line * STEPS, out=line), 1 / STEPS, out=line)
        best.columns[row] = _first_of(line, best.columns.shape[1])
        best.values[row] = line[best.columns[row]]


def _first_of(line: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The places of the highest, best first, and of equal ones the first."""
    limit = np.partition(line, len(line) - count)[len(line) - count]
    above = np.flatnonzero(line > limit)
    above = above[np.argsort(-line[above], kind="stable")]
    return np.concatenate([above, np.flatnonzero(line == limit)[: count - len(above)]])


def _against_the_model(best: Best, truth: NDArray[np.int64]) -> Ranking:
    """Let the true reference be second where another one is as similar."""
    first, values = best.columns, best.values
    if first.shape[1] == 1:
        return Ranking(best.ranks, first, np.full(len(truth), np.nan, np.float32))
    shared = (best.ranks > 1) & (first[:, 0] == truth)
    first[shared, :2] = first[shared, 1::-1]
    return Ranking(best.ranks, first, (values[:, 0] - values[:, 1]).astype(np.float32))
