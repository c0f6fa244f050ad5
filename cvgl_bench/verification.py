"""Does a set on disk hold what its manifest says, and only that? And make again what does not."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode, usable_codec
from cvgl_bench.datasets import Dataset, Pair
from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.files import read, sha256, write_atomically
from cvgl_bench.headings import HEADINGS, headings_csv, order_of
from cvgl_bench.manifest import (
    MANIFEST,
    SET_PAGE,
    TREE,
    cell_of,
    manifest_row,
    read_set,
)
from cvgl_bench.parquet_set import part_row, write_part
from cvgl_bench.part_verification import Fault, Kind, Row, check_parts, part_files, rows_of_parts
from cvgl_bench.rendering import Rendered, plan_output, read_source, render
from cvgl_bench.suite import Suite
from cvgl_bench.units import WORK

__all__ = ["Fault", "repair", "verify"]


def verify(out: Path, progress: Progress = no_progress) -> list[Fault]:
    """Check every file of a set: there, the right size and bytes; and no other file.

    Args:
        out: the set's folder.
        progress: told 1 for each image checked.

    Raises:
        DataError: the folder holds no finished set.
    """
    page, manifest = read_set(out)
    faults = []
    headings = out / HEADINGS
    if not headings.is_file():
        faults.append(Fault("missing", HEADINGS))
    elif sha256(read(headings)) != page.headings_sha256:
        faults.append(Fault("altered", HEADINGS))
    if page.format == TREE:
        files = set(manifest["path"].to_pylist())
        faults += _check_files(out, manifest, progress)
    else:
        order = None if faults else order_of(read(headings))
        files = set(part_files(page))
        faults += check_parts(out, page, manifest, order, progress)
    known = {*files, MANIFEST, SET_PAGE, HEADINGS}
    return sorted(faults + _extra(out, known), key=lambda fault: fault.path)


def _check_files(out: Path, manifest: pa.Table, progress: Progress) -> Iterator[Fault]:
    paths, sizes, hashes = (
        manifest[column].to_pylist() for column in ("path", "bytes", "file_sha256")
    )
    for path, size, digest in zip(paths, sizes, hashes, strict=True):
        kind = _check(out / path, size, digest)
        if kind:
            yield Fault(kind, path)
        progress(1)


def _check(path: Path, size: int, digest: str) -> Kind | None:
    try:
        data = path.read_bytes()
    except OSError:
        return "missing"
    if len(data) == size and sha256(data) == digest:
        return None
    try:
        decode(data, str(path))
    except DataError:
        return "truncated"
    return "altered"


def _extra(out: Path, known: set[str]) -> list[Fault]:
    found = (path.relative_to(out) for path in out.rglob("*") if not path.is_dir())
    return [
        Fault("extra", path.as_posix())
        for path in found
        if path.as_posix() not in known and path.parts[0] != WORK
    ]


def repair(out: Path, suite: Suite, dataset: Dataset, faults: list[Fault]) -> list[str]:
    """Render the missing, truncated and altered files again, to the bytes of the manifest.

    Extra files are left alone: they are the user's.

    Args:
        out: the set's folder.
        suite: the suite that it was made with.
        dataset: the data that it was made from.
        faults: what `verify` found.

    Returns:
        The paths that were written.

    Raises:
        DataError: the set is of another suite, a source picture is not the one that it was made
            from, its codec is not installed, or this machine's libraries render other bytes.
    """
    usable_codec(suite.codec)
    page, manifest = read_set(out)
    if page.fingerprint != suite.fingerprint:
        raise DataError(
            f"{out} was made with another definition of {page.suite} "
            f"(version {page.version}); this one cannot repair it."
        )
    wanted = [fault.path for fault in faults if fault.kind != "extra"]
    pairs = {pair.id: pair for pair in dataset.pairs}
    written = []
    if HEADINGS in wanted:
        queries = set(manifest["image_id"].to_pylist())
        made_for = tuple(pair for pair in dataset.pairs if pair.id in queries)
        headings = headings_csv(suite, Dataset(dataset.name, made_for))
        if sha256(headings) != page.headings_sha256:
            raise DataError(f"the data does not have the queries of {out} in their order.")
        write_atomically(out / HEADINGS, headings)
        written.append(HEADINGS)
    if page.format == TREE:
        faulty = manifest.filter(pc.is_in(manifest["path"], pa.array(wanted, pa.string())))
        for row in faulty.to_pylist():
            data = _render_again(suite, dataset.name, _pair_of(row, pairs, out), row).data
            write_atomically(out / str(row["path"]), data)
            written.append(str(row["path"]))
        return written
    ids = set(manifest["image_id"].to_pylist())
    kept = Dataset(dataset.name, tuple(pair for pair in dataset.pairs if pair.id in ids))
    if kept.ids_sha256 != page.ids_sha256:
        raise DataError(f"the data does not have the queries of {out} in their order.")
    order = [pair.id for pair in kept.pairs]
    for part, rows in rows_of_parts(page, manifest, order):
        if part in wanted:
            write_part(
                out / part,
                [
                    part_row(
                        row, _render_again(suite, dataset.name, _pair_of(row, pairs, out), row).data
                    )
                    for row in rows
                ],
            )
            written.append(part)
    return written


def _pair_of(row: Row, pairs: Mapping[str, Pair], out: Path) -> Pair:
    image_id = str(row["image_id"])
    if image_id not in pairs:
        raise DataError(f"the data has no query '{image_id}', which {out} needs.")
    return pairs[image_id]


def _render_again(suite: Suite, dataset: str, pair: Pair, row: Row) -> Rendered:
    source = read_source(pair, CODECS[suite.codec])
    output = plan_output(suite, dataset, pair, cell_of(row))
    rendered = render(suite, source, output)
    _must_agree(manifest_row(suite, output, source, rendered), row)
    return rendered


def _must_agree(made: Row, recorded: Row) -> None:
    if made["source_sha256"] != recorded["source_sha256"]:
        raise DataError(
            f"the panorama of query '{recorded['image_id']}' is not the one that the set was made "
            "from, so its pictures cannot be made again."
        )
    if made["file_sha256"] != recorded["file_sha256"]:
        raise DataError(
            f"{recorded['path']} came out with other bytes than the manifest has: it was made with "
            f"{recorded['versions']}; here are {made['versions']}. Nothing was written for it."
        )
