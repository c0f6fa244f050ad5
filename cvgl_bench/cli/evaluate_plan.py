"""What `cvgl-bench evaluate` is asked, and the evaluation that it comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from cvgl_bench.evaluation import Evaluation
    from cvgl_bench.record import Record
    from cvgl_bench.suite import Suite


@dataclass(frozen=True)
class Asked:
    """The options of `cvgl-bench evaluate`, by their names."""

    suite: str
    model: str
    data: Path
    set_folder: Path | None
    on_the_fly: bool
    corrupt_on: Literal["auto", "cpu", "device"] | None
    weights: Path | None
    out: Path | None
    device: Literal["auto", "cpu", "cuda"]
    batch_size: int
    precision: Literal["float32", "bfloat16"]
    workers: int | None
    executor: Literal["local", "ray"]
    address: str | None
    cache: Path | None
    max_memory: int | None
    shard: tuple[int, int]
    reference: Path | None
    attention: int | None
    layer: str
    profile: Literal["standard", "published"] | None
    cost: bool
    quiet: bool
    views: tuple[str, ...] | None
    corruptions: tuple[str, ...] | None
    severities: tuple[int, ...] | None
    partial: bool

    def anywhere(self) -> Asked:
        """The same, found from any folder if it runs on Ray, whose actors may be in another."""
        if self.executor != "ray":
            return self
        return replace(
            self,
            model=absolute(self.model),
            data=self.data.absolute(),
            set_folder=self.set_folder and self.set_folder.absolute(),
            weights=self.weights and self.weights.absolute(),
        )


def refuse_pairs(given: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    local = given["executor"] == "local"
    wrong = {
        "give one of --set DIR and --on-the-fly.": given["on_the_fly"]
        == (given["set_folder"] is not None),
        "--corrupt-on is for --on-the-fly: a set's pictures are made already.": given["corrupt_on"]
        and not given["on_the_fly"],
        "--reference is for the tables that --quiet leaves out.": given["quiet"]
        and given["reference"],
        "--layer is for the maps that --attention makes.": given["layer"]
        and given["attention"] is None,
        "--workers and --address are of a Ray cluster; add --executor ray.": local
        and not (given["workers"] is None and given["address"] is None),
    }
    for sentence, holds in wrong.items():
        if holds:
            raise click.UsageError(sentence)


def plan(asked: Asked, suite: Suite) -> Evaluation:
    """Find data, model and cells, and refuse what does not go together.

    Raises:
        CvglBenchError: something is missing, or does not fit the suite.
    """
    from cvgl_bench.datasets import refuse_views
    from cvgl_bench.evaluation import Arithmetic, plan_evaluation
    from cvgl_bench.models import load

    views, corruptions, severities = asked.views, asked.corruptions, asked.severities
    chosen = None
    if not (views is None and corruptions is None and severities is None):
        chosen = suite.select(views=views, corruptions=corruptions, severities=severities)
    on = who_corrupts(
        asked.corrupt_on or "auto", suite, "cpu" if asked.executor == "ray" else asked.device
    )
    job = plan_evaluation(
        suite,
        asked.data,
        load(asked.model, asked.weights),
        set_folder=asked.set_folder,
        cells=chosen,
        partial=asked.partial,
        arithmetic=Arithmetic(on, asked.precision),
    )
    if asked.attention is not None:
        # It turns the queries.
        refuse_views(job.dataset, ["heading90"])
    return job


def read_baseline(path: Path | None, suite: Suite) -> Record | None:
    """Read the record whose errors count as 100 in mCE.

    Raises:
        RecordError: it cannot be read, or is of another suite.
    """
    from cvgl_bench.errors import RecordError
    from cvgl_bench.record import read_record

    if path is None:
        return None
    record = read_record(path)
    if record.fingerprint != suite.fingerprint:
        theirs, ours = (f"{s.label}, profile {s.profile}" for s in (record.suite, suite))
        raise RecordError(f"{path} is of {theirs}, not of {ours}, as it is defined here.")
    return record


def who_corrupts(
    asked: Literal["auto", "cpu", "device"], suite: Suite, device: Literal["auto", "cpu", "cuda"]
) -> Literal["cpu", "device"]:
    """Who corrupts on the fly: a device by itself only where it is faster and has the codec."""
    from cvgl_bench.embedding import resolve_device
    from cvgl_bench.makers import CODEC_OF_DEVICES

    if asked != "auto":
        return asked
    on_gpu = resolve_device(device).type == "cuda"
    return "device" if on_gpu and suite.codec == CODEC_OF_DEVICES else "cpu"


def absolute(model: str) -> str:
    """The same model, named so that it is found from any folder."""
    file, colon, class_name = model.rpartition(":")
    return f"{Path(file).absolute()}:{class_name}" if colon else model
