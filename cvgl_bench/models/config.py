"""What a reference model's network is made of; stands in its checkpoint."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvgl_bench.errors import ModelError, first_fault

Pixels = Annotated[int, Field(ge=16, le=2048)]
Options = TypeVar("Options")
# Of the factor on similarities, before training; Radford et al. 2021, arXiv:2103.00020.
FIRST_LOG_SCALE = math.log(1 / 0.07)


class Config(BaseModel):
    """A network of one of the reference methods.

    Attributes:
        method: its name in `MODELS`.
        backbone: timm's name.
        backbone_options: passed on to timm.
        ground_size: rows and columns of a whole panorama; a narrow view has its share of columns.
        aerial_size: rows and columns of a tile.
        antialias: whether pictures are smoothed before they are shrunk.
        narrow: "crop" gives the network a narrow view as it is, "pad" in a panorama of noughts.
        options: the method's own; see its options class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    backbone: str
    backbone_options: dict[str, Any] = {}
    ground_size: tuple[Pixels, Pixels] = (140, 768)
    aerial_size: tuple[Pixels, Pixels] = (384, 384)
    antialias: bool = False
    narrow: Literal["crop", "pad"] = "crop"
    options: dict[str, Any] = {}


def options_of(kind: type[Options], config: Config) -> Options:
    """Read a configuration's own options.

    Args:
        kind: the method's options class.
        config: names the method.

    Raises:
        ModelError: an option is unknown or has a value that it cannot have.
    """
    options: Mapping[str, Any] = config.options
    try:
        return kind(**options)
    except ValidationError as error:
        raise ModelError(f"{config.method}'s options: {first_fault(error)}") from error
