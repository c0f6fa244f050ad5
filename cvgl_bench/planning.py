"""What a set shall be: which queries, which cells, and how they are cut into units of work."""

import json
from dataclasses import dataclass

from cvgl_bench.codec import usable_codec
from cvgl_bench.datasets import Dataset, Pair, refuse_views
from cvgl_bench.errors import SuiteError
from cvgl_bench.manifest import TREE, Format, versions
from cvgl_bench.parquet_set import QUERIES_PER_PART
from cvgl_bench.severity import sample
from cvgl_bench.suite import CLEAN, Cell, Suite, check_size

UNIT_IMAGES = 320


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a set.

    Attributes:
        suite: the benchmark.
        dataset: the queries to make, in order.
        cells: what to make of each.
        partial: the queries are not the ones that the suite asks for.
        measured: of how many queries, spread evenly, the outputs are compared with the clean
            picture.
        form: how the pictures are kept.
        queries_per_unit: how many queries are rendered and marked as done together; of Parquet,
            how many pictures a part has.
    """

    suite: Suite
    dataset: Dataset
    cells: tuple[Cell, ...]
    partial: bool
    measured: int
    form: Format
    queries_per_unit: int

    @property
    def measured_ids(self) -> frozenset[str]:
        """The queries whose outputs are compared with the clean picture."""
        pairs = self.dataset.pairs
        return frozenset(pairs[number].id for number in sample(len(pairs), self.measured))

    @property
    def units(self) -> list[tuple[Pair, ...]]:
        """The queries, cut into units of work."""
        pairs, size = self.dataset.pairs, self.queries_per_unit
        return [pairs[first : first + size] for first in range(0, len(pairs), size)]

    @property
    def identity(self) -> str:
        """The plan in words that two runs into one folder must share."""
        return json.dumps(
            {
                "suite": self.suite.label,
                "fingerprint": self.suite.fingerprint,
                "dataset": self.dataset.name,
                "ids_sha256": self.dataset.ids_sha256,
                "queries": len(self.dataset.pairs),
                "cells": [str(cell) for cell in self.cells],
                "measured": self.measured,
                "format": self.form,
                "queries_per_unit": self.queries_per_unit,
                "versions": versions(self.suite.codec),
            },
            indent=1,
            sort_keys=True,
        )


def make_plan(
    suite: Suite,
    dataset: Dataset,
    cells: tuple[Cell, ...],
    *,
    limit: int | None = None,
    partial: bool = False,
    measured: int | None = None,
    form: Format = TREE,
) -> Plan:
    """Plan a set.

    Args:
        suite: the benchmark.
        dataset: its data.
        cells: cells of `Suite.select`. A mixed set keeps only the drawn pictures, like the
            published ones: its clean pictures are the data set's own.
        limit: only the first queries; the plan is partial then.
        partial: the user has said that fewer or other pictures are meant.
        measured: how many queries to measure, see `Plan`; more than there are is all of them. None
            is one in a thousand, at least one and at most eight, which slows no set noticeably.
        form: how the pictures are kept: "tree", a file each, or "parquet".

    Raises:
        SuiteError: the data has other counts than the suite, and nobody said that this is meant.
        DataError: the suite's codec is not installed.
    """
    usable_codec(suite.codec)
    refuse_views(dataset, (cell.view for cell in cells))
    size = len(dataset.references)
    queries = dataset.pairs[:limit]
    reasons = check_size(suite, len(queries), size, partial=partial or limit is not None)
    if suite.form == "mixed":
        cells = tuple(cell for cell in cells if cell.corruption != CLEAN)
    if not cells:
        raise SuiteError(f"nothing is left to make of {suite.name}: a mixed set has no clean part.")
    if measured is None:
        measured = max(1, min(8, len(queries) // 1000))
    return Plan(
        suite,
        Dataset(dataset.name, queries),
        cells,
        partial=bool(reasons),
        measured=min(measured, len(queries)),
        form=form,
        queries_per_unit=max(1, UNIT_IMAGES // len(cells)) if form == TREE else QUERIES_PER_PART,
    )
