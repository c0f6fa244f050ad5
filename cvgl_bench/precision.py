"""May a model be evaluated in bfloat16? Only if it finds what it finds in float32."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.batch_size import BatchSize
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.embedding import Encoding, Precision, embed_batches, resolve_device
from cvgl_bench.errors import ModelError
from cvgl_bench.files import read
from cvgl_bench.models.adapter import Side
from cvgl_bench.ranking import rank_all
from cvgl_bench.suite import Cell
from cvgl_bench.views import parse_view

if TYPE_CHECKING:
    from cvgl_bench.embedding import Device
    from cvgl_bench.evaluation import Evaluation

# Queries that are looked at, in the first and in the last cell.
LOOKED_AT = 500
# Of these, how many may change between found and not found at rank 1; one may in any case.
MAY_CHANGE = 0.01


def precision_of(job: "Evaluation", device: "Device", size: BatchSize) -> dict[str, str]:
    """What a record's environment says of the precision; nothing of float32.

    In bfloat16, the first and the last cell of the evaluation are embedded both ways for up to 500
    queries against their own references, before anything else is done.

    Args:
        job: what is evaluated.
        device: where the model runs.
        size: pictures at a time.

    Raises:
        ModelError: more than 1 % of the queries change between found and not found.
        DataError: a picture is missing or broken.
    """
    if job.precision == "float32":
        return {}
    pairs = job.pictures.queries[:LOOKED_AT]
    words = []
    exact, fast = (_Model(job, device, size, precision) for precision in ("float32", "bfloat16"))
    for cell in dict.fromkeys([job.cells[0], job.cells[-1]]):
        right, in_16_bits = exact.finds(cell), fast.finds(cell)
        changed = int((right != in_16_bits).sum())
        if changed > max(1, math.floor(MAY_CHANGE * len(pairs))):
            raise ModelError(
                f"in bfloat16, {changed} of {len(pairs)} queries of {cell} change between found "
                f"and not found (R@1 {100 * right.mean():.1f} in float32, "
                f"{100 * in_16_bits.mean():.1f} in bfloat16): use --precision float32."
            )
        words.append(f"{changed} of {len(pairs)} in {cell}")
    return {"precision": f"bfloat16 (change at rank 1: {', '.join(words)})"}


@dataclass(frozen=True)
class _Model:
    """A model at one precision, and its few references."""

    job: "Evaluation"
    device: "Device"
    size: BatchSize
    precision: Precision

    def finds(self, cell: Cell) -> NDArray[np.bool_]:
        """Which of the first queries find their reference at rank 1, among theirs alone."""
        places = {path: place for place, path in enumerate(self._tiles)}
        true = np.array([places[pair.aerial] for pair in self._pairs])
        pictures = islice(self.job.pictures.images(cell), len(true))
        queries = self._embedded(
            self.job.dataset.query_side, pictures, parse_view(cell.view).fov_degrees
        )
        found: NDArray[np.bool_] = rank_all(queries, self._gallery, true).ranks == 1
        return found

    @cached_property
    def _gallery(self) -> NDArray[np.float32]:
        codec = CODECS[self.job.suite.codec]
        tiles = (decode(read(path), str(path), codec) for path in self._tiles)
        return self._embedded(other(self.job.dataset.query_side), tiles)

    @property
    def _pairs(self) -> Sequence[Pair]:
        return self.job.pictures.queries[:LOOKED_AT]

    @property
    def _tiles(self) -> list[Path]:
        return [*dict.fromkeys(pair.aerial for pair in self._pairs)]

    def _embedded(
        self, side: Side, pictures: Iterable[NDArray[np.uint8]], fov_degrees: float = 360.0
    ) -> NDArray[np.float32]:
        place = resolve_device(self.device)
        encoding = Encoding(self.job.adapter, side, place, fov_degrees, self.precision)
        return np.concatenate([*embed_batches(encoding, pictures, size=self.size)])


def other(side: Side) -> Side:
    """The side that is not this one."""
    return "aerial" if side == "ground" else "ground"
