"""CVACT (Liu and Li 2019) in its own layout.

    ROOT/ACT_data.mat                                        ids, positions (UTM), splits
    ROOT/ANU_data_small/streetview/<id>_grdView.jpg          1664 x 832
    ROOT/ANU_data_small/satview_polish/<id>_satView_polish.jpg    1200 x 1200
    ROOT/ANU_data_test/...                                   the same names, the test split

Train and val have 35,532 and 8,884 pairs, test has 92,802.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.datasets.base import Dataset, Pair, Position, check, inside
from cvgl_bench.errors import DataError

SPLITS = {
    "train": ("trainSet", "trainInd", "ANU_data_small"),
    "val": ("valSet", "valInd", "ANU_data_small"),
    "test": ("valSetAll", "valInd", "ANU_data_test"),
}
OBTAIN = "CVACT is free on request from its authors: https://github.com/Liumouliu/OriCNN"
CANBERRA_UTM = "EPSG:32755"


def load(root: Path, split: str) -> Dataset:
    """List the pairs of a split.

    Args:
        root: the folder that holds `ACT_data.mat`.
        split: "train", "val" or "test".

    Raises:
        DataError: the list is missing or malformed, or pictures are missing.
    """
    return check(listed(root, split), root)


def listed(root: Path, split: str) -> Dataset:
    """As `load`, without looking whether the pictures are there."""
    source = root / "ACT_data.mat"
    if not source.is_file():
        raise DataError(f"{source} is missing, so {root} is no CVACT folder. {OBTAIN}")
    struct, field, folder = SPLITS[split]
    ids, positions = _selected(source, struct, field)
    pairs = []
    for identity, position in zip(ids, positions, strict=True):
        ground = f"{folder}/streetview/{identity}_grdView.jpg"
        aerial = f"{folder}/satview_polish/{identity}_satView_polish.jpg"
        pairs.append(
            Pair(
                identity,
                inside(root, ground, source),
                inside(root, aerial, source),
                position,
                position,
            )
        )
    return Dataset("cvact", tuple(pairs))


def _selected(source: Path, struct: str, field: str) -> tuple[list[str], list[Position]]:
    """Return ids and positions of a split; one position stands for panorama and tile."""
    data = _read_mat(source)
    try:
        ids = [str(identity).strip() for identity in np.atleast_1d(data["panoIds"])]
        utm: NDArray[np.float64] = np.asarray(data["utm"], dtype=np.float64).reshape(len(ids), 2)
        index = np.atleast_1d(getattr(data[struct], field)).astype(np.int64) - 1
        if index.size and (index.min() < 0 or index.max() >= len(ids)):
            raise ValueError(f"an index lies outside 1..{len(ids)}")
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise DataError(
            f"{source} does not hold what CVACT's list holds (panoIds, utm, {struct}.{field}): "
            f"{error}."
        ) from error
    return [ids[i] for i in index], _to_degrees(utm[index])


def _read_mat(source: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        data: dict[str, Any] = loadmat(str(source), struct_as_record=False, squeeze_me=True)
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        NotImplementedError,
        MatReadError,
    ) as error:
        raise DataError(f"{source} cannot be read as a MATLAB file: {error}.") from error
    return data


def _to_degrees(utm: NDArray[np.float64]) -> list[Position]:
    from pyproj import Transformer

    transformer = Transformer.from_crs(CANBERRA_UTM, "EPSG:4326", always_xy=True)
    longitudes, latitudes = transformer.transform(utm[:, 0].tolist(), utm[:, 1].tolist())
    return [Position(*pair) for pair in zip(latitudes, longitudes, strict=True)]
