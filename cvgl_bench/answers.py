"""What a model answered: each query's rank, the reference it found, how sure, how far off."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.files import sha256
from cvgl_bench.suite import Cell


@dataclass(frozen=True)
class Answers:
    """The answers to the queries of one cell; what is not known of a run made elsewhere is None.

    Attributes:
        ranks: (Q,), of the true reference, 1 being best.
        found: (Q,), the id of the reference that came first.
        runners_up: (Q, at most 4), the ids of those that came next, best first.
        margins: (Q,), how much more similar it was than the second, at least 0.
        metres: (Q,), how far it lies from where the query was taken.
        true: (Q,), the id of the true reference that the rank is of; None where it is the query's.
        shows_place: (Q,), whether what came first is the true reference or a semi-positive one.
        precision: (Q,), average precision over all true references, in 0..1.
    """

    ranks: NDArray[np.int64]
    found: NDArray[np.object_] | None = None
    margins: NDArray[np.float32] | None = None
    metres: NDArray[np.float64] | None = None
    runners_up: NDArray[np.object_] | None = None
    true: NDArray[np.object_] | None = None
    shows_place: NDArray[np.bool_] | None = None
    precision: NDArray[np.float64] | None = None

    @property
    def hits(self) -> NDArray[np.float64]:
        """1 where the true reference came first, else 0, (Q,)."""
        hits: NDArray[np.float64] = (self.ranks == 1).astype(np.float64)
        return hits


CellAnswers = Mapping[Cell, Answers]


def ranks_digest(answers: CellAnswers) -> str:
    """SHA-256 over cells and ranks, whatever file they are stored in."""
    parts = [
        str(cell).encode() + b"\0" + each.ranks.astype("<i8").tobytes()
        for cell, each in answers.items()
    ]
    return sha256(b"\0".join(sorted(parts)))
