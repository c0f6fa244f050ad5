"""One evaluation at a time in a run's folder, or its shards side by side."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cvgl_bench.errors import DataError, RecordError

Shard = tuple[int, int]
WHOLE: Shard = (1, 1)
_LOCKS = ".evaluating"
_ALL = "all.lock"
_SHARD = re.compile(r"shard-\d+-of-\d+\.lock")
# Shards look at the lock of the whole one after the other, which takes no time.
_SECONDS = 5


@contextmanager
def alone_in(out: Path, shard: Shard = WHOLE) -> Iterator[None]:
    """Hold a run's folder; different shards may hold it together, nothing else may.

    A process that is killed lets go.

    Raises:
        RecordError: another process holds it.
        DataError: the folder cannot be written.
    """
    name = _ALL if shard == WHOLE else f"shard-{shard[0]}-of-{shard[1]}.lock"
    with ExitStack() as held:
        held.enter_context(_lock(out, name, 0))
        if shard == WHOLE:
            for other in sorted((out / _LOCKS).iterdir()):
                if _SHARD.fullmatch(other.name):
                    held.enter_context(_lock(out, other.name, 0))
        else:
            with _lock(out, _ALL, _SECONDS):
                pass
        try:
            yield
        finally:
            if shard == WHOLE:
                shutil.rmtree(out / _LOCKS, ignore_errors=True)


def tidy_up(out: Path) -> None:
    """Remove the locks of a finished run's shards; if one is still there, it does so."""
    with suppress(RecordError), alone_in(out):
        pass


def finishing(out: Path) -> FileLock:
    """Let one shard at a time look whether it is the last; the others wait.

    Raises:
        DataError: the folder cannot be written.
    """
    return _file(out, "finishing.lock")


@contextmanager
def _lock(out: Path, name: str, seconds: float) -> Iterator[None]:
    lock = _file(out, name)
    try:
        with lock.acquire(timeout=seconds):
            yield
    except Timeout as error:
        raise RecordError(
            f"another evaluation is running in {out} ({out / _LOCKS / name} is locked). "
            "Wait for it, or choose another --out."
        ) from error


def _file(out: Path, name: str) -> FileLock:
    try:
        (out / _LOCKS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {out}: {error.strerror}.") from error
    return FileLock(out / _LOCKS / name)
