"""An evaluation's arrays, one after the other: found, taken from a cache, or embedded now."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.embedding import BatchSize, Device, embed_batches
from cvgl_bench.embedding_identity import Sources, Unit, images_of, key_of
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.models.adapter import Side
from cvgl_bench.scoring import Resources

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

Image = NDArray[np.uint8]
Rows = NDArray[np.float32]
Task = tuple[Unit, tuple[str, ...] | None]


@dataclass(frozen=True)
class Embedded:
    """A unit's embeddings that were made elsewhere.

    Attributes:
        unit: of what.
        rows: (N, D), unit length.
        seconds: what the encoder took.
        environment: versions and device, where it was made.
        batch_size: pictures at a time for which there was memory.
    """

    unit: Unit
    rows: Rows
    seconds: float
    environment: dict[str, str]
    batch_size: int


class Elsewhere(Protocol):
    """Other processes or machines that embed."""

    def embed(
        self, job: "Evaluation", tasks: Sequence[Task], *, batch_size: int, max_memory: int | None
    ) -> Iterator[Embedded]:
        """Embed units, and yield them as they come.

        Args:
            job: the evaluation.
            tasks: units, each with what its files must be.
            batch_size: pictures at a time.
            max_memory: bytes, see `Scale`.

        Raises:
            CvglBenchError: a unit cannot be embedded.
        """


def say_nothing(sentence: str) -> None:
    """Tell nobody."""
    del sentence


@dataclass(frozen=True)
class Scale:
    """How an evaluation is spread over time, memory and machines.

    Attributes:
        cache: a folder of arrays that several runs share; None for none.
        max_memory: bytes for the embeddings of the gallery and of one cell, and for their
            similarities, see `scoring.Resources`; None sets no bound. A model's own memory, and
            that of the pictures of two batches, come on top.
        tell: told what a user should know, a sentence at a time.
        elsewhere: what embeds; None embeds here.
    """

    cache: Path | None = None
    max_memory: int | None = None
    tell: Callable[[str], object] = say_nothing
    elsewhere: Elsewhere | None = None


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
            for unit in left:
                self._embed_here(unit, progress)
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

    def _embed_here(self, unit: Unit, progress: Progress) -> None:
        seconds: list[float] = []
        rows = embed_batches(
            self.job.adapter,
            _counted(images_of(self.job, unit, self.sources.of(unit)), progress),
            side=unit.side,
            device=self.device,
            size=self.size,
            fov_degrees=unit.fov_degrees,
            clock=seconds.append,
        )
        with closing(rows):
            self._write(unit, rows, seconds, self.environment)

    def _embed_elsewhere(
        self, elsewhere: Elsewhere, units: Sequence[Unit], progress: Progress
    ) -> None:
        tasks = [(unit, self.sources.of(unit)) for unit in units]
        asked, bound = self.size.asked, self.scale.max_memory
        for made in elsewhere.embed(self.job, tasks, batch_size=asked, max_memory=bound):
            self._write(made.unit, iter([made.rows]), [made.seconds], made.environment)
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


def _counted(images: Iterator[Image], progress: Progress) -> Iterator[Image]:
    for image in images:
        yield image
        progress(1)


def refuse_too_wide(job: "Evaluation", width: int, max_memory: int | None) -> None:
    """Refuse embeddings that could not be scored in the memory, before hours are spent on them.

    Raises:
        RecordError: they could not; says what would do.
    """
    sizes = len(job.pictures.queries), len(job.dataset.pairs)
    Resources(max_memory).for_ranking(*sizes, width)


def _of(some: Sequence[Unit], units: Sequence[Unit]) -> str:
    return f"{len(some)} of {len(units)} arrays of embeddings"
