"""Grad-CAM: which places of a picture make it similar to its true partner in the other view.

Source: Selvaraju et al. 2017, arXiv:1610.02391. What it leaves open is stated in `attention`.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvgl_bench.embedding import Device, as_floats, encoder_of, prepare, resolve_device
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.models.reference import Encoders
from cvgl_bench.ranking import Embeddings
from cvgl_bench.views import Image

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Setting:
    """How maps are made.

    Attributes:
        layer: dotted name of the module whose output, (B, C, h, w), is looked at, from the adapter
            on, such as "network.model.stages.3"; "" for a reference model's last feature map.
        device: where the model runs.
        batch_size: the most pictures at a time.
    """

    layer: str = ""
    device: Device = "cpu"
    batch_size: int = 8


USUAL = Setting()


def ground_maps(
    adapter: Adapter,
    images: Sequence[Image],
    partners: Embeddings,
    *,
    fov_degrees: float = 360.0,
    setting: Setting = USUAL,
) -> Maps:
    """Grad-CAM maps of street views, each divided by its maximum.

    Args:
        adapter: the model; it is moved to the device, set to evaluation, and left so.
        images: RGB uint8, (H, W, 3), N of one size.
        partners: (N, D), descriptors of the true tiles.
        fov_degrees: how much of the panorama the pictures show.
        setting: layer, device and batch.

    Returns:
        (N, h, w), 0 to 1; nought everywhere where no place adds to the similarity.

    Raises:
        ModelError: the layer is not there or gives no feature map, no gradient reaches it, or the
            partners do not fit.
        DataError: there is no picture, or they are of several sizes.
    """
    return _maps(adapter, images, partners, "ground", fov_degrees, setting=setting)


def aerial_maps(
    adapter: Adapter, images: Sequence[Image], partners: Embeddings, *, setting: Setting = USUAL
) -> Maps:
    """Grad-CAM maps of tiles, like `ground_maps`; partners are the true panoramas' descriptors."""
    return _maps(adapter, images, partners, "aerial", setting=setting)


def scaled(maps: Maps) -> Maps:
    """Divide each map, (N, h, w), by its maximum; one that is nought everywhere stays so."""
    highest = maps.max(axis=(1, 2), keepdims=True)
    divided: Maps = np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
    return divided


def _maps(
    adapter: Adapter,
    images: Sequence[Image],
    partners: Embeddings,
    side: Side,
    fov_degrees: float = 360.0,
    *,
    setting: Setting,
) -> Maps:
    if len({image.shape for image in images}) != 1:
        raise DataError(f"attention needs {side} pictures of one size, and at least one.")
    if len(partners) != len(images):
        raise ModelError(f"{len(images)} pictures need as many partners, not {len(partners)}.")
    place = resolve_device(setting.device)
    prepare(adapter, place)
    encode, parts = encoder_of(adapter, side, fov_degrees), []
    with torch.inference_mode(mode=False), torch.enable_grad(), _tapped(adapter, setting) as tap:
        for start in range(0, len(images), setting.batch_size):
            batch = slice(start, start + setting.batch_size)
            described = encode(as_floats(images[batch], place))
            parts.append(tap.maps(described, torch.tensor(partners[batch]).to(described)))
    return scaled(np.concatenate(parts))


@dataclass
class _Tap:
    """Holds the features that a network gave last; the gradient's graph starts with them.

    Attributes:
        model: the adapter's name.
        backbone: whose features they are; None if they come from a module that the user named.
        features: the start of the graph.
        images: what the backbone made them of.
        given: while it is there, the backbone gives it instead of its features.
    """

    model: str
    backbone: nn.Module | None
    features: Tensor | None = None
    images: Tensor | None = None
    given: Tensor | None = None

    def hold(self, output: object) -> Tensor:
        """Take features out of the network; returns what it goes on with."""
        if not isinstance(output, Tensor) or (self.backbone is None and output.ndim != 4):
            raise ModelError(f"{self.model}: the layer gives no feature map (B, C, h, w).")
        self.features = output.detach().requires_grad_()
        # A copy: what follows may work in place, which no start of a graph allows.
        return self.features.clone()

    def replace(self, own: Callable[..., Any], images: Tensor, **options: object) -> Any:  # noqa: ANN401
        """Stand in for the backbone's own method, whose map comes alone or first in a list."""
        if self.given is not None:
            return self.given
        self.images, output = images, own(images, **options)
        is_list = isinstance(output, list)
        held = self.hold(output[0] if is_list else output)
        return [held] if is_list else held

    def maps(self, described: Tensor, partners: Tensor) -> Maps:
        """Grad-CAM of the similarity with the partners, (B, D) each; returns (B, h, w), >= 0."""
        if self.features is None or not described.requires_grad:
            raise ModelError(
                f"{self.model}: no gradient reaches the layer. Its encoders must run it, and not "
                "under torch.no_grad or torch.inference_mode."
            )
        if described.shape != partners.shape:
            shapes = f"{tuple(partners.shape)} for descriptors {tuple(described.shape)}"
            raise ModelError(f"{self.model}: partners of the wrong shape, {shapes}.")
        features, self.features = self.features, None
        (gradient,) = torch.autograd.grad((described * partners).sum(), features)
        weights = self._laid_out(gradient).mean((2, 3), keepdim=True)
        maps = (weights * self._laid_out(features.detach())).sum(1).relu()
        found: Maps = maps.float().cpu().numpy()
        return found

    def _laid_out(self, features: Tensor) -> Tensor:
        """Features as a map: tokens where their patches were, channels before places."""
        if self.backbone is None or self.images is None:
            return features
        self.given = features if hasattr(self.backbone, "forward_features") else features[None]
        try:
            return backbones.feature_map(self.backbone, self.images)
        finally:
            self.given = None


@contextmanager
def _tapped(adapter: Adapter, setting: Setting) -> Generator[_Tap, None, None]:
    """Hook the layer, with all parameters held fixed; both are undone at the end."""
    module = _layer(adapter, setting.layer)
    tap = _Tap(adapter.name, None if setting.layer else module)
    parts = [adapter, *getattr(adapter, "__dict__", {}).values()]
    networks = [part for part in parts if isinstance(part, nn.Module)]
    learning = {own for network in networks for own in network.parameters() if own.requires_grad}
    undo = _hooked(module, tap)
    try:
        for own in learning:
            own.requires_grad_(False)
        yield tap
    finally:
        undo()
        for own in learning:
            own.requires_grad_()


def _hooked(module: nn.Module, tap: _Tap) -> Callable[[], None]:
    """Let the tap see what the module gives; returns what undoes it."""
    if tap.backbone is None:
        return module.register_forward_hook(lambda *call: tap.hold(call[-1])).remove
    # Hooks do not see timm's `forward_features`, which is no module of its own: a name of this one
    # network hides the method of its class for a while.
    name = "forward_features" if hasattr(module, "forward_features") else "forward"
    setattr(module, name, partial(tap.replace, getattr(module, name)))
    return partial(delattr, module, name)


def _layer(adapter: Adapter, name: str) -> nn.Module:
    if not name and isinstance(adapter, Encoders):
        for part in ("backbone", "model"):
            found = getattr(adapter.network, part, None)
            if isinstance(found, nn.Module):
                return found
    if not name:
        raise ModelError(f"{adapter.name} is no reference model: name the layer to look at.")
    first, _, rest = name.partition(".")
    whole = isinstance(adapter, nn.Module)
    root: Any = adapter if whole else getattr(adapter, first, None)
    try:
        return cast("nn.Module", root.get_submodule(name if whole else rest))
    except AttributeError as error:
        raise ModelError(f"{adapter.name} has no module '{name}'.") from error
