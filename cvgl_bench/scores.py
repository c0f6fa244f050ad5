"""Ranks, recall and corruption error: arrays in, numbers out.

Recalls are fractions in 0..1. The formulas and their sources are in docs/protocol.md.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import ModelError

METRIC_VERSION: Final = 1
TIE_TOLERANCE = 1e-6
_BLOCK_BYTES = 64 << 20
UNIT_TOLERANCE = 1e-3

Embeddings = NDArray[np.float32]
Ranks = NDArray[np.int64]


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
    broken = ~np.isfinite(embeddings).all(axis=1)
    if broken.any():
        raise ModelError(
            f"{what}: {broken.sum()} of {len(embeddings)} hold a NaN or an infinity (first: number "
            f"{int(broken.argmax())}). Nothing was scored."
        )
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE:
        worst = float(lengths[np.abs(lengths - 1).argmax()])
        raise ModelError(
            f"{what} must have unit length, one has {worst:.4g}. Normalise them: the similarity "
            "is the dot product."
        )


def ranks(queries: Embeddings, references: Embeddings, positives: Sequence[int]) -> Ranks:
    """Rank of each query's true reference, 1 being best.

    A rank counts every reference that is at least as similar as the true one, so that a tie goes
    against the model, and constant embeddings rank last and not first. Similarities nearer than
    `TIE_TOLERANCE` are ties: float32 dot products of unit vectors are no more exact than that. A
    NaN counts against the model too.

    Args:
        queries: (Q, D), unit length.
        references: (R, D), unit length.
        positives: (Q,), the row of each query's true reference.

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
    rows = max(1, _BLOCK_BYTES // (4 * len(references)))
    result = np.empty(len(queries), dtype=np.int64)
    for first in range(0, len(queries), rows):
        block = slice(first, first + rows)
        similarity = queries[block] @ references.T
        true = np.take_along_axis(similarity, truth[block, None], axis=1)
        farther = np.count_nonzero(similarity < true - TIE_TOLERANCE, axis=1)
        result[block] = len(references) - farther
    return result


def recall_at(rank: Ranks, k: int) -> float:
    """R@K: the fraction of queries whose true reference is among the K nearest."""
    return float(np.count_nonzero(rank <= k) / len(rank))


def recall_at_one_percent(rank: Ranks, references: int) -> float | None:
    """R@1 %: recall at K = floor(references / 100); None below 100 references, where K is 0.

    Source: the rule of the public CVUSA and CVACT scorers, which do not guard K = 0.
    """
    k = references // 100
    return recall_at(rank, k) if k else None


def corruption_means(recall: Mapping[tuple[str, int], float]) -> dict[str, float]:
    """Mean over severities for each corruption, from recalls by (corruption, severity)."""
    names = dict.fromkeys(corruption for corruption, _ in recall)
    return {
        name: float(np.mean([value for (other, _), value in recall.items() if other == name]))
        for name in names
    }


def mean_corruption_recall(means: Mapping[str, float]) -> float:
    """R@1_cor: the plain mean over corruptions, each the mean over its severities.

    Source: Zhang and Zhu, ECCV 2024; the published averages follow it to 0.01.
    """
    return float(np.mean(list(means.values())))


def relative_corruption_error(clean: float, corrupted: float) -> float | None:
    """RCE: the share of the clean recall that is lost; None if nothing is found when clean.

    Source: Zhang and Zhu, ECCV 2024: (R@1_clean - R@1_cor) / R@1_clean.
    """
    return (clean - corrupted) / clean if clean > 0 else None


def mean_corruption_error(
    means: Mapping[str, float], reference: Mapping[str, float]
) -> float | None:
    """mCE: mean over corruptions of the error as a share of a reference model's error.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4, with 1 - R@1 as the error
    and a named model in AlexNet's place. Not a metric of the CVUSA-C paper.

    Args:
        means: R@1 a corruption, of the model.
        reference: the same of the reference model.

    Returns:
        1.0 for the reference model itself; None where it makes no error under some corruption.

    Raises:
        ValueError: the two have other corruptions.
    """
    if means.keys() != reference.keys():
        raise ValueError("mCE needs the same corruptions of the model and of its reference")
    if any(value >= 1 for value in reference.values()):
        return None
    return float(np.mean([(1 - means[name]) / (1 - reference[name]) for name in means]))
