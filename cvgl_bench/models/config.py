"""What a reference model's network is made of; stands in its checkpoint."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Pixels = Annotated[int, Field(ge=16, le=8192)]


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
