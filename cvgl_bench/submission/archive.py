"""The file: one zip of two members, stored as they are.

Nothing in it is compressed, so nothing can unfold. What was read is packed again and must give the
file's own bytes, so nothing can be hidden in it either.
"""

import io
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from cvgl_bench.errors import RecordError
from cvgl_bench.scoring import RANKS, RECORD
from cvgl_bench.submission.verdict import shown

MAX_BYTES: Final = 64 << 20
MAX_RECORD_BYTES: Final = 1 << 20

_NAMES: Final = (RECORD, RANKS)
_ENTRY: Final = b"PK\x01\x02"
_MAX_ENTRIES: Final = 100
_AGAIN: Final = "pack the run with cvgl-bench submit"


@dataclass(frozen=True)
class Members:
    """What is in a submission.

    Attributes:
        record: the bytes of record.json.
        ranks: the bytes of ranks.parquet.
    """

    record: bytes
    ranks: bytes


def pack(members: Members) -> bytes:
    """Make the zip; the same members, the same bytes."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, data in zip(_NAMES, (members.record, members.ranks), strict=True):
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    return sink.getvalue()


def read_file(path: Path) -> bytes:
    """Read a submission's file, if it is one that may be read.

    Raises:
        RecordError: it is missing, a link, no file, or too large.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or not stat.S_ISREG(status.st_mode):
            raise RecordError(f"{path} is a link, a folder or a device; give a submission's file.")
        _refuse_large("the file", status.st_size, MAX_BYTES)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecordError(f"cannot read the submission {path}: {error.strerror}.") from error
    return data


def unpack(data: bytes) -> Members:
    """Take the two members out.

    Raises:
        RecordError: the file is not exactly what `pack` makes of two members.
    """
    _refuse_large("the file", len(data), MAX_BYTES)
    if not data:
        raise RecordError(f"the file is empty; {_AGAIN}.")
    # Each entry becomes an object some twenty times its size: they are counted before that.
    if (count := data.count(_ENTRY)) > _MAX_ENTRIES:
        raise RecordError(f"it lists {count:,} files; a submission holds {' and '.join(_NAMES)}.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_members(archive.infolist(), len(data))
            members = Members(archive.read(RECORD), archive.read(RANKS))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise RecordError(f"it is no whole zip ({shown(str(error), 100)}); {_AGAIN}.") from error
    if pack(members) != data:
        raise RecordError(f"it holds bytes that belong to no member; {_AGAIN}.")
    return members


def _refuse_members(found: list[zipfile.ZipInfo], size: int) -> None:
    names = [info.orig_filename for info in found]
    for info in found:
        _refuse_kind(info)
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise RecordError(f"it holds {shown(doubled[0], 80)} twice; {_AGAIN}.")
    if extra := [name for name in names if name not in _NAMES]:
        raise RecordError(f"it holds '{shown(extra[0], 80)}', which no submission does; {_AGAIN}.")
    if missing := [name for name in _NAMES if name not in names]:
        raise RecordError(f"it holds no {missing[0]}; {_AGAIN}.")
    for info in found:
        limit = MAX_RECORD_BYTES if info.filename == RECORD else MAX_BYTES
        _refuse_large(info.filename, info.file_size, limit)
    sizes = sum(info.file_size for info in found)
    overhead = len(pack(Members(b"", b"")))
    if sizes + overhead != size:
        raise RecordError(
            f"its members say that they take {sizes:,} bytes, in a file of {size:,} with "
            f"{overhead} for the zip itself: they overlap, or something lies between them; "
            f"{_AGAIN}."
        )


def _refuse_kind(info: zipfile.ZipInfo) -> None:
    name, printable = info.orig_filename, shown(info.orig_filename, 80)
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or windows.drive or windows.root:
        raise RecordError(f"the member '{printable}' has an absolute name.")
    if ".." in windows.parts:
        raise RecordError(f"the member '{printable}' leaves its folder.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise RecordError(f"the member '{printable}' is a link.")
    if info.flag_bits & 0x1:
        raise RecordError(f"the member '{printable}' is encrypted.")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise RecordError(f"the member '{printable}' is compressed; {_AGAIN}, which stores it.")


def _refuse_large(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise RecordError(f"{what} has {size:,} bytes; {limit:,} are the most for it.")
