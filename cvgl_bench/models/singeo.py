"""SinGeo: Sample4Geo's network, trained to know a place from any part of its panorama."""

from cvgl_bench.models.config import Config
from cvgl_bench.models.reference import Reference
from cvgl_bench.models.sample4geo import PAPERS_BACKBONE, SharedEncoder


class SinGeo(Reference):
    """SinGeo (Chen et al., CVPR 2026), written from the paper and its released code.

    The network is Sample4Geo's; nothing is added to it. Its training (`training.objectives` and
    `training.curriculum`) contrasts each picture with a turned and narrowed panorama and a turned
    tile as well, within and across the views, and narrows the panorama from 360 to 70 degrees
    while it goes on. Transformers take a narrow view in a panorama of noughts (`narrow = "pad"`).

    Source: Chen et al. 2026, arXiv:2603.09377, and its code.

    Differs from the paper:
        The released code pads a transformer's narrow view on one side and rolls it by chance. Here
        it lies in the middle, because an evaluation must not depend on chance. A second view is
        not rolled once more when the pair is turned, which would put a seam into it. Second tiles
        are made of tiles that were turned with their panoramas; there, of unturned ones, so that
        they differ from the first ones by any quarter from the start.

    Not stated in the paper; chosen here:
        Where paper and released code differ, the code: tiles turn by a quarter to either side with
        a probability that rises from 0 to 0.75, every term of the loss is symmetric, one
        temperature serves all, and neighbours are looked up anew every four epochs.
    """

    name = "singeo"
    network_class = SharedEncoder
    published = Config(method="singeo", backbone=PAPERS_BACKBONE)
