"""Measures what a model costs on this machine; docs/protocol.md says what each number is."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.profiler import profile
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from corruptions.codecs import CODECS
from cvgl_bench.batch_size import BatchSize, OutOfMemoryError, memory_errors
from cvgl_bench.codec import decode
from cvgl_bench.cost import Cost
from cvgl_bench.embedding import (
    Device,
    Encoding,
    Precision,
    as_floats,
    embed_batches,
    resolve_device,
)
from cvgl_bench.embedding_run import say_nothing
from cvgl_bench.errors import ModelError
from cvgl_bench.files import read
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.views import parse_view

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

_Image = NDArray[np.uint8]
# Repeats go on for so long, within these numbers of them.
_SECONDS: Final = 1.0
_MOST: Final = 100
_FEWEST_ALONE: Final = 5
_FEWEST_BATCHES: Final = 1
_DIGITS: Final = 4
SIDES: Final[tuple[Side, Side]] = ("ground", "aerial")


@dataclass(frozen=True)
class Conditions:
    """Under what a model is measured.

    Attributes:
        device: where it runs; "auto" is CUDA if there is one, else the processor.
        batch_size: ground pictures at a time; fewer are taken where memory is too short.
        fov_degrees: how much of the panorama the ground picture shows, in (0, 360].
        precision: of the arithmetic.
    """

    device: Device = "cpu"
    batch_size: int = 32
    fov_degrees: float = 360.0
    precision: Precision = "float32"


def measure_cost(
    adapter: Adapter,
    ground: _Image,
    aerial: _Image,
    under: Conditions,
    tell: Callable[[str], object] = say_nothing,
) -> Cost:
    """Measure what a model costs here.

    A fast model takes about three seconds; a slow one some ten pictures alone and two batches.

    Args:
        adapter: the model; it is moved to the device.
        ground: a ground picture, (H, W, 3) uint8.
        aerial: an aerial picture, likewise.
        under: device, batch size and so on.
        tell: told what could not be measured, a sentence at a time.

    Raises:
        ModelError: a condition makes no sense, the device is absent, the model fails, returns
            something else than embeddings, or has no memory for one picture.
        DataError: a picture is not (H, W, 3) uint8.
    """
    size = BatchSize(under.batch_size)
    place = resolve_device(under.device)
    how = place, under.fov_degrees, under.precision
    encodings = [Encoding(adapter, side, *how) for side in SIDES]
    both = [*zip(encodings, (ground, aerial), strict=True)]
    widths = [_checked(encoding, image) for encoding, image in both]
    if widths[0] != widths[1]:
        raise ModelError(
            f"{adapter.name} gives {widths[0]} numbers for a ground picture and {widths[1]} for an "
            "aerial one; they must be as many."
        )
    flops_ground, flops_aerial = (_flops(encoding, image, tell) for encoding, image in both)
    networks = _networks(adapter)
    is_seen = bool(networks or flops_ground or flops_aerial)
    try:
        _run(encodings[0], [ground])
        alone = np.array(_seconds(partial(_run, encodings[0], [ground]), _FEWEST_ALONE))
    except OutOfMemoryError as error:
        raise ModelError(f"{adapter.name} ran out of memory at one picture.") from error
    memory, batches = _batches(encodings[0], ground, size, _bytes(networks))
    return Cost(
        latency_ms=_rounded(1000 * np.median(alone)),
        latency_p95_ms=_rounded(1000 * np.percentile(alone, 95)),
        images_per_second=_rounded(size.now / np.mean(batches)),
        parameters=_parameters(networks) if networks else None,
        flops_ground=flops_ground if is_seen else None,
        flops_aerial=flops_aerial if is_seen else None,
        descriptor_bytes=np.dtype(np.float32).itemsize * widths[0],
        peak_memory_bytes=memory if is_seen else None,
        device="cuda" if place.type == "cuda" else "cpu",
        device_name=_name_of(place),
        threads=torch.get_num_threads(),
        batch_size=size.now,
        ground_size=(ground.shape[0], ground.shape[1]),
        aerial_size=(aerial.shape[0], aerial.shape[1]),
        fov_degrees=under.fov_degrees,
        precision=under.precision,
    )


def cost_of(
    job: "Evaluation",
    device: Device,
    batch_size: int,
    tell: Callable[[str], object] = say_nothing,
) -> Cost:
    """Measure what an evaluation's model costs, on its first query and its first reference.

    Args:
        job: the evaluation; the query is as in its first cell.
        device: as in `Conditions`.
        batch_size: likewise.
        tell: told what could not be measured.

    Raises:
        CvglBenchError: a picture cannot be read, or as `measure_cost`.
    """
    cell, path = job.cells[0], job.dataset.references[0].picture
    query = next(job.pictures.images(cell))
    reference = decode(read(path), str(path), CODECS[job.suite.codec])
    is_ground = job.dataset.query_side == "ground"
    ground, aerial = (query, reference) if is_ground else (reference, query)
    fov_degrees = parse_view(cell.view).fov_degrees if is_ground else 360.0
    under = Conditions(device, batch_size, fov_degrees, job.precision)
    return measure_cost(job.adapter, ground, aerial, under, tell)


def _checked(encoding: Encoding, image: _Image) -> int:
    """Embed one picture, and check what comes; returns how many numbers that is."""
    (row,) = embed_batches(encoding, [image], size=BatchSize(1))
    return len(row[0])


def _run(encoding: Encoding, batch: Sequence[_Image]) -> Tensor:
    """Embed pictures, from the host and back to it."""
    rows = encoding.encode(partial(as_floats, batch, encoding.place))
    with memory_errors():
        return rows.detach().float().cpu()


def _seconds(call: Callable[[], object], fewest: int) -> list[float]:
    """The seconds of each of several calls, after some that warmed up."""
    seconds: list[float] = []
    while len(seconds) < fewest or (sum(seconds) < _SECONDS and len(seconds) < _MOST):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def _batches(
    encoding: Encoding, image: _Image, size: BatchSize, weights: int
) -> tuple[int, list[float]]:
    """The most memory that a batch takes, and the seconds of several; smaller if it has to be."""
    while True:
        batch = [image] * size.now
        try:
            memory = _peak_memory(encoding, batch, weights)
            return memory, _seconds(partial(_run, encoding, batch), _FEWEST_BATCHES)
        except OutOfMemoryError:
            size.make_smaller(size.now, image.shape[:2], encoding.who, encoding.done)


def _peak_memory(encoding: Encoding, batch: Sequence[_Image], weights: int) -> int:
    """The most bytes that torch has allocated at once while it embeds a batch."""
    if encoding.place.type == "cuda":
        # Tables of corruptions may be there as well, which are not the model's.
        others = max(0, torch.cuda.memory_allocated(encoding.place) - weights)
        torch.cuda.reset_peak_memory_stats(encoding.place)
        _run(encoding, batch)
        return int(torch.cuda.max_memory_allocated(encoding.place)) - others
    # Or the profiler's library tells on standard error that it begins, ends and finds no GPU.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(profile_memory=True) as profiled:
        _run(encoding, batch)
    events = profiled.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return weights + int(max(accumulate((change for _, change in changes), initial=0)))


def _flops(encoding: Encoding, image: _Image, tell: Callable[[str], object]) -> int | None:
    """What torch counts of one picture; None where it cannot follow a model that works without."""
    counter = FlopCounterMode(display=False)
    try:
        with _unfused(), counter:
            _run(encoding, [image])
    except (ModelError, OutOfMemoryError) as error:
        tell(f"the FLOPs of {encoding.who} cannot be counted: {error}")
        return None
    return int(counter.get_total_flops())


@contextmanager
def _unfused() -> Iterator[None]:
    """Have transformers' layers computed step by step: fused into one, they are not counted.

    Nor is, by torch 2.6 on a processor, their attention.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _networks(adapter: Adapter) -> list[nn.Module]:
    """The networks that an adapter is or holds, in lists and dictionaries as well."""
    found: list[nn.Module] = []
    pending: list[object] = [adapter] if isinstance(adapter, nn.Module) else []
    pending += vars(adapter).values() if hasattr(adapter, "__dict__") else []
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, nn.Module):
            found.append(each)
        elif isinstance(each, (list, tuple)):
            pending += each
        elif isinstance(each, dict):
            pending += each.values()
    return found


def _parameters(networks: Sequence[nn.Module]) -> int:
    """How many numbers the networks learn or have learnt; what they share counts once."""
    own = {id(each): each for network in networks for each in network.parameters()}
    return sum(each.numel() for each in own.values())


def _bytes(networks: Sequence[nn.Module]) -> int:
    """The memory of the networks' parameters and buffers."""
    tensors = [each for network in networks for each in (*network.parameters(), *network.buffers())]
    return sum({id(each): each.nbytes for each in tensors}.values())


def _name_of(place: torch.device) -> str:
    """The name of the GPU or the processor, in plain characters."""
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else _processor()
    plain = re.sub(r"[^ -~]+", " ", name)
    return re.sub(r"^[^A-Za-z0-9]+", "", plain)[:100].strip() or "unknown"


def _processor() -> str:
    """The processor's name, which Linux keeps in a file; elsewhere what Python knows of it."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(errors="replace") if path.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _rounded(value: float | np.floating) -> float:
    """To as many digits as a measurement of times is worth."""
    return float(f"{value:.{_DIGITS}g}")
