"""Finished arrays of embeddings on disk, each beside a page that says of what it is.

STORE/<key>.npy     (N, D) float32, unit length
STORE/<key>.json    the page, written last: an array without one is none

The key is the SHA-256 of the identity: of the model, its preprocessing and the pictures. Several
processes may share a store, since a file is there whole or not at all, and is one whoever made it.
"""

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvgl_bench.arrays import read_embeddings
from cvgl_bench.embedding_identity import Identity, key_of
from cvgl_bench.errors import CvglBenchError, DataError, first_fault
from cvgl_bench.files import read, sha256_of_file, write_atomically

Rows = NDArray[np.float32]
_KEY = re.compile("[0-9a-f]{64}")


class ArrayPage(BaseModel):
    """What a stored array is, and how it was made.

    Attributes:
        identity: what went into it.
        rows: how many pictures.
        width: how many numbers each.
        sha256: of the array's file.
        seconds: what the encoder took for all of them.
        environment: versions and device.
        cached: whether a cache had it, so that its time is another run's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    identity: Identity
    rows: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    seconds: Annotated[float, Field(ge=0)]
    environment: dict[str, str]
    cached: bool = False


@dataclass(frozen=True)
class EmbeddingStore:
    """A folder of finished arrays.

    Attributes:
        folder: which.
        durable: whether a file is on the disk before it gets its name, so that a machine that loses
            its power leaves none half-written.
    """

    folder: Path
    durable: bool = True

    def array(self, key: str) -> Path:
        """Where the array of a key is."""
        return self.folder / f"{key}.npy"

    def page(self, key: str) -> Path:
        """Where its page is."""
        return self.folder / f"{key}.json"

    def keys(self) -> set[str]:
        """The keys of all arrays."""
        return {path.stem for path in self.folder.glob("*.json") if _KEY.fullmatch(path.stem)}

    def find(self, identity: Identity, rows: int, what: str) -> ArrayPage | None:
        """Look up an array and check it: bytes, shape, finite, unit length.

        Args:
            identity: of what.
            rows: how many pictures that is.
            what: whose they are, for messages.

        Returns:
            Its page; None if the store has none.

        Raises:
            DataError: the store has one that is damaged.
        """
        key = key_of(identity)
        if not self.page(key).is_file():
            return None
        try:
            page = ArrayPage.model_validate_json(read(self.page(key)))
            if page.identity != identity or sha256_of_file(self.array(key)) != page.sha256:
                raise DataError("it is not the array that its page was written for")
            if read_embeddings(self.array(key), rows, what).shape != (page.rows, page.width):
                raise DataError("it has another shape than its page says")
        except ValidationError as error:
            raise DataError(f"{self.page(key)} is damaged: {first_fault(error)}.") from error
        except (CvglBenchError, OSError) as error:
            raise DataError(f"{self.array(key)} is damaged ({error}).") from error
        return page

    def write(self, key: str, batches: Iterable[Rows], rows: int) -> tuple[str, int]:
        """Write an array as its rows come, so that none of them is held.

        Args:
            key: of the identity.
            batches: (B, D) each.
            rows: how many there are in all.

        Returns:
            The file's SHA-256 and the width D.

        Raises:
            DataError: there are more or fewer rows, the disk is full, or the folder cannot be
                written.
        """
        path = self.array(key)
        with _appearing(path, durable=self.durable) as file:
            digest = _Digest(file)
            width = done = 0
            for batch in batches:
                if not done:
                    width = batch.shape[1]
                    np.lib.format.write_array_header_1_0(
                        digest, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
                    )
                done += len(batch)
                digest.write(np.ascontiguousarray(batch, "<f4").tobytes())
            if done != rows:
                raise DataError(f"{path} got {done} rows where {rows} were expected.")
        return digest.sha256, width

    def settle(self, page: ArrayPage) -> ArrayPage:
        """Write an array's page, with which it is there; returns it."""
        text = page.model_dump_json(indent=1) + "\n"
        write_atomically(self.page(key_of(page.identity)), text.encode(), durable=self.durable)
        return page

    def remove(self, key: str) -> None:
        """Remove an array, its page first."""
        for path in (self.page(key), self.array(key)):
            _remove(path)

    def take(self, page: ArrayPage, source: "EmbeddingStore") -> ArrayPage:
        """Take an array over from another store, with its page; returns the page."""
        key = key_of(page.identity)
        link(source.array(key), self.array(key))
        return self.settle(page)


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the disk knows no second names.

    Raises:
        DataError: neither can be had.
    """
    temporary = _temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
        # Two names of one file: renaming one to the other does nothing, and leaves both.
        temporary.unlink(missing_ok=True)
    except OSError as error:
        _remove(temporary)
        raise DataError(f"cannot write {target}: {error.strerror}.") from error


class _Digest:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _temporary(path: Path) -> Path:
    return path.with_name(f".writing-{uuid.uuid4().hex}")


@contextlib.contextmanager
def _appearing(path: Path, *, durable: bool) -> Iterator[IO[bytes]]:
    """A file to write into that gets its name when all is in it and, if durable, on the disk."""
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise DataError(f"cannot write {path}: {error.strerror}.") from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    # What stood in the way of writing may stand in the way of this as well.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
