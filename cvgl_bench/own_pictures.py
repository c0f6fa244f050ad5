"""Pictures of the user's own, which no data set lists: which they are, and how they are read.

A folder stands for the JPEG and PNG files in it and below, in the order of their paths, but for
what is hidden. In a folder that `cvgl-bench corrupt` wrote, these are the pictures on its page, and
not their contact sheet.

A photo is turned as its EXIF orientation says, which is how its camera and every viewer show it.
An aerial tile is not: its rows go from north to south whatever a tag says.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps

from corruptions.codecs import PILLOW, Codec
from corruptions.inputs import SMALLEST_SIDE
from cvgl_bench.codec import decode
from cvgl_bench.corrupted_page import PAGE, read_corrupted_page
from cvgl_bench.errors import DataError
from cvgl_bench.files import read, sha256

Image = NDArray[np.uint8]
Found = TypeVar("Found")

READABLE: Final = (".jpg", ".jpeg", ".png")
# Pictures too, as cameras and map services give them: to leave them out silently would be wrong.
_UNREADABLE: Final = frozenset(
    {".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".jp2"}
)
_ORIENTATION = 0x0112
_AT_ONCE = 8
_MOST_FAULTS = 20


@dataclass(frozen=True)
class Photo:
    """A photo that can be read.

    Attributes:
        path: its file.
        sha256: of the file.
        width: pixels, once it is upright.
        height: likewise.
    """

    path: Path
    sha256: str
    width: int
    height: int


def shown(path: Path | str) -> str:
    """A path as it may be printed: what is no visible character becomes a question mark."""
    return "".join(c if c.isprintable() else "?" for c in os.fspath(path))


def find_pictures(paths: Sequence[Path], leave_out: Path | None = None) -> list[Path]:
    """List the pictures that files and folders stand for, each once, in the order given.

    Args:
        paths: files, which are taken whatever their names, and folders.
        leave_out: a folder whose pictures are not taken along with a folder around it.

    Raises:
        DataError: there is no such file or folder, a folder holds no picture or kinds that cannot
            be read, or a picture of a page is missing.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"there is no file or folder '{shown(path)}'.")
        inside = _in_folder(path, leave_out) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{shown(path)} holds no picture: no {', '.join(READABLE)} in it.")
        for picture in inside:
            found.setdefault(picture.resolve(), picture)
    return list(found.values())


def _in_folder(folder: Path, leave_out: Path | None) -> list[Path]:
    pictures: list[Path] = []
    unreadable: list[Path] = []
    for place, files in _walk(folder, leave_out):
        if PAGE in files:
            pictures += _on_page(place)
            continue
        paths = [place / name for name in files]
        pictures += [path for path in paths if path.suffix.lower() in READABLE]
        unreadable += [path for path in paths if path.suffix.lower() in _UNREADABLE]
    if unreadable:
        raise DataError(
            f"{shown(folder)} holds {_pictures(len(unreadable))} of a kind that is not read "
            f"(first: {shown(unreadable[0])}). Convert them to JPEG or PNG, or name the files "
            "to take."
        )
    return pictures


def _walk(folder: Path, leave_out: Path | None) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders with the names of their files, both sorted, without what is hidden."""
    hidden_from_us: list[OSError] = []
    left_out = leave_out.resolve() if leave_out else None
    for place, folders, files in os.walk(folder, onerror=hidden_from_us.append):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != left_out
        )
        yield here, sorted(name for name in files if not name.startswith("."))
    if hidden_from_us:
        error = hidden_from_us[0]
        raise DataError(f"cannot list {shown(error.filename)}: {error.strerror}.")


def _on_page(folder: Path) -> list[Path]:
    pictures = [folder / name for name in read_corrupted_page(folder).pictures]
    missing = [path for path in pictures if not path.is_file()]
    if missing:
        raise DataError(
            f"{shown(missing[0])} is on {shown(folder / PAGE)} and not there. Run the same "
            "cvgl-bench corrupt again to make it anew."
        )
    return pictures


def read_photo(path: Path, codec: Codec = PILLOW) -> tuple[str, Image]:
    """Read a photo and turn it upright.

    Returns:
        The SHA-256 of its file, and its pixels, RGB uint8, (H, W, 3).

    Raises:
        DataError: it is missing, damaged, of a kind that is not read, or too small or large.
    """
    data = read(path)
    pixels = upright(decode(data, shown(path), codec), data, shown(path))
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise DataError(
            f"{shown(path)} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a photo must have "
            f"{SMALLEST_SIDE} a side."
        )
    return sha256(data), pixels


def upright(pixels: Image, data: bytes, name: str) -> Image:
    """Turn a photo's pixels as its EXIF orientation says; as they are if it says nothing.

    Args:
        pixels: RGB uint8, (H, W, 3), as the file has them.
        data: the file.
        name: its name, for messages.

    Raises:
        DataError: the EXIF block cannot be read, so that nobody knows which side is up.
    """
    try:
        with PillowImage.open(io.BytesIO(data)) as file:
            orientation = file.getexif().get(_ORIENTATION, 1)
    except Exception as error:
        # Pillow raises whatever comes of a damaged block: it has no one error for it.
        raise DataError(
            f"{name} has an EXIF block that cannot be read ({error}). Save the photo anew, upright."
        ) from error
    if orientation not in range(2, 9):
        return pixels
    picture = PillowImage.fromarray(pixels)
    picture.getexif()[_ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(picture))


def check_photos(paths: Sequence[Path], codec: Codec = PILLOW) -> list[Photo]:
    """Read every photo once, before anything is made of the first.

    Raises:
        DataError: some cannot be used; names all of them.
    """

    def check(path: Path) -> Photo:
        digest, pixels = read_photo(path, codec)
        return Photo(path, digest, pixels.shape[1], pixels.shape[0])

    # One at a time: of large photos, several do not fit into a small machine.
    return _all_or_faults(paths, check, "photos", threads=1)


def hash_tiles(paths: Sequence[Path]) -> list[tuple[str, int]]:
    """The SHA-256 and the number of pixels of each tile, by its header.

    Raises:
        DataError: some are no pictures; names all of them.
    """

    def look(path: Path) -> tuple[str, int]:
        data = read(path)
        try:
            with PillowImage.open(io.BytesIO(data), formats=("JPEG", "PNG")) as file:
                return sha256(data), file.width * file.height
        except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
            raise DataError(
                f"{shown(path)} cannot be decoded: it is neither JPEG nor PNG. Is it complete?"
            ) from error

    return _all_or_faults(paths, look, "tiles", threads=_AT_ONCE)


def _all_or_faults(
    paths: Sequence[Path], look: Callable[[Path], Found], what: str, *, threads: int
) -> list[Found]:
    """What a look at every file finds, or one message with the faults of all.

    Threads, because a network's disk answers slowly but many at once.
    """

    def looked(path: Path) -> Found | DataError:
        try:
            return look(path)
        except DataError as error:
            return error

    with ThreadPoolExecutor(threads) as readers:
        outcomes = list(readers.map(looked, paths))
    faults = [outcome for outcome in outcomes if isinstance(outcome, DataError)]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        lines = [str(fault) for fault in faults[:_MOST_FAULTS]]
        if len(faults) > _MOST_FAULTS:
            lines.append(f"and {len(faults) - _MOST_FAULTS} more.")
        raise DataError(
            f"{len(faults)} of the {len(paths)} {what} cannot be used, and nothing was made of the "
            "others. Mend them or leave them out:\n  " + "\n  ".join(lines)
        )
    return [outcome for outcome in outcomes if not isinstance(outcome, DataError)]


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
