"""How long the stages of work on a device take."""

import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Seconds that stages take; on CUDA by its own events, so that measuring makes nothing wait.

    Args:
        place: where the work is done.
    """

    def __init__(self, place: torch.device) -> None:
        self._on_cuda = place.type == "cuda"
        self._seconds: dict[Hashable, float] = {}
        self._running: dict[Hashable, deque[tuple[torch.cuda.Event, torch.cuda.Event]]] = {}

    @contextmanager
    def stage(self, name: Hashable) -> Iterator[None]:
        """Count what happens inside to a stage; what ends in an error is not counted."""
        if self._on_cuda:
            begin, end = _event(), _event()
            begin.record()
            yield
            end.record()
            running = self._running.setdefault(name, deque())
            running.append((begin, end))
            # Or the events of a long run would pile up.
            while running and running[0][1].query():  # type: ignore[no-untyped-call]
                self._add_events(name, *running.popleft())
        else:
            start = time.perf_counter()
            yield
            self._add(name, time.perf_counter() - start)

    def seconds(self, name: Hashable) -> float:
        """What a stage has taken so far; waits for its end on the device, and for no other's."""
        for begin, end in self._running.pop(name, deque()):
            end.synchronize()
            self._add_events(name, begin, end)
        return self._seconds.get(name, 0.0)

    @property
    def stages(self) -> dict[Hashable, float]:
        """The seconds of every stage so far; waits for the device."""
        names = [*dict.fromkeys([*self._seconds, *self._running])]
        return {name: self.seconds(name) for name in names}

    def _add_events(self, name: Hashable, begin: torch.cuda.Event, end: torch.cuda.Event) -> None:
        self._add(name, begin.elapsed_time(end) / 1000)

    def _add(self, name: Hashable, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
