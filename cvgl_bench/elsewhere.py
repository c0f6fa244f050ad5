"""Embedding that other processes or machines do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.embedding_identity import Unit

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

Rows = NDArray[np.float32]
Task = tuple[Unit, tuple[str, ...] | None]


@dataclass(frozen=True)
class Embedded:
    """A unit's embeddings that were made elsewhere.

    Attributes:
        unit: of what.
        rows: (N, D), unit length.
        seconds: what the encoder took.
        environment: versions and device, where it was made.
        batch_size: pictures at a time for which there was memory.
    """

    unit: Unit
    rows: Rows
    seconds: float
    environment: dict[str, str]
    batch_size: int


class Elsewhere(Protocol):
    """Other processes or machines that embed."""

    def embed(
        self, job: "Evaluation", tasks: Sequence[Task], *, batch_size: int, max_memory: int | None
    ) -> Iterator[Embedded]:
        """Embed units, and yield them as they come.

        Args:
            job: the evaluation.
            tasks: units, each with what its files must be.
            batch_size: pictures at a time.
            max_memory: bytes, see `Scale`.

        Raises:
            CvglBenchError: a unit cannot be embedded.
        """
