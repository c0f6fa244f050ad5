"""Does a set's part hold the pictures that the manifest says, in their order?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress
from cvgl_bench.files import sha256
from cvgl_bench.manifest import SetPage, rows_of
from cvgl_bench.parquet_set import COLUMNS, part_path, read_part
from cvgl_bench.suite import Cell

Row = dict[str, object]
Kind = Literal["missing", "truncated", "altered", "extra"]


@dataclass(frozen=True)
class Fault:
    """A file that is not as the manifest says.

    Attributes:
        kind: "missing"; "truncated", it does not decode, or is no readable Parquet file;
            "altered", it is readable but has other bytes; "extra", the manifest does not know it.
        path: the file, relative to the set.
    """

    kind: Kind
    path: str


def part_files(page: SetPage) -> Iterator[str]:
    """Name every part of a set, relative to it."""
    for cell in page.cells:
        for number in range(page.parts):
            yield part_path(cell, number)


def rows_of_parts(
    page: SetPage, manifest: pa.Table, order: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Yield every part's name and the manifest's rows of its pictures.

    Args:
        page: the set's page.
        manifest: its manifest.
        order: its queries, in their order.
    """
    size = page.queries_per_part or 1
    for cell in page.cells:
        rows = _recorded(manifest, cell)
        for number in range(page.parts):
            ids = order[number * size : (number + 1) * size]
            yield part_path(cell, number), [rows[image_id] for image_id in ids]


def check_parts(
    out: Path,
    page: SetPage,
    manifest: pa.Table,
    order: Sequence[str] | None,
    progress: Progress,
) -> Iterator[Fault]:
    """Check every part: there, readable, its rows and pictures the manifest's, in their order.

    Args:
        out: the set's folder.
        page: its page.
        manifest: its manifest.
        order: its queries, in their order; None if the list of them is at fault, and each picture
            is looked up by its name.
        progress: told the pictures of each part.
    """
    size = page.queries_per_part or 1
    for cell in page.cells:
        rows = _recorded(manifest, cell)
        for number in range(page.parts):
            count = min(size, page.queries - number * size)
            ids = None if order is None else order[number * size : number * size + count]
            kind = _check(out / part_path(cell, number), rows, ids, count)
            if kind:
                yield Fault(kind, part_path(cell, number))
            progress(count)


def _recorded(manifest: pa.Table, cell: Cell) -> dict[str, Row]:
    """The manifest's rows of a cell, by query: one cell in memory, not a million rows."""
    return {row["image_id"]: row for row in rows_of(manifest, cell).to_pylist()}


def _check(
    path: Path, rows: Mapping[str, Row], ids: Sequence[str] | None, count: int
) -> Kind | None:
    if not path.is_file():
        return "missing"
    found: list[str] = []
    try:
        for row in read_part(path):
            if not _is_recorded(row, rows.get(row["image_id"])):
                return "altered"
            found.append(row["image_id"])
    except DataError:
        return "truncated"
    agreed = len(set(found)) == count and (ids is None or found == list(ids))
    return None if agreed and len(found) == count else "altered"


def _is_recorded(row: dict[str, Any], recorded: Row | None) -> bool:
    """Whether a part's row is the manifest's, and its picture the one of that row."""
    if recorded is None or any(row[name] != recorded[name] for name in COLUMNS):
        return False
    image = row["image"] or {}
    data = image.get("bytes") or b""
    return image.get("path") == recorded["path"] and sha256(data) == recorded["file_sha256"]
