"""Where work runs: here, or in processes of this machine. The same tasks give the same bytes.

A worker has one task at a time, so when one dies it is known which task it had. The task is given
to another worker, up to `RETRIES` times, and then named: none is ever dropped. What a task raises
is another matter: it would raise it again, so it ends the run.
"""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from cvgl_bench.errors import CvglBenchError

Progress = Callable[[int], object]
"""Is told how many pictures were finished since the last call."""

Task = TypeVar("Task")
Result = TypeVar("Result")

RETRIES = 3

_log = logging.getLogger(__name__)


def counted(items: Iterable[Task], progress: Progress) -> Iterator[Task]:
    """The same items, each counted when the next one is asked for."""
    for item in items:
        yield item
        progress(1)


def no_progress(images: int) -> None:
    """Tell nobody."""
    del images


class Executor(Protocol):
    """Runs a function on every task and yields the results as they come."""

    def __call__(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        *,
        describe: Callable[[Task], str] | None = None,
    ) -> Iterator[Result]:
        """Run; `describe` names a task in messages."""


@dataclass(frozen=True)
class Lost:
    """What became of a task whose worker died: `reason`, to follow "its worker"."""

    reason: str


class Crew(Protocol):
    """Workers of one kind, as `run_on` uses them."""

    @property
    def slots(self) -> int:
        """How many tasks may be under way."""

    def start(self, number: int, task: object) -> None:
        """Give a task to a worker; one in `slots` is free."""

    def next(self) -> tuple[int, Any]:
        """Wait for any task: its number, and its result or what `Lost` says of it.

        Raises:
            Exception: the task raised it.
        """

    def close(self) -> None:
        """End the workers, whatever they are doing."""


def run_local(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    describe: Callable[[Task], str] | None = None,
) -> Iterator[Result]:
    """Run a function on every task and yield the results as they come.

    One worker runs in this process. More are spawned, not forked, so that no worker inherits
    another's random or thread state; the function must be importable by name.

    Args:
        function: what to run; also on the workers' side, so it must pickle.
        tasks: its arguments.
        workers: processes, at least 1.
        describe: names a task in messages; by its number if None.

    Raises:
        CvglBenchError: what the function raised, or that a task's workers died again and again.
    """
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            one_thread()
            yield function(task)
        return
    yield from run_on(_Processes(function, min(workers, len(tasks))), tasks, describe)


def run_on(
    crew: Crew, tasks: Sequence[Task], describe: Callable[[Task], str] | None = None
) -> Iterator[Any]:
    """Run every task on a crew, give the lost ones out again, and close the crew.

    A lost task goes to the end of the queue, so that one which kills its workers is given up after
    all others are done. If no task at all gets through, the run ends sooner.

    Raises:
        CvglBenchError: what a task raised, or that its workers died `RETRIES` + 1 times.
    """
    waiting, tries = deque(range(len(tasks))), Counter[int]()
    running = lost_in_a_row = 0
    try:
        while waiting or running:
            while waiting and running < crew.slots:
                number = waiting.popleft()
                tries[number] += 1
                crew.start(number, tasks[number])
                running += 1
            number, outcome = crew.next()
            running -= 1
            if not isinstance(outcome, Lost):
                lost_in_a_row = 0
                yield outcome
                continue
            lost_in_a_row += 1
            name = describe(tasks[number]) if describe else f"task {number + 1} of {len(tasks)}"
            if tries[number] > RETRIES or lost_in_a_row > RETRIES * crew.slots:
                raise CvglBenchError(
                    f"{name} was given up: its worker {outcome.reason}, after {tries[number]} "
                    f"{'try' if tries[number] == 1 else 'tries'}. What was finished is kept: run "
                    "the same command again to go on, with fewer workers if memory is short."
                )
            _log.warning("%s goes to another worker: its own %s.", name, outcome.reason)
            waiting.append(number)
    finally:
        crew.close()


class _Processes:
    """Processes of this machine, each with a pipe to it."""

    def __init__(self, function: Callable[[Any], Any], slots: int) -> None:
        self.slots = slots
        self._function = function
        self._idle: list[_Process] = []
        self._busy: dict[Connection, tuple[_Process, int]] = {}

    def start(self, number: int, task: object) -> None:
        """Give a task to an idle worker that is alive, or to a new one."""
        while self._idle:
            worker = self._idle.pop()
            if worker.give(task):
                break
            worker.end()
        else:
            worker = _Process(self._function)
            # One that dies at once is found by `next`, like one that dies later.
            worker.give(task)
        self._busy[worker.connection] = (worker, number)

    def next(self) -> tuple[int, Any]:
        """Wait for an answer, or for the end of a worker."""
        connection = wait(list(self._busy))[0]
        assert isinstance(connection, Connection)
        worker, number = self._busy.pop(connection)
        try:
            worked, outcome = connection.recv()
        except (EOFError, OSError):
            return number, Lost(worker.end())
        self._idle.append(worker)
        if not worked:
            raise outcome
        return number, outcome

    def close(self) -> None:
        """End all workers."""
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.end(patience=0)


class _Process:
    """A worker process and the driver's end of its pipe."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, function), daemon=True)
        with _without_ctrl_c():
            self._process.start()
        # Or its end would not be seen: a pipe ends when nobody holds its other side.
        theirs.close()

    def give(self, task: object) -> bool:
        """Send a task; False if the worker is dead."""
        try:
            self.connection.send(task)
        except OSError:
            return False
        return True

    def end(self, patience: float = 1) -> str:
        """Make sure that it has ended; returns how, to follow "its worker".

        Args:
            patience: seconds that it has to end by itself, as one does whose pipe has ended.
        """
        self._process.join(patience)
        self._process.terminate()
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, from their first moment: it is the driver's.

    They inherit the blocked signal; the driver gets what came meanwhile.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Answer tasks until the driver goes; a worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    one_thread()
    while True:
        try:
            connection.send(_outcome(function, connection.recv()))
        except (EOFError, OSError):
            return


def _outcome(function: Callable[[Any], Any], task: object) -> tuple[bool, Any]:
    try:
        return True, function(task)
    except (CvglBenchError, OSError) as error:
        return False, error
    except Exception:
        # A traceback does not pickle, and without it nobody could mend what is wrong.
        return False, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def one_thread() -> None:
    """Keep OpenCV to one thread: the parallelism is in the processes."""
    import cv2

    cv2.setNumThreads(1)
