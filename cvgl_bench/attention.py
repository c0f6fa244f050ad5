"""Whether a model looks at the same places when its picture is turned or narrowed.

SinGeo's idea, and not its number: the normalised structural similarity of Grad-CAM maps of the same
sample under another heading or field of view, turned back before they are compared.

Source: the idea, Chen et al. 2026, arXiv:2603.09377 (OC and FC); Grad-CAM, Selvaraju et al. 2017,
arXiv:1610.02391; structural similarity, Wang et al. 2004, by scikit-image.

Not stated in the paper; chosen here:
    Layer: the backbone's last feature map, what `backbones.feature_map` gives; of a model that is
        not one of the reference models, a module that the user names.
    Target: the dot product of the picture's descriptor with that of its true partner in the other
        view, which is held fixed, the same for all headings and fields of view.
    Map: ReLU of the sum over channels of the features, each weighted with its gradient's mean over
        places.
    Frame: maps are compared at the size of the unturned panorama's feature map, and taken to span
        their pictures evenly. A panorama is turned by whole columns of the picture and its map
        back by the same angle, with linear interpolation between columns, around the seam. A
        narrow view's map is resized, bilinear, to as many columns as its share of the panorama's
        map (padding is cut off first), and compared with these columns of the panorama's map.
        Tiles are turned by quarters and their maps turned back.
    Scale: each of the two maps that are compared is divided by its maximum.
    SSIM: data range 1, a flat square window of 7 places or the largest odd number that fits the
        map, at least 3; windows do not reach over the seam.
    Score: (1 + SSIM) / 2, the mean over samples and conditions; 0.5 is no agreement.
    Nought: a map without a place above 0 shows no attention that could agree. SSIM counts as 0
        where either map is so, and such comparisons are counted.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch.nn.functional import interpolate

from cvgl_bench.attention_maps import AttentionAgreement, Maps, Part
from cvgl_bench.errors import ModelError
from cvgl_bench.gradcam import USUAL, Setting, aerial_maps, ground_maps, scaled
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.models.inputs import view_columns
from cvgl_bench.models.reference import Encoders
from cvgl_bench.ranking import Embeddings
from cvgl_bench.views import Image, crop, view_width

HEADINGS: Final = (90.0, 180.0, 270.0)
FOVS: Final = (180.0, 90.0, 70.0)
QUARTERS: Final = (1, 2, 3)
_WINDOW, _LEAST_WINDOW = 7, 3
_WHOLE = (0.0, 360.0)


def heading_consistency(
    adapter: Adapter,
    panoramas: Sequence[Image],
    partners: Embeddings,
    *,
    headings: Sequence[float] = HEADINGS,
    setting: Setting = USUAL,
) -> AttentionAgreement:
    """Compare maps of panoramas with those of the same panoramas turned to other headings.

    Args:
        adapter: the model.
        panoramas: RGB uint8, (H, W, 3), N of one size.
        partners: (N, D), descriptors of the true tiles.
        headings: degrees clockwise from north, at least one.
        setting: layer, device and batch.

    Raises:
        ModelError: see `ground_maps`; or the maps are too small to be compared.
        DataError: see `ground_maps`.
    """
    base = ground_maps(adapter, panoramas, partners, setting=setting)
    width, pairs = panoramas[0].shape[1], []
    for heading in headings:
        turned = [crop(each, heading_degrees=heading, fov_degrees=360) for each in panoramas]
        maps = ground_maps(adapter, turned, partners, setting=setting)
        back = -round(width * heading / 360) / width
        pairs.append((base, _columns(maps, back, 1.0, base.shape[2])))
    names = [f"heading {heading:g}°" for heading in headings]
    return _agreement(names, base, pairs, [_WHOLE] * len(names))


def fov_consistency(
    adapter: Adapter,
    panoramas: Sequence[Image],
    partners: Embeddings,
    *,
    fovs: Sequence[float] = FOVS,
    heading_degrees: float = 0.0,
    setting: Setting = USUAL,
) -> AttentionAgreement:
    """Compare maps of narrow views with the same columns of the whole panoramas' maps.

    Args:
        adapter: the model.
        panoramas: RGB uint8, (H, W, 3), N of one size.
        partners: (N, D), descriptors of the true tiles.
        fovs: fields of view, degrees in (0, 360], at least one.
        heading_degrees: where all of them look, clockwise from north.
        setting: layer, device and batch.

    Raises:
        ModelError: a field of view is none; or as in `heading_consistency`.
        DataError: see `ground_maps`.
    """
    if wrong := [fov for fov in fovs if not 0 < fov <= 360]:
        raise ModelError(f"a field of view lies in (0, 360] degrees, not {wrong[0]:g}.")
    base = ground_maps(adapter, panoramas, partners, setting=setting)
    width, pairs = panoramas[0].shape[1], []
    for fov in fovs:
        views = [crop(each, heading_degrees=heading_degrees, fov_degrees=fov) for each in panoramas]
        maps = ground_maps(adapter, views, partners, fov_degrees=fov, setting=setting)
        shown, columns = view_width(width, fov), view_width(base.shape[2], fov)
        # The view's first column, as `crop` has it.
        first = width // 2 + round(width * heading_degrees / 360) - shown // 2
        part = _columns(base, first / width, shown / width, columns)
        pairs.append((part, _resized(_unpadded(adapter, maps, fov), (base.shape[1], columns))))
    names = [f"{fov:g}° towards {heading_degrees:g}°" for fov in fovs]
    return _agreement(names, base, pairs, [(heading_degrees, fov) for fov in fovs])


def tile_consistency(
    adapter: Adapter,
    tiles: Sequence[Image],
    partners: Embeddings,
    *,
    quarters: Sequence[int] = QUARTERS,
    setting: Setting = USUAL,
) -> AttentionAgreement:
    """Compare maps of tiles with those of the same tiles turned by quarters.

    Args:
        adapter: the model.
        tiles: RGB uint8, (S, S, 3), N of one size.
        partners: (N, D), descriptors of the true panoramas.
        quarters: how often each is turned, counterclockwise; at least one.
        setting: layer, device and batch.

    Raises:
        ModelError: as in `heading_consistency`.
        DataError: see `ground_maps`.
    """
    base, pairs = aerial_maps(adapter, tiles, partners, setting=setting), []
    for turns in quarters:
        turned = [np.ascontiguousarray(np.rot90(tile, turns)) for tile in tiles]
        maps = aerial_maps(adapter, turned, partners, setting=setting)
        back = np.ascontiguousarray(np.rot90(maps, -turns, axes=(1, 2)))
        pairs.append((base, _resized(back, base.shape[1:])))
    names = [f"turned by {90 * turns}°" for turns in quarters]
    return _agreement(names, base, pairs, [_WHOLE] * len(names))


def _columns(maps: Maps, first: float, share: float, count: int) -> Maps:
    """Take `count` columns that span a share of maps, around the seam; 1 is the whole width."""
    width = maps.shape[2]
    places = width * (first + (np.arange(count) + 0.5) * share / count) - 0.5
    # Rounding must not make a whole column the far end of the one before it.
    left = np.floor(places + 1e-9)
    weight = np.clip(places - left, 0, 1).astype(np.float32)
    before, after = (maps[..., (left.astype(int) + step) % width] for step in (0, 1))
    taken: Maps = before * (1 - weight) + after * weight
    return taken


def _resized(maps: Maps, size: tuple[int, ...]) -> Maps:
    if maps.shape[1:] == size:
        return maps
    given = torch.from_numpy(maps)[:, None]
    resized: Maps = interpolate(given, size, mode="bilinear")[:, 0].numpy()
    return resized


def _unpadded(adapter: Adapter, maps: Maps, fov_degrees: float) -> Maps:
    """The part of a view's maps that is no padding; see `inputs.padded`."""
    if not isinstance(adapter, Encoders) or adapter.config.narrow != "pad":
        return maps
    total = adapter.config.ground_size[1]
    shown = view_columns(adapter.config, fov_degrees)
    columns = max(1, round(maps.shape[2] * shown / total))
    return _columns(maps, (total - shown) // 2 / total, shown / total, columns)


def _agreement(
    conditions: Sequence[str],
    base: Maps,
    pairs: Sequence[tuple[Maps, Maps]],
    parts: Sequence[Part],
) -> AttentionAgreement:
    from skimage.metrics import structural_similarity

    ssim = np.zeros((len(base), len(pairs)))
    is_nought = np.zeros(ssim.shape, bool)
    others = []
    for place, pair in enumerate(pairs):
        ours, theirs = (scaled(maps) for maps in pair)
        others.append(theirs)
        window = _window(ours.shape[1:])
        is_nought[:, place] = ~(ours.any(axis=(1, 2)) & theirs.any(axis=(1, 2)))
        for sample in np.flatnonzero(~is_nought[:, place]):
            ssim[sample, place] = structural_similarity(  # type: ignore[no-untyped-call]
                ours[sample].astype(np.float64),
                theirs[sample].astype(np.float64),
                win_size=window,
                data_range=1.0,
            )
    return AttentionAgreement(tuple(conditions), ssim, is_nought, base, tuple(others), tuple(parts))


def _window(size: tuple[int, ...]) -> int:
    shortest = min(*size, _WINDOW)
    if shortest < _LEAST_WINDOW:
        raise ModelError(
            f"attention maps of {size[0]} x {size[1]} places are too small to be compared, "
            f"{_LEAST_WINDOW} x {_LEAST_WINDOW} is the least: take wider views or larger pictures."
        )
    return shortest - (shortest + 1) % 2
