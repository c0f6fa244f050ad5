"""May a model be evaluated in bfloat16? Only if it finds what it finds in float32."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.batch_size import BatchSize
from cvgl_bench.codec import decode
from cvgl_bench.embedding import (
    Encoding,
    Precision,
    embed_batches,
    in_batches,
    resolve_device,
)
from cvgl_bench.errors import ModelError
from cvgl_bench.files import read
from cvgl_bench.ranking import rank_all
from cvgl_bench.views import parse_view

if TYPE_CHECKING:
    from cvgl_bench.embedding import Device
    from cvgl_bench.evaluation import Evaluation

PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "bfloat16")
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
    pairs, place = job.pictures.queries[:LOOKED_AT], resolve_device(device)
    codec = CODECS[job.suite.codec]
    tiles = {path: row for row, path in enumerate(dict.fromkeys(pair.aerial for pair in pairs))}
    true = np.array([tiles[pair.aerial] for pair in pairs])
    galleries = _both_ways(
        (decode(read(path), str(path), codec) for path in tiles),
        [Encoding(job.adapter, job.dataset.reference_side, place, precision=p) for p in PRECISIONS],
        size,
    )
    words = []
    for cell in dict.fromkeys([job.cells[0], job.cells[-1]]):
        how = job.dataset.query_side, place, parse_view(cell.view).fov_degrees
        encodings = [Encoding(job.adapter, *how, precision) for precision in PRECISIONS]
        queries = _both_ways(islice(job.pictures.images(cell), len(pairs)), encodings, size)
        right, in_16_bits = (
            rank_all(*both, true).ranks == 1 for both in zip(queries, galleries, strict=True)
        )
        changed = int((right != in_16_bits).sum())
        if changed > max(1, math.floor(MAY_CHANGE * len(pairs))):
            raise ModelError(
                f"in bfloat16, {changed} of {len(pairs)} queries of {cell} change between found "
                f"and not found (R@1 {100 * right.mean():.1f} in float32, "
                f"{100 * in_16_bits.mean():.1f} in bfloat16): use --precision float32."
            )
        words.append(f"{changed} of {len(pairs)} in {cell}")
    return {"precision": f"bfloat16 (change at rank 1: {', '.join(words)})"}


def recorded_precision(environment: Mapping[str, str]) -> Precision:
    """What the model of a run computed in, as its record says."""
    return "bfloat16" if environment.get("precision", "").startswith("bfloat16") else "float32"


def _both_ways(
    images: Iterable[NDArray[np.uint8]], encodings: Sequence[Encoding], size: BatchSize
) -> list[NDArray[np.float32]]:
    """Embed images with each encoder, and make them once."""
    found: list[list[NDArray[np.float32]]] = [[] for _ in encodings]
    for batch in in_batches(images, size.asked):
        for encoding, rows in zip(encodings, found, strict=True):
            rows.extend(embed_batches(encoding, batch, size=size))
    return [np.concatenate(rows) for rows in found]
