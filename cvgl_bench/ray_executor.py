"""Work on a Ray cluster: one that runs already, or one that is started on this machine.

Ray itself would retry what a dead worker or node had; it is told not to, so that retries are
counted and worded by `run_on`, as for local processes.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from cvgl_bench.errors import CvglBenchError
from cvgl_bench.executors import Lost, Result, Task, one_thread, run_on

# Tasks queued beyond the processors, so that none waits for the driver and a cluster that grows
# with its queue has one to see.
QUEUED = 2


def run_ray(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    address: str | None = None,
    describe: Callable[[Task], str] | None = None,
) -> Iterator[Result]:
    """Run a function on every task and yield the results as they come.

    The function is imported by name on the nodes, which must have this package in the driver's
    version; paths in a task must be absolute, and mean the same on every node. A cluster that the
    caller has joined is used and left running.

    Args:
        function: what to run.
        tasks: its arguments.
        workers: tasks at a time, each on one processor; None is all that the cluster has. A
            cluster that is started here has as many, or one for each processor of the machine.
        address: of a running cluster, such as "auto" or "10.0.0.1:6379"; None starts one here.
        describe: names a task in messages; by its number if None.

    Raises:
        CvglBenchError: Ray is not installed, there is no cluster, what the function raised, or
            that a task's workers died again and again.
    """
    if tasks:
        yield from run_on(_Cluster(function, workers, address), tasks, describe)


class _Cluster:
    """The processors of a Ray cluster."""

    def __init__(
        self, function: Callable[[Any], Any], workers: int | None, address: str | None
    ) -> None:
        self._ray = import_ray()
        self._joined = not self._ray.is_initialized()
        self._workers = workers
        if self._joined:
            join(self._ray, workers, address)
        self._run = self._ray.remote(max_retries=0, num_cpus=1)(_once(function))
        self._running: dict[Any, int] = {}

    @property
    def slots(self) -> int:
        """The workers asked for, or a queue for all processors that the cluster has now."""
        if self._workers is not None:
            return self._workers
        return QUEUED * max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def start(self, number: int, task: object) -> None:
        """Queue a task."""
        self._running[self._run.remote(task)] = number

    def next(self) -> tuple[int, Any]:
        """Wait for any task."""
        (reference,), _ = self._ray.wait(list(self._running), num_returns=1)
        return self._running.pop(reference), outcome(self._ray, reference)

    def close(self) -> None:
        """End what is running, and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        if self._joined:
            self._ray.shutdown()


def _once(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def once(task: object) -> object:
        one_thread()
        return function(task)

    return once


def import_ray() -> ModuleType:
    """Ray, which reports nothing to its makers.

    Raises:
        CvglBenchError: it is not installed.
    """
    # Ray reports its use to its makers unless told otherwise; nobody here was asked.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise CvglBenchError(
            "Ray is not installed. Install the extra: pip install 'cvgl-bench[ray]'."
        ) from error


def outcome(ray: ModuleType, reference: object) -> object:
    """A finished task's result, or what `Lost` says of its worker.

    Raises:
        Exception: the task raised it.
    """
    try:
        result: object = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CvglBenchError | OSError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines() or [""]
        return Lost(f"was lost ({type(error).__name__}: {reason[0].rstrip('.')})")
    return result


def join(ray: ModuleType, workers: int | None, address: str | None) -> None:
    """Join the cluster at the address, or start one here."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [""]
        raise CvglBenchError(
            f"there is no Ray cluster to join at {address} ({reason[0].rstrip('.')}). Start one "
            "with `ray start --head`, or leave --address out."
        ) from error
