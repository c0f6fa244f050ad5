"""What a generated set says of itself: a row an output, and a page about the whole."""

import functools
import importlib.metadata
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corruptions.codecs import PILLOW
from cvgl_bench import parquet, severity
from cvgl_bench.errors import DataError, first_fault
from cvgl_bench.files import read, sha256, write_atomically
from cvgl_bench.rendering import Output, Rendered, Source, parameters_json, pixel_sha256
from cvgl_bench.suite import MIXED, Cell, Suite

MANIFEST = "manifest.parquet"
SET_PAGE = "set.json"

Format = Literal["tree", "parquet"]
TREE: Format = "tree"
"""How a set's pictures are kept: a file each, or many in a Parquet file."""

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("image_id", pa.string()),
        ("view", pa.string()),
        ("heading_degrees", pa.float64()),
        ("fov_degrees", pa.float64()),
        ("cell", pa.string()),
        ("corruption", pa.string()),
        ("severity", pa.int8()),
        ("parameters", pa.string()),
        ("seed", pa.string()),
        ("source_sha256", pa.string()),
        ("pixel_sha256", pa.string()),
        ("file_sha256", pa.string()),
        ("bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("codec", pa.string()),
        ("versions", pa.string()),
        *((column, pa.float64()) for column in severity.COLUMNS),
    ]
)


class CellMeasures(Cell):
    """How far a cell's pictures are from the clean ones: means over the measured queries."""

    psnr_db: float | None
    ssim: float | None
    psnr_db_140x768: float | None
    ssim_140x768: float | None
    psnr_db_384x384: float | None
    ssim_384x384: float | None


class SetPage(BaseModel):
    """What a finished set is: `set.json`, written last, so a set that has one is whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = 2
    suite: str
    version: int
    fingerprint: str
    profile: str
    codec: str
    form: str
    dataset: str
    ids_sha256: str
    queries: Annotated[int, Field(ge=1)]
    partial: bool
    cells: tuple[Cell, ...]
    images: int
    measured_queries: Annotated[int, Field(ge=0)]
    measures: tuple[CellMeasures, ...]
    format: Format = TREE
    queries_per_part: Annotated[int, Field(ge=1)] | None = None
    manifest_sha256: str
    headings_sha256: str

    @model_validator(mode="after")
    def _parts_of_parquet_alone(self) -> "SetPage":
        if (self.format == TREE) != (self.queries_per_part is None):
            raise ValueError("queries_per_part belongs to format parquet, and only there")
        return self

    @property
    def parts(self) -> int:
        """How many Parquet files a cell has; 0 of a tree."""
        return math.ceil(self.queries / self.queries_per_part) if self.queries_per_part else 0

    @classmethod
    def of(cls, suite: Suite, **facts: object) -> "SetPage":
        """Make the page of a set of this suite; `facts` are the fields that a suite lacks."""
        return cls.model_validate(
            {
                "suite": suite.name,
                "version": suite.version,
                "fingerprint": suite.fingerprint,
                "profile": suite.profile,
                "codec": suite.codec,
                "form": suite.form,
                "dataset": suite.dataset,
                **facts,
            }
        )


def manifest_row(
    suite: Suite,
    output: Output,
    source: Source,
    rendered: Rendered,
    measures: severity.Measures | None = None,
) -> dict[str, object]:
    """Describe an output, so that it can be checked and made again.

    Args:
        suite: the benchmark.
        output: what was made.
        source: what it was made from.
        rendered: the result.
        measures: how far it is from the clean picture; None if the query is not measured.
    """
    height, width = rendered.pixels.shape[:2]
    return {
        "path": output.path,
        "image_id": output.image_id,
        "view": output.cell.view,
        "heading_degrees": output.heading_degrees,
        "fov_degrees": output.fov_degrees,
        "cell": output.cell.corruption,
        "corruption": output.corruption,
        "severity": output.severity,
        "parameters": parameters_json(output),
        "seed": f"{output.seed:064x}",
        "source_sha256": source.sha256,
        "pixel_sha256": pixel_sha256(rendered.pixels),
        "file_sha256": sha256(rendered.data),
        "bytes": len(rendered.data),
        "width": width,
        "height": height,
        "codec": rendered.codec,
        "versions": versions(suite.codec),
        **(measures or dict.fromkeys(severity.COLUMNS)),
    }


@functools.cache
def versions(codec: str) -> str:
    """Versions of everything that shapes a pixel, in one line; `codec` is a suite's."""
    import cv2
    import numpy as np
    import PIL
    import scipy
    from PIL import features

    from cvgl_bench import __version__

    packages = ["numba"] if codec == PILLOW.name else ["numba", "jpeglib"]
    others = "".join(f", {name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"cvgl-bench {__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"opencv {cv2.__version__}, pillow {PIL.__version__}, "
        f"libjpeg-turbo {features.version('libjpeg_turbo')}{others}"
    )


def as_table(rows: list[dict[str, object]]) -> pa.Table:
    """Put rows of `manifest_row` into a table."""
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def manifest_bytes(table: pa.Table) -> bytes:
    """Write a manifest as Parquet, sorted by path: the same rows give the same bytes."""
    return parquet.to_bytes(table, sort_by="path")


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a manifest's row belongs to."""
    name = row["cell"]
    return Cell(view=row["view"], corruption=name, severity=0 if name == MIXED else row["severity"])


def rows_of(table: pa.Table, cell: Cell) -> pa.Table:
    """The manifest's rows of a cell."""
    wanted = pc.and_(
        pc.equal(table["view"], cell.view),
        pc.equal(table["cell"], cell.corruption),
    )
    if cell.severity:
        wanted = pc.and_(wanted, pc.equal(table["severity"], cell.severity))
    return table.filter(wanted)


def measures_of(table: pa.Table, cells: Sequence[Cell]) -> tuple[CellMeasures, ...]:
    """The mean measures of each cell over the queries that were measured; empty if none was."""
    columns = table.select(["view", "cell", "severity", *severity.COLUMNS])
    measured = columns.filter(pc.is_valid(table[severity.ALWAYS_MEASURED]))
    by_cell: dict[Cell, list[severity.Measures]] = {cell: [] for cell in cells if len(measured)}
    for row in measured.to_pylist():
        by_cell[cell_of(row)].append(row)
    return tuple(
        CellMeasures.model_validate(cell.model_dump() | severity.means(rows))
        for cell, rows in by_cell.items()
    )


def read_table(path: Path) -> pa.Table:
    """Read a manifest, or the part of one that a finished unit left.

    Raises:
        DataError: it is missing, or no manifest.
    """
    return _parse(read(path), path)


def _parse(data: bytes, path: Path) -> pa.Table:
    try:
        table = parquet.from_bytes(data)
    except ValueError as error:
        raise DataError(f"{path} is not a readable manifest: {error}.") from error
    if not table.schema.equals(SCHEMA):
        raise DataError(f"{path} has other columns than a manifest of this version.")
    return table


def write_set_page(out: Path, page: SetPage, *, scratch: Path) -> None:
    """Write `set.json`; a tree's says nothing of its form, as before there were others."""
    unsaid = {"format", "queries_per_part"} if page.format == TREE else None
    text = json.dumps(page.model_dump(mode="json", exclude=unsaid), indent=1, sort_keys=True) + "\n"
    write_atomically(out / SET_PAGE, text.encode(), scratch=scratch)


def read_page(out: Path) -> SetPage:
    """Read a finished set's page alone; `read_set` checks it against the manifest.

    Raises:
        DataError: the folder holds no finished set, or the page is not one.
    """
    if not (out / SET_PAGE).is_file():
        raise DataError(
            f"{out} holds no finished set (no {SET_PAGE}). "
            "Run cvgl-bench generate with the same options until it says that the set is complete."
        )
    try:
        return SetPage.model_validate_json(read(out / SET_PAGE))
    except ValidationError as error:
        raise DataError(
            f"{out / SET_PAGE} is not what generate wrote: {first_fault(error)}."
        ) from error


def read_set(out: Path) -> tuple[SetPage, pa.Table]:
    """Read a finished set's page and manifest.

    Raises:
        DataError: the folder holds no finished set, or its manifest is not the one that the page
            was written for.
    """
    page = read_page(out)
    data = read(out / MANIFEST)
    if sha256(data) != page.manifest_sha256:
        raise DataError(
            f"{out / MANIFEST} is not the manifest that {SET_PAGE} was written for. "
            "Make the set again."
        )
    table = _parse(data, out / MANIFEST)
    _must_agree(page, table, out)
    return page, table


def _must_agree(page: SetPage, table: pa.Table, out: Path) -> None:
    """Check that the page's cells and counts are the manifest's."""
    listed = zip(*(table[name].to_pylist() for name in ("view", "cell", "severity")), strict=True)
    found = Counter(
        (view, cell, 0 if cell == MIXED else severity) for view, cell, severity in listed
    )
    promised = {(cell.view, cell.corruption, cell.severity): page.queries for cell in page.cells}
    agreed = found == promised and table.num_rows == page.images
    # Measures are only computed for the cells that the page knows, so the counts come first.
    if not agreed or page.measures != measures_of(table, page.cells):
        raise DataError(
            f"{out / SET_PAGE} says {page.queries} queries in {len(page.cells)} cells, "
            f"{page.images} images, and their measures; {MANIFEST} lists others. "
            "Make the set again."
        )
