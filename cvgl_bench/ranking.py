"""Where the true references stand: one pass over all similarities, block by block.

`rank_all` needs numpy only, and torch where it is asked for a device of torch's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import ModelError

TIE_TOLERANCE: Final = 1e-6
UNIT_TOLERANCE: Final = 1e-3
BLOCK_BYTES: Final = 256 << 20
_CHECKED_ROWS = 4096

Embeddings = NDArray[np.float32]
Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """What was found for each query.

    Attributes:
        ranks: (Q,), of the true reference, 1 being best.
        found: (Q,), the row of the reference that comes first. A tie goes against the model: where
            the true reference is not alone at the top, it is another one.
        margins: (Q,), how much more similar the most similar reference is than the second one, at
            least 0; NaN where there is only one reference.
    """

    ranks: Ranks
    found: NDArray[np.int64]
    margins: NDArray[np.float32]


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


def rank_all(
    queries: Embeddings,
    references: Embeddings,
    positives: Sequence[int] | NDArray[np.int64],
    *,
    block_bytes: int = BLOCK_BYTES,
    device: str | None = None,
) -> Ranking:
    """Rank each query's true reference among all references.

    A rank counts every reference that is at least as similar as the true one, so that a tie goes
    against the model, and constant embeddings rank last and not first. Similarities nearer than
    `TIE_TOLERANCE` are ties: float32 dot products of unit vectors are no more exact than that. A
    NaN counts against the model too.

    Args:
        queries: (Q, D), unit length.
        references: (R, D), unit length.
        positives: (Q,), the row of each query's true reference.
        block_bytes: what a block of similarities may take; at least one query's are held. All
            else that is held besides the arguments is a quarter of it and 20 bytes a query.
        device: None computes with numpy; "cpu" or "cuda" with torch there.

    Raises:
        ValueError: the shapes do not fit, or a positive lies outside the references.
    """
    truth = np.asarray(positives, dtype=np.int64)
    if queries.shape[1:] != references.shape[1:] or truth.shape != queries.shape[:1]:
        raise ValueError(
            f"{queries.shape} queries, {references.shape} references and {truth.shape} positives "
            "do not fit together"
        )
    if truth.size and not (truth.min() >= 0 and truth.max() < len(references)):
        raise ValueError(f"a positive lies outside the {len(references)} references")
    block = _by_numpy(references) if device is None else _by_torch(references, device)
    rows = max(1, block_bytes // (4 * len(references)))
    starts = range(0, max(1, len(truth)), rows)
    parts = [block(queries[i : i + rows], truth[i : i + rows]) for i in starts]
    return Ranking(
        np.concatenate([part.ranks for part in parts]),
        np.concatenate([part.found for part in parts]),
        np.concatenate([part.margins for part in parts]),
    )


_Block = Callable[[Embeddings, NDArray[np.int64]], Ranking]


def _by_numpy(references: Embeddings) -> _Block:
    count = len(references)

    def block(queries: Embeddings, truth: NDArray[np.int64]) -> Ranking:
        similarity = queries @ references.T
        rows = np.arange(len(truth))
        true = similarity[rows, truth]
        farther = np.count_nonzero(similarity < (true - TIE_TOLERANCE)[:, None], axis=1)
        first = similarity.argmax(axis=1)
        if np.isnan(similarity[rows, first]).any():
            np.nan_to_num(similarity, copy=False, nan=-np.inf)
            first = similarity.argmax(axis=1)
        highest = similarity[rows, first]
        similarity[rows, first] = -np.inf
        second = similarity.argmax(axis=1)
        with np.errstate(invalid="ignore"):
            margins = highest - similarity[rows, second]
        return _ranking(count - farther, truth, (first, second), margins, references=count)

    return block


def _by_torch(references: Embeddings, device: str) -> _Block:
    import torch

    gallery, count = torch.from_numpy(references).to(device), len(references)

    def block(queries: Embeddings, truth: NDArray[np.int64]) -> Ranking:
        similarity = torch.from_numpy(queries).to(device) @ gallery.T
        true = similarity.gather(1, torch.from_numpy(truth).to(device)[:, None])
        farther = (similarity < true - TIE_TOLERANCE).sum(dim=1).cpu().numpy()
        values, places = similarity.nan_to_num_(nan=-torch.inf).topk(min(2, count), dim=1)
        first, second = places[:, 0].cpu().numpy(), places[:, -1].cpu().numpy()
        margins = (values[:, 0] - values[:, -1]).cpu().numpy()
        return _ranking(count - farther, truth, (first, second), margins, references=count)

    return block


def _ranking(
    ranks: Ranks,
    truth: NDArray[np.int64],
    best: tuple[NDArray[np.int64], NDArray[np.int64]],
    margins: NDArray[np.float32],
    *,
    references: int,
) -> Ranking:
    """Of the two most similar references, the one that is found first if ties count against it."""
    first, second = best
    found = np.where((ranks > 1) & (first == truth), second, first)
    known = margins if references > 1 else np.full_like(margins, np.nan)
    return Ranking(ranks.astype(np.int64), found, known)
