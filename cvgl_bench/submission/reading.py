"""Reading a stranger's ranks: the process that may die of it.

It is started as `python -c`, never forked from the caller, so that nothing of a caller's script is
run again. For each request it forks once more, where that can be; the fork has bounds and may die.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, NamedTuple

from cvgl_bench.errors import CvglBenchError, RecordError
from cvgl_bench.ranks_file import RunAnswers, read_ranks
from cvgl_bench.scoring import RANKS
from cvgl_bench.submission.table import Bounds, refuse_layout, refuse_values
from cvgl_bench.submission.texts import refuse_loose_json

SECONDS: Final = 120
READY: Final = b"ready\n"
_SETS: Final = ("views", "corruptions")


class Fault(NamedTuple):
    """Why ranks cannot be read.

    Attributes:
        check: "columns", by its footer alone, or "ranks".
        text: one sentence.
    """

    check: str
    text: str


def answers_of(data: bytes) -> RunAnswers:
    """The answers in the bytes of ranks.parquet.

    Raises:
        RecordError: as `read_ranks`.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / RANKS
        path.write_bytes(data)
        try:
            return read_ranks(path)
        except RecordError as error:
            raise RecordError(str(error).replace(str(path), RANKS)) from error


def request(size: int, bounds: Bounds, memory: int) -> bytes:
    """The line of JSON that `serve` reads before so many bytes of ranks.parquet."""
    fields = asdict(bounds)
    fields |= {name: sorted(fields[name]) for name in _SETS}
    return json.dumps({"size": size, "memory": memory, "bounds": fields}).encode() + b"\n"


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until there are no more: a JSON line each, `null` or a `Fault`'s fields.

    An empty line says that the fork died. Without forks the process itself does, and says nothing.
    """
    sink.write(READY)
    sink.flush()
    while line := source.readline():
        page = json.loads(line)
        data = source.read(page["size"])
        fields = page["bounds"]
        bounds = Bounds(**fields | {name: frozenset(fields[name]) for name in _SETS})
        answer = _forked if hasattr(os, "fork") else _answer
        sink.write(answer(data, bounds, page["memory"]) + b"\n")
        sink.flush()


def _forked(data: bytes, bounds: Bounds, memory: int) -> bytes:
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(inlet)
            with os.fdopen(outlet, "wb") as sink:
                sink.write(_answer(data, bounds, memory))
        finally:
            # Not the parent's clean-up, whatever happened.
            os._exit(0)
    os.close(outlet)
    with os.fdopen(inlet, "rb") as source:
        answer = source.read()
    os.waitpid(child, 0)
    return answer


def _answer(data: bytes, bounds: Bounds, memory: int) -> bytes:
    try:
        _bound(memory)
        fault = _read(data, bounds)
    except MemoryError:
        text = f"ranks.parquet takes more than {memory >> 20:,} MiB to read."
        fault = Fault("columns", text)
    return json.dumps(fault).encode()


def _bound(memory: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bounds = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + memory,
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in bounds.items():
        soft, hard = resource.getrlimit(kind)
        least = min([most, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
        resource.setrlimit(kind, (least, hard))


def _read(data: bytes, bounds: Bounds) -> Fault | None:
    check = "columns"
    try:
        refuse_loose_json("the header of ranks.parquet", refuse_layout(data, bounds))
        check = "ranks"
        refuse_values(data, bounds)
        answers_of(data)
    except CvglBenchError as error:
        return Fault(check, str(error))
    return None
