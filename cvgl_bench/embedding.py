"""Images through a model's encoders: the one part of an evaluation that needs torch."""

import inspect
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from functools import partial
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvgl_bench.batch_size import BatchSize, OutOfMemoryError, memory_errors
from cvgl_bench.errors import DataError, ModelError, unknown
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.ranking import UNIT_TOLERANCE

Device = Literal["cpu", "cuda", "auto"]
Precision = Literal["float32", "bfloat16"]
Item = TypeVar("Item")
# How far from 1 a length may be that was normalised in bfloat16, of 8 bits.
_ROUNDING = 2**-7
_Batch = list[NDArray[np.uint8]]
Encoder = Callable[[Tensor], Tensor]


def embed(
    adapter: Adapter,
    images: Iterable[NDArray[np.uint8]],
    *,
    side: Side,
    device: Device = "cpu",
    batch_size: int = 32,
    fov_degrees: float = 360.0,
    precision: Precision = "float32",
) -> NDArray[np.float32]:
    """Embed images in their order; returns (N, D) float32 of unit length.

    See `embed_batches`, whose arguments and errors these are.
    """
    encoding = Encoding(adapter, side, resolve_device(device), fov_degrees, precision)
    return np.concatenate(list(embed_batches(encoding, images, size=BatchSize(batch_size))))


def embed_batches(
    encoding: "Encoding",
    images: Iterable[NDArray[np.uint8]],
    *,
    size: BatchSize,
    clock: Callable[[float], None] = lambda _: None,
) -> Generator[NDArray[np.float32], None, None]:
    """Embed images in their order, and yield their rows, (B, D) float32 of unit length.

    Consecutive images of one size go through the model together, and another size starts a new
    batch. The images are drawn from `images` as they are needed, in a thread of their own and at
    most one batch ahead of the model, so that reading or rendering them overlaps with it. Where
    memory is too short for a batch, its half is tried, down to one image, and kept to.

    Args:
        encoding: the encoder.
        images: RGB, (H, W, 3) uint8 each.
        size: the most images in a batch. It changes nothing but rounding and memory.
        clock: told how many seconds the encoder took for each batch, its transfer to and from the
            device included, reading and rendering not.

    Raises:
        ModelError: memory is too short for one image, or the model returned something else than
            finite rows of unit length, one an image, of one width throughout.
        DataError: there is no image at all, or one is not (H, W, 3) uint8.
    """
    with closing(one_ahead(in_batches(images, size.asked))) as batches:
        for batch in batches:
            first = 0
            while first < len(batch):
                part = batch[first : first + size.now]
                start = time.perf_counter()
                try:
                    rows = encoding.encode(partial(as_floats, part, encoding.place))
                    found = encoding.checked(rows, len(part))
                except OutOfMemoryError:
                    size.make_smaller(len(part), part[0].shape[:2], encoding.who, encoding.done)
                    continue
                clock(time.perf_counter() - start)
                first += len(part)
                yield found
    if not encoding.done:
        raise DataError(f"there is not one {encoding.side} image to embed.")


class Encoding:
    """One encoder of a model on its device: pictures in, checked rows out.

    Args:
        adapter: the model.
        side: which encoder.
        place: where it runs.
        fov_degrees: how much of the panorama ground images show, in (0, 360]; passed on to an
            adapter that wants it, see `is_told_fov`.
        precision: of the arithmetic; "bfloat16" is torch's autocast.

    Attributes:
        who: model and side, for messages.
        done: how many images were checked so far, or the number of the next one.
        unchecked: how many were encoded since.

    Raises:
        ModelError: an argument makes no sense.
    """

    def __init__(
        self,
        adapter: Adapter,
        side: Side,
        place: torch.device,
        fov_degrees: float = 360.0,
        precision: Precision = "float32",
    ) -> None:
        if side not in ("ground", "aerial"):
            raise ModelError(unknown("side", side, ["ground", "aerial"]))
        if not 0 < fov_degrees <= 360:
            raise ModelError(f"a field of view lies in (0, 360] degrees, not {fov_degrees:g}.")
        if precision not in ("float32", "bfloat16"):
            raise ModelError(unknown("precision", precision, ["float32", "bfloat16"]))
        prepare(adapter, place)
        self.side, self.place, self.done, self.unchecked = side, place, 0, 0
        self.who = f"{adapter.name} ({side})"
        self._encode = encoder_of(adapter, side, fov_degrees)
        self._in_16_bits = precision == "bfloat16"
        self._width: int | None = None

    def encode(self, make: Callable[[], Tensor]) -> Tensor:
        """What the model makes of images: its rows, on its device and not yet checked.

        Args:
            make: gives the images, (B, 3, H, W) in 0..1, on the device.

        Raises:
            OutOfMemoryError: they do not fit.
            ModelError: the model failed.
        """
        with memory_errors(), torch.inference_mode():
            images = make()
        # With enabled=False it would switch off the caller's own, such as a training's.
        autocast = (
            torch.autocast(self.place.type, torch.bfloat16) if self._in_16_bits else nullcontext()
        )
        try:
            with memory_errors(), torch.inference_mode(), autocast:
                return self._encode(images)
        except (ModelError, OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            first = self.done + self.unchecked
            raise ModelError(
                f"{self.who} failed at images {first} to {first + len(images) - 1}: "
                f"{type(error).__name__}: {error} (cvgl-bench --traceback ... shows where)"
            ) from error

    def checked(self, rows: Tensor, count: int) -> NDArray[np.float32]:
        """Check the rows of the next images, and bring them to the host, (B, D) float32.

        Raises:
            OutOfMemoryError: they do not fit.
            ModelError: they are not finite, of unit length, one an image, as wide as those before.
        """
        if isinstance(rows, Tensor) and rows.is_floating_point():
            with memory_errors():
                rows = rows.detach().float().cpu()
        if self._in_16_bits and isinstance(rows, Tensor) and rows.ndim == 2:
            rows = _of_unit_length(rows)
        _check(rows, self.who, self.done, count, self._width)
        # A copy, because a model may hand out the same buffer again and again.
        found = np.array(rows.numpy())
        self._width = found.shape[1]
        self.done += count
        return found


def _of_unit_length(rows: Tensor) -> Tensor:
    """Give rows unit length that have it but for the rounding of 16 bits; leave others alone."""
    lengths = rows.norm(dim=1, keepdim=True)
    return torch.where((lengths - 1).abs() < _ROUNDING, rows / lengths, rows)


def prepare(adapter: Adapter, place: torch.device) -> None:
    """Move an adapter's networks to the device and set them to evaluation."""
    networks = [adapter, *vars(adapter).values()] if hasattr(adapter, "__dict__") else [adapter]
    for network in networks:
        if isinstance(network, nn.Module):
            network.to(place).eval()


def is_told_fov(adapter: Adapter) -> bool:
    """Whether `encode_ground` has a parameter `fov_degrees`, and so is told the field of view."""
    try:
        return "fov_degrees" in inspect.signature(adapter.encode_ground).parameters
    except (TypeError, ValueError):
        # What is compiled has no signature that could be read.
        return False


def encoder_of(adapter: Adapter, side: Side, fov_degrees: float) -> Encoder:
    """The encoder of a side, told the field of view if it wants to be."""
    if side == "aerial":
        return adapter.encode_aerial
    if not is_told_fov(adapter):
        return adapter.encode_ground
    return partial(cast("Any", adapter).encode_ground, fov_degrees=fov_degrees)


def resolve_device(name: Device) -> torch.device:
    """Return the device by that name.

    Raises:
        ModelError: it is unknown, or CUDA was asked for and is absent.
    """
    if name not in ("cpu", "cuda", "auto"):
        raise ModelError(unknown("device", name, ["cpu", "cuda", "auto"]))
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"device 'cuda' was asked for, but torch {torch.__version__} finds no CUDA device "
            "here: use --device cpu, or see that the driver fits this torch."
        )
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def in_batches(images: Iterable[NDArray[np.uint8]], batch_size: int) -> Iterator[_Batch]:
    """Batches of consecutive images of one size."""
    batch: _Batch = []
    for index, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(
                f"image {index} is {image.dtype} of shape {image.shape}, not (H, W, 3) uint8."
            )
        if batch and image.shape != batch[0].shape:
            yield batch
            batch = []
        batch.append(image)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def one_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items, each made in a thread while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        upcoming = reader.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = reader.submit(next, items, None)
            yield item


def as_floats(batch: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Pictures of one size as encoders take them: (B, 3, H, W) in 0..1."""
    return in_unit_range(torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2))


def in_unit_range(pictures: Tensor) -> Tensor:
    """Pictures of bytes, (B, 3, H, W), as encoders take them: in 0..1."""
    return pictures.contiguous().float().div_(255)


def _check(rows: object, who: str, done: int, count: int, width: int | None) -> None:
    if not isinstance(rows, Tensor) or rows.ndim != 2 or not rows.is_floating_point():
        found = f"{rows.dtype} {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows)
        raise ModelError(
            f"{who} returned {found}, not a floating-point tensor (B, D). Nothing was scored."
        )
    if len(rows) != count:
        raise ModelError(f"{who} returned {len(rows)} rows for {count} images. Nothing was scored.")
    if width is not None and rows.shape[1] != width:
        raise ModelError(
            f"{who} returned {rows.shape[1]} numbers for image {done} and {width} for those "
            "before it. Nothing was scored."
        )
    lengths = rows.float().norm(dim=1)
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        raise ModelError(
            f"{who} returned a NaN or an infinity for image {done + first}. Nothing was scored."
        )
    wrong = (lengths - 1).abs() > UNIT_TOLERANCE
    if wrong.any():
        first = int(wrong.nonzero()[0])
        raise ModelError(
            f"{who} returned a row of length {lengths[first]:.4g} instead of 1 for image "
            f"{done + first}. Nothing was scored. Both encoders end with normalize(rows, dim=1)."
        )
