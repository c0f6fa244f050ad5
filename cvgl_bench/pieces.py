"""Pieces of arrays: the rows of a few hundred queries in a cell, so that a kill costs no more."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.embedding import one_ahead
from cvgl_bench.embedding_identity import Unit, key_of
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore
from cvgl_bench.executors import Progress
from cvgl_bench.streaming import Stream

Rows = NDArray[np.float32]


Put = Callable[[Unit, Iterator[Rows], float, dict[str, str]], None]


@dataclass(frozen=True)
class Pieces:
    """The pieces of some cells' arrays, in a store of their own.

    Attributes:
        store: where they are.
        spans: the queries of each piece; all of them in the end.
        look_up: finds a piece in the store, and checks it.
        put: is given a cell's whole array: its rows, the seconds that they took, and where they
            were made.
        environment: versions and device of what is made now, for a cell.
    """

    store: EmbeddingStore
    spans: Sequence[range]
    look_up: Callable[[Unit, EmbeddingStore], ArrayPage | None]
    put: Put
    environment: Callable[[Unit], dict[str, str]]

    def fill(self, stream: Stream, units: Sequence[Unit], progress: Progress) -> None:
        """Have the arrays of all cells put, and embed those pieces that are not there.

        Args:
            stream: embeds them.
            units: the cells.
            progress: told how many pictures more are there.

        Raises:
            CvglBenchError: a picture or an embedding is broken, memory or disk are too small.
        """
        lacking = {
            span: [unit for unit in units if self._find(unit, span) is None] for span in self.spans
        }
        progress(sum((len(units) - len(lacking[span])) * len(span) for span in self.spans))
        todo = [span for span in self.spans if lacking[span]]
        last = {key_of(unit.identity): span for span in todo for unit in lacking[span]}
        for unit in units:
            if key_of(unit.identity) not in last:
                self._join(unit)
        with closing(one_ahead(stream.read(span) for span in todo)) as read:
            for span, batches in zip(todo, read, strict=True):
                made = stream.embed(batches, span.start, lacking[span], progress)
                for unit, (rows, seconds) in zip(lacking[span], made, strict=True):
                    self._add(unit, span, rows, seconds)
                    if len(self.spans) > 1 and last[key_of(unit.identity)] == span:
                        self._join(unit)

    def _add(self, unit: Unit, span: range, rows: Rows, seconds: float) -> None:
        if len(self.spans) == 1:
            self.put(unit, iter([rows]), seconds, self.environment(unit))
        else:
            self._write(_piece(unit, span), rows, seconds, self.environment(unit))

    def _join(self, unit: Unit) -> None:
        """Make an array of a cell's pieces."""
        pages = [page for span in self.spans if (page := self._find(unit, span)) is not None]
        arrays = (self.store.array(key_of(page.identity)) for page in pages)
        rows = (np.load(path, allow_pickle=False) for path in arrays)
        seconds = sum(page.seconds for page in pages)
        self.put(unit, rows, seconds, side_by_side([page.environment for page in pages]))
        for span in self.spans:
            self.store.remove(key_of(_piece(unit, span).identity))

    def _find(self, unit: Unit, span: range) -> ArrayPage | None:
        return self.look_up(_piece(unit, span), self.store)

    def _write(self, piece: Unit, rows: Rows, seconds: float, environment: dict[str, str]) -> None:
        digest, width = self.store.write(key_of(piece.identity), [rows], len(rows))
        self.store.settle(
            ArrayPage(
                identity=piece.identity,
                rows=len(rows),
                width=width,
                sha256=digest,
                seconds=seconds,
                environment=environment,
            )
        )


def _piece(unit: Unit, span: range) -> Unit:
    """The part of a cell that is of these queries."""
    identity = {"of": key_of(unit.identity), "first": span.start, "rows": len(span)}
    return Unit(unit.cell, len(span), identity, unit.side)


def side_by_side(environments: Sequence[dict[str, str]]) -> dict[str, str]:
    """Where arrays were made: what differs stands side by side, in the order of the arrays."""
    names = dict.fromkeys(name for environment in environments for name in environment)
    return {
        name: ", ".join(dict.fromkeys(one[name] for one in environments if name in one))
        for name in names
    }
