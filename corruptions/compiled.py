"""Compiled functions on disk, and when they are no longer what the source says."""

import contextlib
from pathlib import Path


def forget_stale(package: Path) -> None:
    """Delete numba's indices of compiled functions that are older than any file of a package.

    Numba compiles a file's functions anew when that file changes, but not when only a function does
    that they call in another file: after an update, old pixels would go on coming out.

    Args:
        package: folder of Python files whose compiled functions call each other's.
    """
    newest = max(path.stat().st_mtime_ns for path in package.glob("*.py"))
    for index in (package / "__pycache__").glob("*.nbi"):
        # Another process may have been faster, or the installation may be somebody else's.
        with contextlib.suppress(OSError):
            if index.stat().st_mtime_ns < newest:
                index.unlink()
