"""Compiled functions on disk, and when they are no longer what the source says."""

import contextlib
import hashlib
from pathlib import Path

STAMP = "sources.sha256"


def forget_stale(package: Path, kernel: object) -> None:
    """Delete numba's indices of compiled functions, unless every file of the package is as it was.

    Numba compiles a file's functions anew when that file changes, but not when only a function does
    that they call in another file: after an update, old pixels would go on coming out. The files'
    times do not tell: those of an image, or of a package unpacked long ago, can be older than what
    another version compiled.

    Args:
        package: folder of Python files whose compiled functions call each other's.
        kernel: any of them, which knows where numba keeps them all: beside the code, in the user's
            cache folder, or below NUMBA_CACHE_DIR.
    """
    stats = getattr(kernel, "stats", None)
    kept = stats and stats.cache_path
    if kept is None:  # a function that numba does not keep, or with NUMBA_DISABLE_JIT not even has
        return
    folder = Path(kept)
    sources = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n"
        for path in sorted(package.glob("*.py"))
    )
    stamp = folder / STAMP
    # Another process may have been faster, or the folder may be somebody else's. A stamp that is
    # written after each index is gone, or not at all, never vouches for one that stayed.
    with contextlib.suppress(OSError):
        if stamp.is_file() and stamp.read_text() == sources:
            return
        for index in folder.glob("*.nbi"):
            index.unlink(missing_ok=True)
        stamp.write_text(sources)
