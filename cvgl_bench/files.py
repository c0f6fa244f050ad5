"""Hashes of files, and writing them so that a killed run leaves nothing half-written."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from cvgl_bench.errors import DataError


def sha256(data: bytes) -> str:
    """Return the SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal, without holding it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(
    path: Path, data: bytes, *, scratch: Path | None = None, durable: bool = True
) -> None:
    """Write a file that exists whole or not at all: temporary name, fsync, then rename.

    Args:
        path: where the file shall be; its folder is made.
        data: its content.
        scratch: folder of the temporary file, on the same disk; the file's own folder if None.
        durable: fsync it. Without, a power cut soon after can leave an empty file, until `settle`
            was called: for many small files, since an fsync takes as long as making one of them.

    Raises:
        DataError: the disk is full or the place cannot be written.
    """
    for last_try in (False, False, True):
        try:
            _write_once(path, data, scratch or path.parent, durable=durable)
            return
        except FileNotFoundError as error:
            # Another run that has just finished may have removed the scratch folder under us.
            if last_try:
                raise DataError(f"cannot write {path}: {error.strerror}.") from error
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}.") from error


def _write_once(path: Path, data: bytes, folder: Path, *, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def settle() -> None:
    """Have all that was written put on the disk; for many files far quicker than fsync for each.

    It flushes every mounted disk. Linux waits until it is done, other systems may return before,
    and Windows has no such call.
    """
    if hasattr(os, "sync"):
        os.sync()


def read(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        DataError: it is missing or cannot be read, or another size came than the disk says: another
            program is writing it, or a network folder gave a part.
    """
    try:
        with path.open("rb") as file:
            data = file.read()
            status = os.fstat(file.fileno())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    if stat.S_ISREG(status.st_mode) and len(data) != status.st_size:
        raise DataError(
            f"{path} has {status.st_size:,} bytes, of which {len(data):,} were read. Is it being "
            "written, or its network folder failing? Run the same command again to go on."
        )
    return data


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _read_umask()
