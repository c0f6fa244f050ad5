"""How hard a training's second views are: narrower and more often turned as it goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from cvgl_bench.errors import ModelError, unknown

Shape = Literal["linear", "fast-to-slow", "slow-to-fast"]
Degrees = Annotated[float, Field(gt=0, le=360)]
Probability = Annotated[float, Field(ge=0, le=1)]
Steepness = Annotated[float, Field(gt=0, le=100)]


def _fast_to_slow(share: float, steepness: float) -> float:
    return expm1(-steepness * share) / expm1(-steepness)


# (e^(l x) - 1) / (e^l - 1) is the other curve seen from the end, which cannot overflow.
_CURVES: Final[dict[str, Callable[[float, float], float]]] = {
    "linear": lambda share, _: share,
    "fast-to-slow": _fast_to_slow,
    "slow-to-fast": lambda share, steepness: 1 - _fast_to_slow(1 - share, steepness),
}


def curve(share: float, shape: Shape, steepness: float = 5.0) -> float:
    """Say how much of the way is gone after a share of the training.

    Args:
        share: of the training, x in 0..1.
        shape: "linear" is x, "fast-to-slow" (1 - e^(-l x)) / (1 - e^(-l)), "slow-to-fast"
            (e^(l x) - 1) / (e^l - 1).
        steepness: l, above 0; "linear" has none.

    Returns:
        In 0..1, rising from 0 at the start to 1 at the end.

    Source: Chen et al. 2026, arXiv:2603.09377; l = 5 from its released code.

    Raises:
        ModelError: there is no such shape.
        ValueError: the share is not in 0..1 or the steepness not above 0.
    """
    if shape not in _CURVES:
        raise ModelError(unknown("curriculum shape", shape, _CURVES))
    if not (0 <= share <= 1 and steepness > 0):
        raise ValueError(f"no curve at {share} of a training with a steepness of {steepness}")
    return _CURVES[shape](share, steepness)


@dataclass(frozen=True)
class Stage:
    """The second views at one time of a training.

    Attributes:
        fov_degrees: how much of the panorama is left, in (0, 360].
        rotation: probability that a tile is turned, in 0..1.
    """

    fov_degrees: float
    rotation: float


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Curriculum:
    """From which second views to which, and how fast.

    Attributes:
        first_fov: field of view at the start, degrees.
        last_fov: at the end.
        first_rotation: probability that a tile is turned, at the start.
        last_rotation: at the end.
        shape: of the way between them; see `curve`.
        steepness: of the bent shapes.
    """

    first_fov: Degrees
    last_fov: Degrees
    first_rotation: Probability
    last_rotation: Probability
    shape: Shape = "linear"
    steepness: Steepness = 5.0

    def at(self, share: float) -> Stage:
        """Find the second views of one time.

        Args:
            share: epoch / epochs, in 0..1. Epochs count from 1, so that the last epoch has the last
                views and the first is one step on its way.

        Raises:
            ValueError: the share is not in 0..1.
        """
        gone = curve(share, self.shape, self.steepness)
        return Stage(
            fov_degrees=_between(self.first_fov, self.last_fov, gone),
            rotation=_between(self.first_rotation, self.last_rotation, gone),
        )


def _between(first: float, last: float, gone: float) -> float:
    return float(np.interp(gone, (0.0, 1.0), (first, last)))


# Chen et al. 2026. A summary of the paper has rotation rise from 0.25 to 1; this is its code.
SINGEO: Final = Curriculum(360.0, 70.0, 0.0, 0.75, "linear")
