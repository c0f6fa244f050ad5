"""Embedding on a Ray cluster: an actor for each GPU, or for each processor where there is none.

An actor holds the model and embeds a unit (the gallery, or one cell) at a time. The driver writes
what comes back, so that the run's folder and the cache need not be seen by the nodes; pictures,
weights and a model's own file must be, under the same absolute paths.
"""

import dataclasses
import platform
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl_bench.elsewhere import Embedded, Task
from cvgl_bench.embedding_identity import images_of
from cvgl_bench.embedding_run import refuse_too_wide
from cvgl_bench.errors import ModelError
from cvgl_bench.executors import Lost, run_on
from cvgl_bench.ray_executor import import_ray, join, outcome

if TYPE_CHECKING:
    from cvgl_bench.datasets import Dataset
    from cvgl_bench.embedding import Device, Precision
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.pictures import Pictures
    from cvgl_bench.suite import Cell, Suite


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """Where every node gets the model from.

    Attributes:
        name: a name in `models.MODELS`, or `/absolute/file.py:ClassName`.
        weights: an absolute path; None for a model that has none or brings its own.
    """

    name: str
    weights: Path | None = None


@dataclasses.dataclass(frozen=True)
class RayEmbedding:
    """Embeds on a Ray cluster, see `elsewhere.Elsewhere`.

    Attributes:
        model: where the nodes get it from.
        workers: actors; None is one for each GPU of the cluster or, without one, each processor.
        address: of a running cluster, such as "auto" or "10.0.0.1:6379"; None starts one here.
        device: "cpu" leaves the GPUs alone, "cuda" insists on them.
    """

    model: ModelSource
    workers: int | None = None
    address: str | None = None
    device: "Device" = "auto"

    def embed(
        self, job: "Evaluation", tasks: Sequence[Task], *, batch_size: int, max_memory: int | None
    ) -> Iterator[Embedded]:
        """Embed units, and yield them as they come.

        Raises:
            CvglBenchError: Ray is not installed, there is no cluster or no GPU, a unit cannot be
                embedded, or its actors died again and again.
        """
        work = _Work(
            *(job.suite, job.dataset, job.pictures, job.cells, job.precision),
            *(self.model, batch_size, max_memory),
        )
        crew = _Actors(work, len(tasks), self)
        yield from run_on(crew, tasks, lambda task: f"the embedding of {task[0]}")


@dataclasses.dataclass(frozen=True)
class _Work:
    """An evaluation as it travels: without its model, which every actor loads itself."""

    suite: "Suite"
    dataset: "Dataset"
    pictures: "Pictures"
    cells: Sequence["Cell"]
    precision: "Precision"
    model: ModelSource
    batch_size: int
    max_memory: int | None


class Encoder:
    """An actor: a model on one GPU or processor."""

    def __init__(self, work: _Work, device: "Device") -> None:
        from cvgl_bench.batch_size import BatchSize

        self._work = work
        self._device = device
        self._size = BatchSize(work.batch_size)

    # Not in the constructor, whose errors Ray words as the actor's death.
    @cached_property
    def _job(self) -> "Evaluation":
        from cvgl_bench.evaluation import Evaluation
        from cvgl_bench.models import load

        work = self._work
        adapter = load(work.model.name, work.model.weights)
        what = work.suite, work.dataset, work.pictures, work.cells
        return Evaluation(*what, adapter, work.precision)

    @cached_property
    def _identity(self) -> dict[str, Any] | None:
        from cvgl_bench.embedding_identity import model_identity

        return model_identity(self._job.adapter)

    def embed(self, task: Task) -> Embedded:
        """Embed a unit.

        Raises:
            CvglBenchError: it cannot be embedded, or the model here is not the driver's.
        """
        from cvgl_bench.embedding import Encoding, embed_batches, resolve_device
        from cvgl_bench.evaluation_folder import environment_of

        unit, hashes = task
        if unit.is_reusable and unit.identity["model"] != self._identity:
            raise ModelError(
                f"{self._work.model.name} on {platform.node()} is not what it is where this "
                "command runs: every node needs the same weights, model file and version of "
                "cvgl-bench."
            )
        seconds: list[float] = []
        parts = []
        place = resolve_device(self._device)
        how = unit.side, place, unit.fov_degrees, self._work.precision
        encoding = Encoding(self._job.adapter, *how)
        images = images_of(self._job, unit, hashes)
        for rows in embed_batches(encoding, images, size=self._size, clock=seconds.append):
            refuse_too_wide(self._job, rows.shape[1], self._work.max_memory)
            parts.append(rows)
        environment = environment_of(str(place))
        return Embedded(unit, np.concatenate(parts), sum(seconds), environment, self._size.now)


class _Actors:
    """The actors of a Ray cluster, as `executors.run_on` uses them."""

    def __init__(self, work: _Work, tasks: int, options: RayEmbedding) -> None:
        self._ray = import_ray()
        self._joined = not self._ray.is_initialized()
        if self._joined:
            join(self._ray, options.workers, options.address)
        has = self._ray.cluster_resources()
        gpus = 0 if options.device == "cpu" else int(has.get("GPU", 0))
        if options.device == "cuda" and not gpus:
            self.close()
            raise ModelError(
                "device 'cuda' was asked for, but the Ray cluster has no GPU: use --device cpu, or "
                "join one that has."
            )
        self.slots = min(tasks, options.workers or gpus or max(1, int(has.get("CPU", 1))))
        self._work = self._ray.put(work)
        self._device: Device = "cuda" if gpus else "cpu"
        self._class = self._ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(Encoder)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, int]] = {}

    def start(self, number: int, task: object) -> None:
        """Give a unit to an idle actor, or to a new one."""
        actor = self._idle.pop() if self._idle else self._class.remote(self._work, self._device)
        self._busy[actor.embed.remote(task)] = (actor, number)

    def next(self) -> tuple[int, Any]:
        """Wait for any unit."""
        (reference,), _ = self._ray.wait(list(self._busy), num_returns=1)
        actor, number = self._busy.pop(reference)
        made = outcome(self._ray, reference)
        if not isinstance(made, Lost):  # or the actor is dead, and the unit gets another one
            self._idle.append(actor)
        return number, made

    def close(self) -> None:
        """End the actors, and leave the cluster."""
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)
        if self._joined:
            self._ray.shutdown()
