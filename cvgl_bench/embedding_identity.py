"""What an array of embeddings is of, so that one that is there already can be told from another.

Two arrays with one identity come of the same weights, code, preprocessing and pictures; they differ
at most by the rounding of another device, library version or batch size.
"""

import hashlib
import inspect
import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corruptions.codecs import CODECS
from cvgl_bench.codec import decode
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.files import read, sha256, sha256_of_file
from cvgl_bench.manifest import rows_of, versions
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.pictures import Pictures, RenderedPictures, SetPictures
from cvgl_bench.suite import CLEAN, Cell
from cvgl_bench.version import __version__
from cvgl_bench.views import FULL, parse_view

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation

Image = NDArray[np.uint8]
Identity = dict[str, Any]
_READERS = 8
# In place of an identity, where there is nothing to tell a model or pictures from others.
_ONCE = "once"
# Their classes may be among a model's ancestors; what they do is not the model's own.
_LIBRARIES = {*sys.stdlib_module_names, "torch"}


def key_of(identity: Mapping[str, Any]) -> str:
    """The SHA-256 of an identity: the name that its array has in a store."""
    return sha256(json.dumps(identity, sort_keys=True).encode())


@dataclass(frozen=True)
class Unit:
    """A piece of an evaluation's work: the embeddings of the gallery, or of one cell's queries.

    Attributes:
        cell: which; None for the gallery.
        rows: how many pictures.
        identity: of what.
        side: which encoder sees them.
    """

    cell: Cell | None
    rows: int
    identity: Identity
    side: Side

    @property
    def is_reusable(self) -> bool:
        """Whether a later try can know the array again."""
        return _ONCE not in self.identity

    @property
    def fov_degrees(self) -> float:
        """How much of the panorama the pictures show."""
        return 360.0 if self.cell is None else parse_view(self.cell.view).fov_degrees

    def __str__(self) -> str:
        return "the gallery" if self.cell is None else str(self.cell)


@dataclass(frozen=True)
class Sources:
    """Hashes of an evaluation's source pictures, read when they are first asked for."""

    job: "Evaluation"

    @cached_property
    def tiles(self) -> tuple[str, ...]:
        """SHA-256 of each reference, in the data set's order."""
        return _hashes([one.picture for one in self.job.dataset.references])

    @cached_property
    def panoramas(self) -> tuple[str, ...]:
        """SHA-256 of each query's panorama; a set was compared with its own when it was opened."""
        pictures = self.job.pictures
        if isinstance(pictures, SetPictures):
            recorded = _by_id(pictures.manifest, "source_sha256")
            return tuple(recorded[pair.id] for pair in pictures.queries)
        return _hashes([pair.ground for pair in pictures.queries])

    def of(self, unit: Unit) -> tuple[str, ...] | None:
        """What the files must be that a unit's pictures are made of; None if a set vouches."""
        if unit.cell is None:
            return self.tiles
        return self.panoramas if is_rendered(self.job.pictures, unit.cell) else None


def is_rendered(pictures: Pictures, cell: Cell) -> bool:
    """Whether a cell's pictures are made of the data set's panoramas as they are asked for."""
    if isinstance(pictures, SetPictures):
        return cell not in pictures.page.cells
    return isinstance(pictures, RenderedPictures)


def corrupted_on_device(pictures: Pictures) -> bool:
    """Whether what is rendered is corrupted by `corruptions.gpu`."""
    return isinstance(pictures, RenderedPictures) and pictures.corrupt_on == "device"


def plan_units(job: "Evaluation", sources: Sources) -> list[Unit]:
    """The gallery and every cell, in the order of an evaluation.

    Raises:
        DataError: a source picture cannot be read.
        ModelError: the model's weights cannot be read.
    """
    model = model_identity(job.adapter)
    codec = f"{job.suite.codec} {CODECS[job.suite.codec].version}"
    tiles = {"codec": codec, "files": _of(sources.tiles)}
    # What is as it always was is not named, so that arrays of before are known again.
    precise = {} if job.precision == "float32" else {"precision": job.precision}
    asking, searched = job.dataset.query_side, job.dataset.reference_side
    gallery = _identity(model, tiles, {"side": searched} | precise)
    units = [Unit(None, len(job.dataset.references), gallery, searched)]
    for cell in job.cells:
        told = {"side": asking, "fov_degrees": parse_view(cell.view).fov_degrees}
        identity = _identity(model, _images(job, sources, cell, codec), told | precise)
        units.append(Unit(cell, len(job.pictures.queries), identity, asking))
    return units


def _identity(model: Identity | None, images: Identity | None, told: Identity) -> Identity:
    if model is None or images is None:
        return {_ONCE: uuid.uuid4().hex}
    return {"model": model, "images": images, "dtype": "float32"} | told


def _images(job: "Evaluation", sources: Sources, cell: Cell, codec: str) -> Identity | None:
    """What a cell's pictures are: the hashes of their files, or of what they are made of."""
    if not is_rendered(job.pictures, cell):
        if not isinstance(job.pictures, SetPictures):
            return None
        return {"codec": codec, "files": _of(_files(job.pictures, cell))}
    if cell.corruption == CLEAN and cell.view == FULL.name:
        return {"codec": codec, "files": _of(sources.panoramas)}
    ids = [pair.id for pair in job.pictures.queries]
    on_device = _device() if corrupted_on_device(job.pictures) else {}
    return on_device | {
        "codec": codec,
        "cell": cell.model_dump(),
        "dataset": job.dataset.name,
        "sources": _of([*ids, *sources.panoramas]),
        "suite": job.suite.fingerprint,
        "versions": versions(job.suite.codec),
    }


def _device() -> Identity:
    """What computes pictures that are corrupted on a device."""
    import torch

    return {"corrupted_on": "device", "torch": torch.__version__}


def _files(pictures: SetPictures, cell: Cell) -> list[str]:
    """The hashes of a cell's files in a set, in the order of its queries."""
    hashes = _by_id(rows_of(pictures.manifest, cell), "file_sha256")
    return [hashes[pair.id] for pair in pictures.queries]


def _by_id(rows: pa.Table, column: str) -> dict[str, str]:
    return dict(zip(rows["image_id"].to_pylist(), rows[column].to_pylist(), strict=True))


def _of(hashes: Sequence[str]) -> str:
    return sha256("\n".join(hashes).encode())


def _hashes(paths: Sequence[Path]) -> tuple[str, ...]:
    # Threads, because a network's disk answers slowly but many at once.
    with ThreadPoolExecutor(_READERS) as readers:
        return tuple(readers.map(lambda path: sha256(read(path)), paths))


def images_of(job: "Evaluation", unit: Unit, hashes: Sequence[str] | None) -> Iterator[Image]:
    """Yield a unit's pictures, RGB uint8, (H, W, 3).

    Args:
        job: the evaluation.
        unit: the gallery or a cell.
        hashes: SHA-256 of the files that they are made of, see `Sources.of`.

    Raises:
        DataError: one is missing or broken, or its file is not the one that was hashed.
    """
    if unit.cell is not None:
        images = job.pictures.images(unit.cell)
        if hashes is None:
            yield from images
            return
        for pair, digest, image in zip(job.pictures.queries, hashes, images, strict=True):
            # Read again after it was rendered: a file that changes between the two is noticed.
            must_be(pair.ground, sha256(read(pair.ground)), digest)
            yield image
        return
    codec = CODECS[job.suite.codec]
    for one, digest in zip(job.dataset.references, hashes or (), strict=True):
        data = read(one.picture)
        must_be(one.picture, sha256(data), digest)
        yield decode(data, str(one.picture), codec)


def must_be(path: Path, found: str, digest: str) -> None:
    """Refuse a file that is not the one that was hashed.

    Args:
        path: which.
        found: its hash now.
        digest: its hash then.

    Raises:
        DataError: they differ.
    """
    if found != digest:
        raise DataError(
            f"{path} has changed since this run began. Put the picture back, or run the same "
            "command again to embed what is there now."
        )


def model_identity(adapter: Adapter) -> Identity | None:
    """What a model is: its name, preprocessing, weights, numbers and the code of its class.

    Returns:
        None if it names no weights and its class's file cannot be read, so that nothing tells it
        from another.

    Raises:
        ModelError: its weights cannot be read.
    """
    code = _code(adapter)
    if not code and not adapter.weights_sha256:
        return None
    return {
        "name": adapter.name,
        "preprocessing": adapter.preprocessing,
        "weights_sha256": adapter.weights_sha256,
        "state_sha256": _state_sha256(adapter),
        "code": code,
        "cvgl_bench": __version__,
    }


def _code(adapter: Adapter) -> dict[str, str]:
    """Hashes of the files in which a model's class and its ancestors stand, by class."""
    hashes = {}
    for one in type(adapter).__mro__:
        if one.__module__.partition(".")[0] in _LIBRARIES:
            continue
        try:
            file = inspect.getsourcefile(one)
        except TypeError:
            # Made in an interpreter: no file has it.
            file = None
        if file is None or not Path(file).is_file():
            return {}
        hashes[one.__qualname__] = sha256_of_file(Path(file))
    return hashes


def _state_sha256(adapter: Adapter) -> str:
    """A hash of the numbers in a model's networks and tensors, whatever file they are from."""
    import torch

    digest = hashlib.sha256()
    held = {"": adapter, **getattr(adapter, "__dict__", {})}
    for name, value in sorted(held.items()):
        state = value.state_dict() if isinstance(value, torch.nn.Module) else {"": value}
        for key, tensor in state.items():
            if not isinstance(tensor, torch.Tensor):
                continue
            digest.update(f"{name}.{key} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            try:
                numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            except (RuntimeError, TypeError, NotImplementedError) as error:
                raise ModelError(
                    f"the tensor '{name}.{key}' of {adapter.name} cannot be read ({error})."
                ) from error
            digest.update(numbers.data)
    return digest.hexdigest()
