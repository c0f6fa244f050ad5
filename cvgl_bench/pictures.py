"""The query pictures of a cell, in order: from a set on disk, or rendered as they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode
from cvgl_bench.datasets import Dataset, Pair
from cvgl_bench.errors import DataError, SuiteError
from cvgl_bench.files import read, sha256, sha256_of_file
from cvgl_bench.manifest import TREE, SetPage, read_set, rows_of
from cvgl_bench.parquet_set import part_path, read_part
from cvgl_bench.rendering import plan_output, read_source, render
from cvgl_bench.suite import CLEAN, Cell, Suite

Image = NDArray[np.uint8]
CorruptOn = Literal["cpu", "device"]


class Pictures(Protocol):
    """Where an evaluation gets its queries."""

    @property
    def queries(self) -> Sequence[Pair]:
        """The queries, in the order of every cell."""

    @property
    def manifest_sha256(self) -> str:
        """Hash of the set's manifest; "" if there is no set."""

    def images(self, cell: Cell) -> Iterator[Image]:
        """Yield each query's picture in a cell, RGB uint8, (H, W, 3)."""


@dataclass(frozen=True)
class RenderedPictures:
    """Pictures rendered on the fly: the bytes that `generate` would have written, decoded.

    Attributes:
        suite: the benchmark.
        dataset_name: part of every seed.
        queries: in the order of every cell.
        manifest_sha256: of no manifest.
        corrupt_on: where `makers` corrupts them, the model's device or the processor; `images` is
            the processor's.
    """

    suite: Suite
    dataset_name: str
    queries: Sequence[Pair]
    manifest_sha256: str = ""
    corrupt_on: CorruptOn = "cpu"

    def images(self, cell: Cell) -> Iterator[Image]:
        """Yield each query's picture in a cell, RGB uint8, (H, W, 3)."""
        codec = CODECS[self.suite.codec]
        for pair in self.queries:
            source = read_source(pair, codec)
            output = plan_output(self.suite, self.dataset_name, pair, cell)
            rendered = render(self.suite, source, output)
            yield decode(rendered.data, output.path, codec)


@dataclass(frozen=True)
class SetPictures:
    """Pictures of a set that `generate` made; every file must be the one in the manifest."""

    folder: Path
    page: SetPage
    manifest: pa.Table
    rendered: RenderedPictures

    @property
    def queries(self) -> Sequence[Pair]:
        """The queries, in the order of every cell."""
        return self.rendered.queries

    @property
    def manifest_sha256(self) -> str:
        """Hash of the set's manifest."""
        return self.page.manifest_sha256

    def images(self, cell: Cell) -> Iterator[Image]:
        """Yield each query's picture in a cell, RGB uint8, (H, W, 3).

        Raises:
            DataError: a file is missing or is not the manifest's.
        """
        if cell not in self.page.cells:
            yield from self.rendered.images(cell)
            return
        found = self._read_files(cell) if self.page.format == TREE else self._read_parts(cell)
        for (path, digest), (where, data) in zip(self._files(cell), found, strict=True):
            if sha256(data) != digest:
                raise DataError(
                    f"{where} is not what the set's manifest says. "
                    f"cvgl-bench verify {self.folder} --repair --data ROOT makes it again."
                )
            yield decode(data, path, CODECS[self.rendered.suite.codec])

    def _read_files(self, cell: Cell) -> Iterator[tuple[Path, bytes]]:
        for path, _ in self._files(cell):
            yield self.folder / path, read(self.folder / path)

    def _read_parts(self, cell: Cell) -> Iterator[tuple[Path, bytes]]:
        """The pictures of a cell's parts; in another order they fail their hashes."""
        found = 0
        for number in range(self.page.parts):
            part = self.folder / part_path(cell, number)
            for row in read_part(part):
                found += 1
                if found <= len(self.queries):
                    yield part, row["image"]["bytes"]
        if found != len(self.queries):
            raise DataError(
                f"{self.folder / part_path(cell, 0)} and the parts beside it have {found} pictures "
                f"instead of {len(self.queries)}. "
                f"cvgl-bench verify {self.folder} --repair --data ROOT makes them again."
            )

    def _files(self, cell: Cell) -> list[tuple[str, str]]:
        rows = rows_of(self.manifest, cell)
        files = {
            image_id: (path, digest)
            for image_id, path, digest in zip(
                *(rows[name].to_pylist() for name in ("image_id", "path", "file_sha256")),
                strict=True,
            )
        }
        return [files[pair.id] for pair in self.queries]


def rendered_of(pictures: Pictures) -> RenderedPictures:
    """What renders the pictures that are in no set.

    Raises:
        TypeError: nothing does.
    """
    if isinstance(pictures, SetPictures):
        return pictures.rendered
    if isinstance(pictures, RenderedPictures):
        return pictures
    raise TypeError(f"{type(pictures).__name__} renders nothing")


def open_set(folder: Path, suite: Suite, dataset: Dataset) -> SetPictures:
    """Open a generated set for evaluation.

    Raises:
        DataError: it is unfinished, or made from queries that the data set lacks.
        SuiteError: it was made with another suite or another definition of this one.
    """
    page, manifest = read_set(folder)
    if page.suite != suite.name:
        raise SuiteError(
            f"{folder} is a set of {page.suite} (profile {page.profile}), not of {suite.name} "
            f"(profile {suite.profile}). Evaluate {page.suite}, or give a set of {suite.name}."
        )
    if page.fingerprint != suite.fingerprint:
        raise SuiteError(
            f"{folder} was made with another definition of {suite.name}: version {page.version}, "
            f"profile {page.profile}, fingerprint {page.fingerprint[:12]}; here it is version "
            f"{suite.version}, profile {suite.profile}, {suite.fingerprint[:12]}. Make it again."
        )
    ids = set(manifest["image_id"].to_pylist())
    queries = tuple(pair for pair in dataset.pairs if pair.id in ids)
    if len(queries) != page.queries or Dataset(page.dataset, queries).ids_sha256 != page.ids_sha256:
        raise DataError(
            f"{folder} was made from {page.queries} queries, of which the data has {len(queries)} "
            "in that order. Is --data the folder that it was made from?"
        )
    _same_sources(folder, manifest, queries)
    return SetPictures(folder, page, manifest, RenderedPictures(suite, dataset.name, queries))


def _same_sources(folder: Path, manifest: pa.Table, queries: Sequence[Pair]) -> None:
    """Check that the data's panoramas are the ones that the set was made from."""
    columns = (manifest[name].to_pylist() for name in ("image_id", "source_sha256"))
    recorded = dict(zip(*columns, strict=True))
    for pair in queries:
        if sha256_of_file(pair.ground) != recorded[pair.id]:
            raise DataError(
                f"{pair.ground} is not the panorama that {folder} was made from. "
                "Is --data the folder that it was made from?"
            )


def cells_of_set(pictures: SetPictures, wanted: Sequence[Cell] | None) -> tuple[Cell, ...]:
    """The cells to evaluate: the wanted ones, or all of the set and its clean ones.

    Raises:
        DataError: the set lacks a corrupted cell that is wanted.
    """
    have = pictures.page.cells
    if wanted is not None:
        lacking = [cell for cell in wanted if cell not in have and cell.corruption != CLEAN]
        if lacking:
            raise DataError(
                f"{pictures.folder} has no {lacking[0]}. Generate it with that cell, or leave "
                "--set out and use --on-the-fly."
            )
        return tuple(wanted)
    views = dict.fromkeys(cell.view for cell in have)
    clean = [Cell(view=view, corruption=CLEAN, severity=0) for view in views]
    return tuple(dict.fromkeys([*clean, *have]))
