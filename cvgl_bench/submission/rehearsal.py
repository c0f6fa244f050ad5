"""Reading a stranger's Parquet file first in a process that may die of it.

Parsers of binary formats can be made to abort, to loop or to ask for all memory. Here that ends a
process with bounds of its own, and the submission is refused with a sentence.
"""

import atexit
import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Final

from cvgl_bench.errors import RecordError
from cvgl_bench.submission.reading import READY, Fault, request
from cvgl_bench.submission.table import Bounds

_MEMORY: Final = 1 << 30
_MEMORY_A_ROW: Final = 1 << 10
# It imports from where this process does, and nothing of the folder that it happens to run in.
_SERVE: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from cvgl_bench.submission.reading import serve; "
    "serve(sys.stdin.buffer, sys.stdout.buffer)"
)


def rehearse(data: bytes, bounds: Bounds, *, memory: int | None = None) -> Fault | None:
    """Read the ranks in another process, with bounds to its memory and its processor time.

    The bounds are Linux's; elsewhere the process has none, but is another one all the same.

    Args:
        data: the bytes of ranks.parquet.
        bounds: what they have to keep to.
        memory: bytes of address space that reading may add; None takes what such ranks need.

    Returns:
        What is wrong with them; None if they can be read.

    Raises:
        RecordError: that process cannot be started.
    """
    more = _MEMORY + bounds.rows * _MEMORY_A_ROW if memory is None else memory
    answer = _READER.ask(request(len(data), bounds, more), data)
    if not answer:
        return Fault("columns", "ranks.parquet ends the process that reads it; pack it anew.")
    fields = json.loads(answer)
    return None if fields is None else Fault(*fields)


class _Reader:
    """The process that reads; it is kept, since starting Python takes longer than to read."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, head: bytes, data: bytes) -> bytes:
        """The answer to a request; empty if reading ended the process."""
        with self._lock:
            source, sink = self._started()
            try:
                sink.write(head)
                sink.write(data)
                sink.flush()
                answer = source.readline()
            except BrokenPipeError:
                answer = b""
            except BaseException:
                # Half a request was made: the next one shall not get its answer.
                self.stop()
                raise
            if not answer.endswith(b"\n"):
                self.stop()
            return answer.strip()

    def _started(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._process = self._start()
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise RuntimeError("the process that reads ranks has no pipes")
        return source, sink

    def _start(self) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, *sys.path],
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise RecordError(
                f"the process that reads ranks cannot be started: {error.strerror}."
            ) from error
        if process.stdout is None or process.stdout.readline() != READY:
            _end(process)
            raise RecordError(
                f"the process that reads ranks did not start ({sys.executable} -c ...); is "
                "cvgl-bench installed for it, and is there enough memory?"
            )
        return process

    def stop(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What it was still to be told has nobody to go to.
            with suppress(BrokenPipeError):
                pipe.close()


_READER = _Reader()
atexit.register(_READER.stop)
