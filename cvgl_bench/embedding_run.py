"""An evaluation's arrays, one after the other: found, taken from a cache, or embedded now."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.batch_size import BatchSize
from cvgl_bench.elsewhere import Elsewhere
from cvgl_bench.embedding import Device, Encoding, embed_batches, resolve_device
from cvgl_bench.embedding_identity import (
    Sources,
    Unit,
    corrupted_on_device,
    images_of,
    is_rendered,
    key_of,
)
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.executors import Progress, counted, no_progress
from cvgl_bench.models.adapter import Side
from cvgl_bench.pieces import Pieces
from cvgl_bench.scoring import Resources
from cvgl_bench.streaming import Stream
from cvgl_bench.suite import CLEAN

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

Image = NDArray[np.uint8]
Rows = NDArray[np.float32]
PIECES = "pieces"
CORRUPTED_ON = "corrupted_on"


def say_nothing(sentence: str) -> None:
    """Tell nobody."""
    del sentence


@dataclass(frozen=True)
class Scale:
    """How an evaluation is spread over time, memory and machines.

    Attributes:
        cache: a folder of arrays that several runs share; None for none.
        max_memory: bytes for pictures that are rendered, see `streaming.Stream`, and afterwards for
            the embeddings of the gallery and of one cell and their similarities, see
            `scoring.Resources`; None sets no bound. A model's own memory, and that of two batches
            of a set's pictures, come on top.
        tell: told what a user should know, a sentence at a time.
        elsewhere: what embeds; None embeds here.
        with_cost: measure what the model costs before scoring; not if it runs elsewhere.
    """

    cache: Path | None = None
    max_memory: int | None = None
    tell: Callable[[str], object] = say_nothing
    elsewhere: Elsewhere | None = None
    with_cost: bool = False


@dataclass
class Embedder:
    """Fills a store with an evaluation's arrays.

    Attributes:
        job: what is evaluated.
        sources: hashes of its source pictures.
        store: where the arrays go.
        device: where the model runs.
        environment: versions and device, for the arrays' pages.
        size: pictures at a time; less after memory was too short.
        scale: cache, memory and other machines.
    """

    job: "Evaluation"
    sources: Sources
    store: EmbeddingStore
    device: Device
    environment: dict[str, str]
    size: BatchSize
    scale: Scale
    _widths: dict[Side, int] = field(default_factory=dict)
    _pages: dict[str, ArrayPage] = field(default_factory=dict)

    def embed(self, units: Sequence[Unit], progress: Progress = no_progress) -> None:
        """Have all of the units in the store, and embed only those that are nowhere.

        Args:
            units: which.
            progress: told how many pictures more are there.

        Raises:
            CvglBenchError: a picture or an embedding is broken, memory or disk are too small.
        """
        here = [unit for unit in units if self.found(unit)]
        left = [unit for unit in units if unit not in here]
        known = [unit for unit in left if self._from_cache(unit)]
        if here:
            self.scale.tell(f"going on: {_of(here, units)} are there from an earlier try.")
        if known:
            self.scale.tell(f"{_of(known, units)} are taken from {self.scale.cache}.")
        for unit in (*here, *known):
            progress(unit.rows)
        left = [unit for unit in left if unit not in known]
        if self.scale.elsewhere is None:
            rendered = [unit for unit in left if self._is_rendered(unit)]
            for unit in left:
                if unit not in rendered:
                    self._embed_here(unit, progress)
            if rendered:
                self._embed_stream(rendered, progress)
        elif left:
            self._embed_elsewhere(self.scale.elsewhere, left, progress)
        if self.size.now < self.size.asked:
            self.scale.tell(
                f"memory was too short for {self.size.asked} pictures at a time; "
                f"{self.size.now} went. --batch-size {self.size.now} starts with that."
            )

    def found(self, unit: Unit) -> ArrayPage | None:
        """Look a unit's array up in the store; what this object has seen there is not read again.

        Raises:
            CvglBenchError: its width does not go with the others', or memory is too small for it.
        """
        key = key_of(unit.identity)
        if key not in self._pages:
            page = self._look_up(unit, self.store)
            if page is None:
                return None
            self._pages[key] = page
        return self._pages[key]

    def _look_up(self, unit: Unit, store: EmbeddingStore) -> ArrayPage | None:
        """Look a unit's array up; one that is damaged is told of, and counts as none."""
        what = f"the embeddings of {unit} of '{self.job.adapter.name}'"
        try:
            page = store.find(unit.identity, unit.rows, what)
        except DataError as error:
            self.scale.tell(f"{error} It is made again.")
            return None
        if page is not None:
            self._check_width(unit, page.width)
        return page

    def has_all(self, units: Sequence[Unit]) -> bool:
        """Whether every unit's array is in the store."""
        return all(self.store.page(key_of(unit.identity)).is_file() for unit in units)

    def _from_cache(self, unit: Unit) -> bool:
        if self.scale.cache is None:
            return False
        cache = EmbeddingStore(self.scale.cache)
        page = self._look_up(unit, cache)
        if page is None:
            return False
        page = self.store.take(page.model_copy(update={"cached": True}), cache)
        self._pages[key_of(unit.identity)] = page
        return True

    def _is_rendered(self, unit: Unit) -> bool:
        return unit.cell is not None and is_rendered(self.job.pictures, unit.cell)

    def _environment(self, unit: Unit) -> dict[str, str]:
        """Versions and device, and what corrupted a cell's pictures if that was done here."""
        if unit.cell is None or unit.cell.corruption == CLEAN or not self._is_rendered(unit):
            return self.environment
        on_device = corrupted_on_device(self.job.pictures)
        return self.environment | {CORRUPTED_ON: f"device ({self.device})" if on_device else "cpu"}

    def _embed_here(self, unit: Unit, progress: Progress) -> None:
        seconds: list[float] = []
        how = unit.side, resolve_device(self.device), unit.fov_degrees, self.job.precision
        encoding = Encoding(self.job.adapter, *how)
        images = counted(images_of(self.job, unit, self.sources.of(unit)), progress)
        with closing(embed_batches(encoding, images, size=self.size, clock=seconds.append)) as rows:
            self._write(unit, rows, seconds, self.environment)

    def _embed_stream(self, units: Sequence[Unit], progress: Progress) -> None:
        """Embed cells that are rendered, a piece of all at a time, and join each cell's pieces."""
        stream = Stream(
            self.job,
            self.sources.panoramas,
            resolve_device(self.device),
            self.size,
            self.scale.max_memory,
            self._check_width,
        )
        # Their hashes are looked at when they are read, so they need not be safe on the disk.
        store = EmbeddingStore(self.store.folder / PIECES, durable=False)
        pieces = Pieces(
            store,
            stream.spans,
            self._look_up,
            lambda unit, rows, seconds, where: self._write(unit, rows, [seconds], where),
            self._environment,
        )
        pieces.fill(stream, units, progress)

    def _embed_elsewhere(
        self, elsewhere: Elsewhere, units: Sequence[Unit], progress: Progress
    ) -> None:
        if corrupted_on_device(self.job.pictures):
            raise ModelError(
                "pictures are corrupted on a device only where this command runs: use --corrupt-on "
                "cpu with --executor ray."
            )
        tasks = [(unit, self.sources.of(unit)) for unit in units]
        asked, bound = self.size.asked, self.scale.max_memory
        for made in elsewhere.embed(self.job, tasks, batch_size=asked, max_memory=bound):
            environment = self._environment(made.unit) | made.environment
            self._write(made.unit, iter([made.rows]), [made.seconds], environment)
            self.size.now = min(self.size.now, made.batch_size)
            progress(made.unit.rows)

    def _write(
        self,
        unit: Unit,
        batches: Iterator[Rows],
        seconds: Sequence[float],
        environment: dict[str, str],
    ) -> None:
        """Write an array and its page; `seconds` is whole when the last batch has come."""
        checked = self._of_one_width(unit, batches)
        key = key_of(unit.identity)
        digest, width = self.store.write(key, checked, unit.rows)
        page = ArrayPage(
            identity=unit.identity,
            rows=unit.rows,
            width=width,
            sha256=digest,
            seconds=sum(seconds),
            environment=environment,
        )
        self._pages[key] = self.store.settle(page)
        if self.scale.cache is not None:
            EmbeddingStore(self.scale.cache).take(page, self.store)

    def _of_one_width(self, unit: Unit, batches: Iterator[Rows]) -> Iterator[Rows]:
        for batch in batches:
            self._check_width(unit, batch.shape[1])
            yield batch

    def _check_width(self, unit: Unit, width: int) -> None:
        """Refuse what cannot be compared, or not in this memory."""
        self._widths[unit.side] = width
        ground, aerial = (self._widths.get(side, width) for side in ("ground", "aerial"))
        if ground != aerial:
            raise ModelError(
                f"{self.job.adapter.name} gives {ground} numbers for a ground picture and {aerial} "
                "for an aerial one; they must be as many."
            )
        refuse_too_wide(self.job, width, self.scale.max_memory)


def refuse_too_wide(job: "Evaluation", width: int, max_memory: int | None) -> None:
    """Refuse embeddings that could not be scored in the memory, before hours are spent on them.

    Raises:
        RecordError: they could not; says what would do.
    """
    sizes = len(job.pictures.queries), len(job.dataset.references)
    Resources(max_memory).for_ranking(*sizes, width)


def _of(some: Sequence[Unit], units: Sequence[Unit]) -> str:
    return f"{len(some)} of {len(units)} arrays of embeddings"
