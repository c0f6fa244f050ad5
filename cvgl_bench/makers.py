"""Who makes the queries of cells that no set holds: the processor, or the device of the model.

Both are given decoded panoramas and give batches of views, corrupted and sent through the suite's
codec. The processor's are those of `generate`, byte for byte. The device's are those of
`corruptions.gpu`, whose pixels are the same as far as docs/corruptions-gpu.md says.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.codecs import CODECS
from corruptions.gpu import corrupt_batch
from corruptions.gpu.jpeg import recode
from cvgl_bench.clock import Clock
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.errors import DataError, SuiteError
from cvgl_bench.pictures import RenderedPictures
from cvgl_bench.rendering import Output, Source, plan_output, render
from cvgl_bench.seeding import generator
from cvgl_bench.suite import CLEAN, CODEC_ONLY, Cell, Suite
from cvgl_bench.views import FULL, columns_of

# Of the codecs, the one whose pixels a device can compute, see `corruptions.gpu.jpeg`.
CODEC_OF_DEVICES = "pillow"
# What corrupting and recoding take for a pixel of what is corrupted at once; measured, see
# docs/corruptions-gpu.md.
BYTES_A_PIXEL = 224


@dataclass(frozen=True)
class Batch:
    """Consecutive queries of one size, decoded.

    Attributes:
        pairs: which.
        sources: their panoramas, (H, W, 3) each.
    """

    pairs: Sequence[Pair]
    sources: Sequence[Source]

    def __len__(self) -> int:
        return len(self.pairs)


class Views(Protocol):
    """The views of a batch's panoramas."""

    def start(self, cell: Cell) -> None:
        """Begin with a cell's pictures, which will be asked for next but one at the latest."""

    def make(self, cell: Cell, part: slice) -> Tensor:
        """A cell's pictures of a part of the batch, (B, 3, H, W), uint8, on the model's device.

        Raises:
            DataError: a picture is too small for the corruption.
        """

    def finish(self, cell: Cell) -> None:
        """Let go of a cell's pictures."""


class Maker(Protocol):
    """Makes batches' views."""

    def begin(self, batch: Batch) -> Views:
        """Prepare a batch."""


@contextmanager
def making(
    rendered: RenderedPictures, clock: Clock, place: torch.device, pixels_at_once: int
) -> Iterator[Maker]:
    """A maker, while it is needed.

    Args:
        rendered: what is to be made, and who corrupts it.
        clock: told what "corrupt" and "codec" take; the processor does both in "make".
        place: the model's device.
        pixels_at_once: how much of a batch a device corrupts at a time, at least a picture of it.

    Raises:
        SuiteError: the suite's codec is none that a device has.
    """
    if rendered.corrupt_on == "device":
        refuse_codec(rendered.suite)
        yield _Device(rendered, clock, place, pixels_at_once)
        return
    pool = ThreadPoolExecutor(processors())
    try:
        yield _Processor(rendered, clock, place, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def refuse_codec(suite: Suite) -> None:
    """Refuse a suite whose files' pixels no device can compute.

    Raises:
        SuiteError: it is one.
    """
    if suite.codec != CODEC_OF_DEVICES:
        raise SuiteError(
            f"{suite.name} is written by the codec '{suite.codec}', whose pixels need the "
            "processor: use --corrupt-on cpu, or a set that `generate` made."
        )


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Processor:
    rendered: RenderedPictures
    clock: Clock
    place: torch.device
    pool: ThreadPoolExecutor

    def begin(self, batch: Batch) -> Views:
        return _ProcessorViews(self, batch)

    def picture(self, pair: Pair, source: Source, cell: Cell) -> NDArray[np.uint8]:
        """What `generate` would have written, decoded."""
        suite = self.rendered.suite
        output = plan_output(suite, self.rendered.dataset_name, pair, cell)
        return decode(render(suite, source, output).data, output.path, CODECS[suite.codec])


@dataclass
class _ProcessorViews:
    """Renders in threads what is started, and keeps it until it is finished with."""

    maker: _Processor
    batch: Batch
    rendering: dict[Cell, list[Future[NDArray[np.uint8]]]] = field(default_factory=dict)

    def start(self, cell: Cell) -> None:
        both = zip(self.batch.pairs, self.batch.sources, strict=True)
        pool, picture = self.maker.pool, self.maker.picture
        self.rendering[cell] = [pool.submit(picture, pair, source, cell) for pair, source in both]

    def make(self, cell: Cell, part: slice) -> Tensor:
        with self.maker.clock.stage("make"):
            pictures = np.stack([future.result() for future in self.rendering[cell][part]])
            return torch.from_numpy(pictures).to(self.maker.place).permute(0, 3, 1, 2)

    def finish(self, cell: Cell) -> None:
        del self.rendering[cell]


@dataclass(frozen=True)
class _Device:
    rendered: RenderedPictures
    clock: Clock
    place: torch.device
    pixels_at_once: int

    def begin(self, batch: Batch) -> Views:
        return _DeviceViews(self, batch)


@dataclass
class _DeviceViews:
    """Corrupts where the model is; only panoramas are moved there, once for all cells."""

    maker: _Device
    batch: Batch

    @cached_property
    def _panoramas(self) -> Tensor:
        pixels = torch.from_numpy(np.stack([source.pixels for source in self.batch.sources]))
        if self.maker.place.type == "cuda":
            # From pinned memory, so that the host need not wait for the copy.
            pixels = pixels.pin_memory()
        return pixels.to(self.maker.place, non_blocking=True).permute(0, 3, 1, 2).contiguous()

    def start(self, cell: Cell) -> None:
        """There is nothing to begin with: what `make` asks a device for, it does by and by."""

    def make(self, cell: Cell, part: slice) -> Tensor:
        rendered, clock = self.maker.rendered, self.maker.clock
        outputs = [
            plan_output(rendered.suite, rendered.dataset_name, pair, cell)
            for pair in self.batch.pairs[part]
        ]
        views = _crop(self._panoramas[part], outputs)
        if cell.corruption == CLEAN and cell.view == FULL.name:
            return views
        height, width = views.shape[2:]
        most = max(1, self.maker.pixels_at_once // (height * width))
        parts = []
        for first in range(0, len(views), most):
            some = slice(first, first + most)
            with clock.stage("corrupt"):
                worse = self._corrupted(views[some], outputs[some])
            with clock.stage("codec"):
                parts.append(recode(worse, rendered.suite.jpeg_quality))
        return torch.cat(parts)

    def finish(self, cell: Cell) -> None:
        """There is nothing to let go of."""

    def _corrupted(self, views: Tensor, outputs: Sequence[Output]) -> Tensor:
        names = dict.fromkeys(output.corruption for output in outputs)
        if len(names) == 1:
            return self._worse(views, outputs)
        worse = views.clone()
        for name in names:
            mine = [place for place, output in enumerate(outputs) if output.corruption == name]
            worse[mine] = self._worse(views[mine], [outputs[place] for place in mine])
        return worse

    def _worse(self, views: Tensor, outputs: Sequence[Output]) -> Tensor:
        """Views with one corruption, at each output's severity."""
        first = outputs[0]
        if first.corruption in (CLEAN, CODEC_ONLY):
            return views
        severities = [output.severity for output in outputs]
        rngs = [generator(output.seed) for output in outputs]
        profile = self.maker.rendered.suite.profile
        try:
            return corrupt_batch(views, first.corruption, severities, rngs=rngs, profile=profile)
        except ValueError as error:
            raise DataError(f"queries from {first.image_id}, {first.cell}: {error}") from error


def _crop(panoramas: Tensor, outputs: Sequence[Output]) -> Tensor:
    """Cut out what each output's camera sees, as `views.crop` does."""
    if outputs[0].cell.view == FULL.name:
        return panoramas
    width = panoramas.shape[3]
    columns = np.stack(
        [columns_of(width, output.heading_degrees, output.fov_degrees) for output in outputs]
    )
    index = torch.from_numpy(columns).to(panoramas.device)[:, None, None, :]
    return torch.take_along_dim(panoramas, index, dim=3)
