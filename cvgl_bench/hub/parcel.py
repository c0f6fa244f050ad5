"""What is to be pushed: checked as it lies here, before anything goes anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.files import sha256_of_file
from cvgl_bench.headings import HEADINGS
from cvgl_bench.hub.connection import HubError
from cvgl_bench.hub.page import Kind
from cvgl_bench.manifest import MANIFEST, SET_PAGE, TREE, SetPage, read_page
from cvgl_bench.part_verification import part_files
from cvgl_bench.record import Record
from cvgl_bench.runs import read_run
from cvgl_bench.scoring import RANKS, RECORD
from cvgl_bench.site.pictures import MAY_BE_SHOWN
from cvgl_bench.verification import verify

WEIGHTS: Final = "weights.safetensors"
RUNS: Final = "runs"
SET: Final = "set"
_PICKLES: Final = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".tar")


@dataclass(frozen=True)
class Parcel:
    """What goes into a repository.

    Attributes:
        kind: of the repository: sets are data sets, the rest is a model's.
        files: by path in the repository.
        records: of the runs.
        weights_sha256: of the checkpoint; "" without one.
        about: what the checkpoint says of itself.
        set_page: of the set; None if there is none.
    """

    kind: Kind
    files: Mapping[str, Path]
    records: tuple[Record, ...] = ()
    weights_sha256: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    set_page: SetPage | None = None


def pack(sources: Sequence[Path], progress: Progress = no_progress) -> Parcel:
    """Put together what shall be pushed: runs and one checkpoint, or one set.

    Args:
        sources: folders of runs, a safetensors file or the folder of a training; or a set that was
            made with --format parquet.
        progress: told 1 for each picture of a set that was checked.

    Raises:
        HubError: a source is something else, may not be passed on, or they do not fit.
        CvglBenchError: a source is broken.
    """
    if any((source / SET_PAGE).is_file() for source in sources):
        if len(sources) > 1:
            raise HubError("a set goes to a repository of its own: push it without anything else.")
        return _pack_set(sources[0], progress)
    files: dict[str, Path] = {}
    records: list[Record] = []
    weights: list[Path] = []
    for source in sources:
        checkpoint = source / WEIGHTS if source.is_dir() else source
        if (source / RECORD).is_file() or source.name == RECORD:
            record, own = _pack_run(source)
            if files.keys() & own.keys():
                raise HubError(
                    f"there are two runs of {record.model.name} on {record.suite.label}."
                )
            records.append(record)
            files |= own
        elif checkpoint.is_file() or source.suffix == Path(WEIGHTS).suffix:
            weights.append(checkpoint)
        else:
            raise HubError(
                f"{source} is no run, checkpoint or set: there is no {RECORD}, {WEIGHTS} or "
                f"{SET_PAGE} in it."
            )
    if len(weights) > 1:
        raise HubError("a repository holds one checkpoint: push the others elsewhere.")
    if not weights:
        return Parcel("model", files, tuple(records))
    about = read_about(weights[0])
    digest = sha256_of_file(weights[0])
    refuse_other_weights(records, digest, weights[0])
    return Parcel("model", {WEIGHTS: weights[0], **files}, tuple(records), digest, about)


def _pack_run(source: Path) -> tuple[Record, dict[str, Path]]:
    folder = source if source.is_dir() else source.parent
    record = read_run(source).record
    return record, {path: folder / Path(path).name for path in files_of_run(record)}


def files_of_run(record: Record) -> list[str]:
    """Where a run's files lie in a repository."""
    place = f"{RUNS}/{record.suite.label}/{record.model.name}"
    return [f"{place}/{name}" for name in (RECORD, RANKS)]


def files_of_set(page: SetPage) -> list[str]:
    """Where a set's files lie in a repository."""
    return [f"{SET}/{name}" for name in (SET_PAGE, MANIFEST, HEADINGS, *part_files(page))]


def _pack_set(folder: Path, progress: Progress) -> Parcel:
    page = read_page(folder)
    if page.dataset not in MAY_BE_SHOWN:
        raise HubError(
            f"{folder} is made of {page.dataset}, whose pictures may not be passed on, corrupted "
            "or not: whoever has them makes the same bytes with `cvgl-bench generate`. "
            f"Sets of {', '.join(MAY_BE_SHOWN)} can be pushed."
        )
    if page.format == TREE:
        raise HubError(
            f"{folder} is a file a picture, {page.images:,} of them: make it with "
            "`cvgl-bench generate --format parquet` to push it."
        )
    if faults := verify(folder, progress):
        raise DataError(
            f"{folder} is not what its manifest says ({len(faults)} faults, first: "
            f"{faults[0].kind} {faults[0].path}); see `cvgl-bench verify {folder}`."
        )
    files = {path: folder / path.removeprefix(f"{SET}/") for path in files_of_set(page)}
    return Parcel("dataset", files, set_page=page)


def read_about(path: Path) -> dict[str, str]:
    """Read the texts of a safetensors file, having checked its header against its size.

    Raises:
        HubError: it is of a kind that could run code when it is read, damaged, or missing.
    """
    if path.suffix in _PICKLES:
        raise HubError(
            f"{path} may be a pickle, which can run anything where it is read: write the weights "
            "as safetensors (safetensors.torch.save_file)."
        )
    if path.suffix != Path(WEIGHTS).suffix:
        raise HubError(f"{path} is no safetensors file.")
    if not path.is_file():
        raise HubError(f"there is no checkpoint '{path}'.")
    try:
        with safe_open(str(path), framework="numpy") as file:
            texts: Any = file.metadata()
            return dict(texts or {})
    except (SafetensorError, OSError) as error:
        raise HubError(f"{path} is not a safetensors file, or it is damaged.") from error


def refuse_other_weights(records: Sequence[Record], digest: str, path: Path) -> None:
    """Refuse weights that are not the ones that runs were made with.

    Raises:
        HubError: they are others.
    """
    for record in records:
        theirs = record.model.weights_sha256
        if theirs != digest:
            made_with = f"the weights {theirs[:12]}" if theirs else "no weights"
            raise HubError(
                f"the run of {record.model.name} on {record.suite.label} was made with "
                f"{made_with}, and {path} is {digest[:12]}: name the checkpoint of that run."
            )
