"""Where work runs: here, or in processes of this machine. The same tasks give the same bytes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cvgl_bench.errors import CvglBenchError

Progress = Callable[[int], object]
"""Is told how many pictures were finished since the last call."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def no_progress(images: int) -> None:
    """Tell nobody."""
    del images


def run_local(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int
) -> Iterator[Result]:
    """Run a function on every task and yield the results as they come.

    One worker runs in this process. More are spawned, not forked, so that no worker inherits
    another's random or thread state; the function must be importable by name.

    Args:
        function: what to run; also on the workers' side, so it must pickle.
        tasks: its arguments.
        workers: processes, at least 1.

    Raises:
        CvglBenchError: what the function raised, or that a worker process died.
    """
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            _one_thread()
            yield function(task)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_start_worker)
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise CvglBenchError(
            "a worker process died (killed, or out of memory). What was finished is kept: run the "
            "same command again to go on, with fewer --workers if memory is short."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the driver, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    _one_thread()


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _one_thread() -> None:
    """Keep OpenCV to one thread: the parallelism is in the processes."""
    import cv2

    cv2.setNumThreads(1)
