"""The attention of a model on a data set's first pairs: numbers and pictures for a run's folder.

FOLDER/attention-<kind>.png     some of the maps
FOLDER/attention.json, .npz     see `attention_file`
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.attention import fov_consistency, heading_consistency, tile_consistency
from cvgl_bench.attention_file import write_attention
from cvgl_bench.attention_maps import draw_maps
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.embedding import embed
from cvgl_bench.evaluation import model_card
from cvgl_bench.files import read, write_atomically
from cvgl_bench.gradcam import Setting
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.suite import Suite

Image = NDArray[np.uint8]


def attend(
    adapter: Adapter, suite: Suite, pairs: Sequence[Pair], out: Path, setting: Setting
) -> dict[str, dict[str, Any]]:
    """Compare a model's attention maps on pairs with those of their turned and narrowed pictures.

    Args:
        adapter: the model.
        suite: names the codec.
        pairs: with pictures of one size.
        out: gets `attention.json`, `attention.npz` and a picture a kind.
        setting: layer, device and batch.

    Returns:
        By kind (heading, fov, tile): the fields of `attention_file.KindAgreement`.

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
    images = {"heading": grounds, "fov": grounds, "tile": tiles}
    for kind, agreement in found.items():
        write_atomically(out / f"attention-{kind}.png", draw_maps(images[kind], agreement))
    page = write_attention(out, model_card(adapter), suite.fingerprint, found, images)
    return {kind: each.model_dump() for kind, each in page.kinds.items()}


def _read(suite: Suite, pairs: Sequence[Pair], side: str) -> Iterator[Image]:
    codec = CODECS[suite.codec]
    for pair in pairs:
        path = pair.ground if side == "ground" else pair.aerial
        yield decode(read(path), str(path), codec)
