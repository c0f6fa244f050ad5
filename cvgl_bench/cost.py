"""What a model costs: time, arithmetic and memory, as they were measured on one machine."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

# Beyond what any machine or model has, so that a forged record cannot widen a table.
_Milliseconds = Annotated[float, Field(gt=0, le=1_000_000)]
_Count = Annotated[int, Field(ge=0, le=10**18)]
_Side = Annotated[int, Field(ge=1, le=1_000_000)]


class Cost(BaseModel):
    """What a model costs on one machine; docs/protocol.md says how each number is measured.

    Attributes:
        latency_ms: median time of one ground picture alone, from its decoded bytes on the host to
            its descriptor on the host.
        latency_p95_ms: the 95th percentile of the same.
        images_per_second: ground pictures a second, in batches.
        parameters: of the model's networks, each counted once; None where it has none.
        flops_ground: of one ground picture, two for each multiplication with addition; None where
            torch does not see the arithmetic.
        flops_aerial: of one aerial picture, likewise.
        descriptor_bytes: of one descriptor as it is scored, in float32.
        peak_memory_bytes: of one batch of ground pictures, weights included; None where torch does
            not see it.
        device: where the model ran.
        device_name: of the GPU, or of the processor.
        threads: that torch used on the processor.
        batch_size: ground pictures at a time, for `images_per_second` and `peak_memory_bytes`.
        ground_size: height and width of the ground picture.
        aerial_size: height and width of the aerial picture.
        fov_degrees: how much of the panorama the ground picture shows.
        precision: of the arithmetic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    latency_ms: _Milliseconds
    latency_p95_ms: _Milliseconds
    images_per_second: Annotated[float, Field(gt=0, le=1e9)]
    parameters: _Count | None
    flops_ground: _Count | None
    flops_aerial: _Count | None
    descriptor_bytes: Annotated[int, Field(ge=4, le=2**40, multiple_of=4)]
    peak_memory_bytes: _Count | None
    device: Literal["cpu", "cuda"]
    # A spreadsheet takes what begins with a sign for a formula.
    device_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][ -~]{0,99}$")]
    threads: _Side
    batch_size: _Side
    ground_size: tuple[_Side, _Side]
    aerial_size: tuple[_Side, _Side]
    fov_degrees: Annotated[float, Field(gt=0, le=360)]
    precision: Literal["float32", "bfloat16"]

    @model_validator(mode="after")
    def _median_is_below(self) -> Self:
        if self.latency_ms > self.latency_p95_ms:
            raise ValueError("the median latency is above its 95th percentile")
        return self

    @property
    def machine(self) -> str:
        """What times were measured on; only those of one machine compare."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = self.device_name if self.device == "cuda" else f"{self.device_name}, {threads}"
        return where if self.precision == "float32" else f"{where}, {self.precision}"


@dataclass(frozen=True)
class Measure:
    """A number of a cost, as tables show it.

    Attributes:
        key: its column in files.
        title: its head.
        short: its head where there is little room.
        decimals: how many it is shown with.
        of: the number; None where it is not known.
        of_machine: whether another machine gives another number.
    """

    key: str
    title: str
    short: str
    decimals: int
    of: Callable[[Cost], float | None]
    of_machine: bool = False

    def text(self, cost: Cost | None) -> str:
        """The number as it is shown; "" where it is not known."""
        value = None if cost is None else self.of(cost)
        return "" if value is None else f"{value:.{self.decimals}f}"


def _in(unit: float, value: int | None) -> float | None:
    return None if value is None else value / unit


MEASURES: Final = (
    Measure("latency_ms", "latency, ms", "ms", 2, lambda cost: cost.latency_ms, True),
    Measure(
        "latency_p95_ms", "latency p95, ms", "p95 ms", 2, lambda cost: cost.latency_p95_ms, True
    ),
    Measure("images_per_second", "images/s", "img/s", 1, lambda cost: cost.images_per_second, True),
    Measure("parameters_m", "parameters, M", "Param. M", 3, lambda cost: _in(1e6, cost.parameters)),
    Measure(
        "gflops_ground",
        "GFLOPs ground",
        "GFLOPs g.",
        3,
        lambda cost: _in(1e9, cost.flops_ground),
    ),
    Measure(
        "gflops_aerial",
        "GFLOPs aerial",
        "GFLOPs a.",
        3,
        lambda cost: _in(1e9, cost.flops_aerial),
    ),
    Measure("descriptor_bytes", "descriptor, B", "Descr. B", 0, lambda cost: cost.descriptor_bytes),
    Measure(
        "peak_memory_mib",
        "memory, MiB",
        "Mem. MiB",
        1,
        lambda cost: _in(2**20, cost.peak_memory_bytes),
        True,
    ),
)


def describe_cost(cost: Cost) -> str:
    """Say in a sentence what a model costs; what is not known is left out."""
    seen = {measure.key: measure.text(cost) for measure in MEASURES}
    height, width = cost.ground_size
    memory = f" ({seen['peak_memory_mib']} MiB)" if seen["peak_memory_mib"] else ""
    parts = [
        f"{seen['latency_ms']} ms for a picture of {width} x {height} alone (p95 "
        f"{seen['latency_p95_ms']})",
        f"{seen['images_per_second']} pictures/s in batches of {cost.batch_size}{memory}",
    ]
    if seen["parameters_m"]:
        parts.append(f"{seen['parameters_m']} M parameters")
    parts += [
        f"{seen[f'gflops_{side}']} GFLOPs {article} {side} picture"
        for side, article in (("ground", "a"), ("aerial", "an"))
        if seen[f"gflops_{side}"]
    ]
    parts.append(f"{seen['descriptor_bytes']} bytes a descriptor")
    return f"Cost on {cost.machine}: {', '.join(parts)}."
