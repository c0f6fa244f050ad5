"""Reading a stranger's Parquet file first in a process that may die of it.

Parsers of binary formats can be made to abort, to loop or to ask for all memory. Here that ends a
process with bounds of its own, and the submission is refused with a sentence.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from cvgl_bench.errors import CvglBenchError, RecordError
from cvgl_bench.ranks_file import RunAnswers, read_ranks
from cvgl_bench.scoring import RANKS
from cvgl_bench.submission.table import Bounds, refuse_layout, refuse_values
from cvgl_bench.submission.texts import refuse_loose_json

SECONDS: Final = 120
_MEMORY: Final = 1 << 30
_MEMORY_A_ROW: Final = 1 << 10


class Fault(NamedTuple):
    """Why ranks cannot be read.

    Attributes:
        check: "columns", by its footer alone, or "ranks".
        text: one sentence.
    """

    check: str
    text: str


def rehearse(data: bytes, bounds: Bounds, *, memory: int | None = None) -> Fault | None:
    """Read the ranks in another process, which has so much memory and `SECONDS` of processor time.

    The bounds are Linux's; elsewhere the process has none, but is another one all the same.

    Args:
        data: the bytes of ranks.parquet.
        bounds: what they have to keep to.
        memory: bytes of address space that reading may add; None takes what such ranks need.

    Returns:
        What is wrong with them; None if they can be read.
    """
    methods = multiprocessing.get_all_start_methods()
    # A server that has imported this module forks in no time; it has no threads to lose.
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([__name__])
    more = _MEMORY + bounds.rows * _MEMORY_A_ROW if memory is None else memory
    with ProcessPoolExecutor(1, context, initializer=_bound, initargs=(more,)) as pool:
        try:
            return pool.submit(_read, data, bounds).result()
        except BrokenProcessPool:
            return Fault("columns", "ranks.parquet ends the process that reads it; pack it anew.")
        except MemoryError:
            return Fault("columns", f"ranks.parquet takes more than {more >> 20:,} MiB to read.")


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
