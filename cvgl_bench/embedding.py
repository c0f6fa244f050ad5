"""Images through a model's encoders: the one part of an evaluation that needs torch."""

import inspect
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvgl_bench.errors import DataError, ModelError, unknown
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.ranking import UNIT_TOLERANCE

Device = Literal["cpu", "cuda", "auto"]
_Batch = list[NDArray[np.uint8]]
Encoder = Callable[[Tensor], Tensor]
# How torch's allocators word it where they raise a plain RuntimeError.
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
)


class _OutOfMemoryError(Exception):
    """A batch did not fit; another size may."""


class BatchSize:
    """How many pictures go through a model at once: fewer, once its memory was too short for them.

    Attributes:
        asked: what was asked for.
        now: what is tried now, at least 1.
    """

    def __init__(self, asked: int) -> None:
        if asked < 1:
            raise ModelError(f"a batch holds at least one image, not {asked}.")
        self.asked = self.now = asked

    def halve(self, failed: int) -> None:
        """Go on with half of the number that failed."""
        self.now = max(1, failed // 2)


def embed(
    adapter: Adapter,
    images: Iterable[NDArray[np.uint8]],
    *,
    side: Side,
    device: Device = "cpu",
    batch_size: int = 32,
    fov_degrees: float = 360.0,
) -> NDArray[np.float32]:
    """Embed images in their order; returns (N, D) float32 of unit length.

    See `embed_batches`, whose arguments and errors these are.
    """
    size = BatchSize(batch_size)
    return np.concatenate(
        list(
            embed_batches(
                adapter, images, side=side, device=device, size=size, fov_degrees=fov_degrees
            )
        )
    )


def embed_batches(
    adapter: Adapter,
    images: Iterable[NDArray[np.uint8]],
    *,
    side: Side,
    device: Device = "cpu",
    size: BatchSize,
    fov_degrees: float = 360.0,
    clock: Callable[[float], None] = lambda _: None,
) -> Generator[NDArray[np.float32], None, None]:
    """Embed images in their order, and yield their rows, (B, D) float32 of unit length.

    Consecutive images of one size go through the model together, and another size starts a new
    batch. The images are drawn from `images` as they are needed, in a thread of their own and at
    most one batch ahead of the model, so that reading or rendering them overlaps with it. Where
    memory is too short for a batch, its half is tried, down to one image, and kept to.

    Args:
        adapter: the model.
        images: RGB, (H, W, 3) uint8 each.
        side: which encoder sees them.
        device: where the model runs; "auto" is CUDA if there is one, else the processor.
        size: the most images in a batch. It changes nothing but rounding and memory.
        fov_degrees: how much of the panorama ground images show, in (0, 360]; passed on to an
            adapter that wants it, see `is_told_fov`.
        clock: told how many seconds the encoder took for each batch, its transfer to and from the
            device included, reading and rendering not.

    Raises:
        ModelError: an argument makes no sense, the device is absent, memory is too short for one
            image, or the model returned something else than finite rows of unit length, one an
            image, of one width throughout.
        DataError: there is no image at all, or one is not (H, W, 3) uint8.
    """
    if side not in ("ground", "aerial"):
        raise ModelError(unknown("side", side, ["ground", "aerial"]))
    if not 0 < fov_degrees <= 360:
        raise ModelError(f"a field of view lies in (0, 360] degrees, not {fov_degrees:g}.")
    place = resolve_device(device)
    prepare(adapter, place)
    encode = encoder_of(adapter, side, fov_degrees)
    who = f"{adapter.name} ({side})"
    done, width = 0, None
    with closing(_one_ahead(_batches(images, size.asked))) as batches:
        for batch in batches:
            first = 0
            while first < len(batch):
                part = batch[first : first + size.now]
                start = time.perf_counter()
                try:
                    rows = _encoded(encode, part, place, who, done)
                except _OutOfMemoryError:
                    _make_smaller(size, part, who, done)
                    continue
                _check(rows, who, done, len(part), width)
                # A copy, because a model may hand out the same buffer again and again.
                found = np.array(rows.numpy())
                clock(time.perf_counter() - start)
                width = found.shape[1]
                first, done = first + len(part), done + len(part)
                yield found
    if not done:
        raise DataError(f"there is not one {side} image to embed.")


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


def _encoded(encode: Encoder, batch: _Batch, place: torch.device, who: str, done: int) -> Tensor:
    """What a model makes of a batch, on the processor."""
    try:
        with torch.inference_mode():
            rows = encode(as_floats(batch, place))
            # The copy back belongs to the batch's time, and may lack memory as well. What is no
            # such tensor goes on as it is, to be named by `_check`.
            floats = isinstance(rows, Tensor) and rows.is_floating_point()
            return rows.float().cpu() if floats else rows
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise _OutOfMemoryError from error
        raise ModelError(
            f"{who} failed at images {done} to {done + len(batch) - 1}: "
            f"{type(error).__name__}: {error} (cvgl-bench --traceback ... shows where)"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine had no memory left."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def _make_smaller(size: BatchSize, batch: _Batch, who: str, done: int) -> None:
    """Halve the batches after one that did not fit."""
    height, width = batch[0].shape[:2]
    if len(batch) == 1:
        raise ModelError(
            f"{who} ran out of memory at image {done}, alone in its batch ({width} x {height} "
            "pixels). Use a machine or --device with more memory, or a smaller model."
        )
    size.halve(len(batch))


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


def _batches(images: Iterable[NDArray[np.uint8]], batch_size: int) -> Iterator[_Batch]:
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


def _one_ahead(batches: Iterator[_Batch]) -> Generator[_Batch, None, None]:
    with ThreadPoolExecutor(max_workers=1) as reader:
        upcoming = reader.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = reader.submit(next, batches, None)
            yield batch


def as_floats(batch: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Pictures of one size as encoders take them: (B, 3, H, W) in 0..1."""
    bytes_ = torch.from_numpy(np.stack(batch)).to(device)
    return bytes_.permute(0, 3, 1, 2).contiguous().float().div_(255)


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
            f"{done + first}. Nothing was scored."
        )
