"""All rendered cells in one stream: a panorama is read once, and becomes each of its pictures."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.codecs import CODECS
from corruptions.gpu import PIXELS_AT_ONCE
from cvgl_bench.batch_size import BatchSize, OutOfMemoryError, memory_errors
from cvgl_bench.clock import Clock
from cvgl_bench.codec import look_at
from cvgl_bench.embedding import Encoding, in_unit_range
from cvgl_bench.embedding_identity import Unit, key_of, must_be
from cvgl_bench.errors import ModelError
from cvgl_bench.executors import Progress
from cvgl_bench.makers import BYTES_A_PIXEL, Batch, Views, making, processors
from cvgl_bench.pictures import RenderedPictures, rendered_of
from cvgl_bench.rendering import Source, read_source
from cvgl_bench.suite import Cell

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

Rows = NDArray[np.float32]
_CHANNELS = 3
# Of panoramas that are read and those that are read ahead, bytes.
_READ = 1 << 30
MOST_QUERIES = 512
# Bytes a pixel of a batch: its views, corrupted, sent through the codec, and as floats.
_IN_A_BATCH = 3 * _CHANNELS + 4 * _CHANNELS


@dataclass(frozen=True)
class Stream:
    """Embeds queries in several cells, each panorama read once for all of them.

    Attributes:
        job: what is evaluated.
        hashes: SHA-256 that each panorama's file must have.
        place: where the model runs.
        size: pictures at a time.
        max_memory: bytes for pictures and for corrupting them, of which there is one at least; None
            takes 1 GiB for those that are read and ahead, and what a batch needs.
        told_width: told how many numbers the rows of a cell have, as soon as it is known.
    """

    job: "Evaluation"
    hashes: Sequence[str]
    place: torch.device
    size: BatchSize
    max_memory: int | None
    told_width: Callable[[Unit, int], None]

    @cached_property
    def clock(self) -> Clock:
        """How long stages take: "make", or "corrupt" and "codec"; and the encoder, by cell."""
        return Clock(self.place)

    @cached_property
    def spans(self) -> list[range]:
        """The queries, as many at a time as are read together."""
        queries = len(self._rendered.queries)
        read = _READ if self.max_memory is None else self.max_memory // 2
        most = max(1, min(MOST_QUERIES, read // (2 * _CHANNELS * self._pixels)))
        return [range(first, min(first + most, queries)) for first in range(0, queries, most)]

    @property
    def _rendered(self) -> RenderedPictures:
        return rendered_of(self.job.pictures)

    @cached_property
    def _pixels(self) -> int:
        """Of the first panorama; the others are expected to be about as large."""
        (width, height), _ = look_at(self._rendered.queries[0].ground)
        return width * height

    def read(self, span: range) -> list[Batch]:
        """Read and decode queries, those of a size together.

        Raises:
            DataError: a panorama is missing, broken, or has changed.
        """
        queries, codec = self._rendered.queries, CODECS[self._rendered.suite.codec]

        def load(number: int) -> Source:
            source = read_source(queries[number], codec)
            must_be(queries[number].ground, source.sha256, self.hashes[number])
            return source

        with ThreadPoolExecutor(processors()) as pool:
            loaded = [*zip(span, pool.map(load, span), strict=True)]
        batches = []
        for _, same in itertools.groupby(loaded, lambda one: one[1].pixels.shape):
            group = [*same]
            for first in range(0, len(group), self._batch):
                numbers, sources = zip(*group[first : first + self._batch], strict=True)
                batches.append(Batch([queries[number] for number in numbers], sources))
        return batches

    def embed(
        self, batches: Sequence[Batch], first: int, units: Sequence[Unit], progress: Progress
    ) -> Iterator[tuple[Rows, float]]:
        """Embed queries in all of the cells; yields the rows and seconds of each cell.

        A GPU has the work of a cell before the rows of the one before are asked for.

        Args:
            batches: the queries, as `read` gives them.
            first: the number of the first.
            units: the cells.
            progress: told how many pictures were finished.

        Raises:
            DataError: a picture is too small for a corruption.
            ModelError: what the model returns is no embedding, or memory is too short for one
                picture.
        """
        cells = [unit.cell for unit in units if unit.cell is not None]
        launched = [
            _Launched(unit, cell, self._encoding(unit, first), self.clock.seconds(cell))
            for unit, cell in zip(units, cells, strict=True)
        ]
        steps = [*itertools.product(range(len(cells)), range(len(batches)))]
        with making(self._rendered, self.clock, self.place, self._pixels_at_once) as maker:
            views = [maker.begin(batch) for batch in batches]
            views[0].start(cells[0])
            for (place, number), ahead in zip(steps, [*steps[1:], None], strict=True):
                if ahead is not None:
                    views[ahead[1]].start(cells[ahead[0]])
                self._launch(launched[place], views[number], batches[number])
                views[number].finish(cells[place])
                if number == len(batches) - 1 and place >= self._behind:
                    yield self._finished(launched[place - self._behind], progress)
            for work in launched[len(launched) - self._behind :]:
                yield self._finished(work, progress)

    def _launch(self, work: "_Launched", views: Views, batch: Batch) -> None:
        """Have a cell's pictures of a batch embedded, in as many parts as memory asks for."""
        first = 0
        while first < len(batch):
            part = slice(first, min(first + self.size.now, len(batch)))
            work.encoding.unchecked = sum(count for _, count in work.rows)
            try:
                with memory_errors():
                    pictures = views.make(work.cell, part)
                with self.clock.stage(work.cell), memory_errors():
                    rows = work.encoding.encode(partial(in_unit_range, pictures))
                    if isinstance(rows, Tensor):
                        # A model may hand out the same buffer again and again.
                        rows = rows.detach().clone()
            except OutOfMemoryError:
                shape = batch.sources[0].pixels.shape[:2]
                encoding = work.encoding
                number = encoding.done + encoding.unchecked
                self.size.make_smaller(part.stop - first, shape, encoding.who, number)
                continue
            work.rows.append((rows, part.stop - first))
            first = part.stop

    def _finished(self, work: "_Launched", progress: Progress) -> tuple[Rows, float]:
        """Wait for the rows of a cell, and check them."""
        try:
            rows = np.concatenate([work.encoding.checked(*part) for part in work.rows])
        except OutOfMemoryError as error:
            raise ModelError(
                f"{work.encoding.who}: memory was too short for the embeddings of two cells. Use a "
                "smaller --batch-size, or --max-memory."
            ) from error
        work.rows.clear()
        self.told_width(work.unit, rows.shape[1])
        progress(len(rows))
        return rows, self.clock.seconds(work.cell) - work.seconds_before

    def _encoding(self, unit: Unit, first: int) -> Encoding:
        """The encoder of a cell, whose next image has this number."""
        key = key_of(unit.identity)
        if key not in self._encodings:
            how = unit.side, self.place, unit.fov_degrees, self.job.precision
            self._encodings[key] = Encoding(self.job.adapter, *how)
        encoding = self._encodings[key]
        encoding.done, encoding.unchecked = first, 0
        return encoding

    @cached_property
    def _encodings(self) -> dict[str, Encoding]:
        return {}

    @property
    def _behind(self) -> int:
        """How many cells a device may have before their rows are asked for."""
        return 0 if self.place.type == "cpu" else 1

    @property
    def _batch(self) -> int:
        """How many pictures go through the model at a time."""
        if self.max_memory is None:
            return self.size.asked
        return min(self.size.asked, max(1, self.max_memory // 4 // (_IN_A_BATCH * self._pixels)))

    @property
    def _pixels_at_once(self) -> int:
        """How many pixels of a batch are corrupted at a time."""
        if self.max_memory is None:
            return PIXELS_AT_ONCE
        return min(PIXELS_AT_ONCE, max(self._pixels, self.max_memory // 4 // BYTES_A_PIXEL))


@dataclass
class _Launched:
    """A cell's work that a device was given.

    Attributes:
        unit: the cell.
        cell: the same.
        encoding: the encoder.
        seconds_before: what it had taken for this cell before.
        rows: not yet checked, and how many.
    """

    unit: Unit
    cell: Cell
    encoding: Encoding
    seconds_before: float
    rows: list[tuple[Tensor, int]] = field(default_factory=list)
