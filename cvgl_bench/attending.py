"""The attention of a model on a data set's first pairs: numbers and pictures for a run's folder.

FOLDER/attention.json              agreement under headings, fields of view and turned tiles
FOLDER/attention-<kind>.png        some of the maps
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.attention import (
    AttentionAgreement,
    draw_maps,
    fov_consistency,
    heading_consistency,
    tile_consistency,
)
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.embedding import embed
from cvgl_bench.files import read, write_atomically
from cvgl_bench.gradcam import Setting
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.statistics import resampled
from cvgl_bench.suite import Suite

Image = NDArray[np.uint8]
PAGE = "attention.json"


def attend(
    adapter: Adapter, suite: Suite, pairs: Sequence[Pair], out: Path, setting: Setting
) -> dict[str, dict[str, object]]:
    """Compare a model's attention maps on pairs with those of their turned and narrowed pictures.

    Args:
        adapter: the model.
        suite: names the codec.
        pairs: with pictures of one size.
        out: gets `attention.json` and a picture a kind.
        setting: layer, device and batch.

    Returns:
        By kind (heading, fov, tile): the mean score, its 95 % interval over samples, the mean by
        condition, and how many of all comparisons had no attention.

    Raises:
        DataError: pictures are missing, broken, or of several sizes.
        ModelError: see `attention`.
    """
    grounds, tiles = (list(_read(suite, pairs, side)) for side in ("ground", "aerial"))
    described = embed(adapter, grounds, side="ground", device=setting.device)
    partners = embed(adapter, tiles, side="aerial", device=setting.device)
    found = {
        "heading": heading_consistency(adapter, grounds, partners, setting=setting),
        "fov": fov_consistency(adapter, grounds, partners, setting=setting),
        "tile": tile_consistency(adapter, tiles, described, setting=setting),
    }
    page = {kind: _numbers(agreement) for kind, agreement in found.items()}
    for kind, agreement in found.items():
        images = tiles if kind == "tile" else grounds
        write_atomically(out / f"attention-{kind}.png", draw_maps(images, agreement))
    about = {"model": adapter.name, "weights_sha256": adapter.weights_sha256, "samples": len(pairs)}
    write_atomically(out / PAGE, (json.dumps(about | page, indent=1) + "\n").encode())
    return page


def _read(suite: Suite, pairs: Sequence[Pair], side: str) -> Iterator[Image]:
    codec = CODECS[suite.codec]
    for pair in pairs:
        path = pair.ground if side == "ground" else pair.aerial
        yield decode(read(path), str(path), codec)


def _numbers(found: AttentionAgreement) -> dict[str, object]:
    scores = found.scores[None]
    (low,), (high,) = resampled(scores, lambda means: means)
    by_condition = (1 + found.ssim.mean(axis=0)) / 2
    return {
        "score": float(scores.mean()),
        "low": None if np.isnan(low) else float(low),
        "high": None if np.isnan(high) else float(high),
        "by_condition": dict(zip(found.conditions, by_condition.tolist(), strict=True)),
        "without_attention": int(found.is_nought.sum()),
    }
