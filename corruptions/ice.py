"""The ice pictures that frost lays over an image, enlarged and kept for the next one."""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from corruptions.pixels import Image

TEXTURES = Path(__file__).parent / "textures"

# ImageNet-C ships six pictures and draws one of the first five; the sixth is never used.
FROST_PICTURES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")

_COVER = 1.1  # the enlarged picture is that much larger than the image


class FrostCrop(NamedTuple):
    """Where the ice of one image comes from: which of FROST_PICTURES, and the cut's corner."""

    picture: int
    top: int
    left: int


def draw_frost(height: int, width: int, rng: np.random.Generator) -> FrostCrop:
    """Draw an ice picture and where to cut (height, width) from its enlarged version."""
    picture = int(rng.integers(len(FROST_PICTURES)))
    ice_height, ice_width = frost_picture(picture, height, width).shape[:2]
    top = int(rng.integers(ice_height - height))
    return FrostCrop(picture, top, int(rng.integers(ice_width - width)))


@lru_cache(maxsize=2 * len(FROST_PICTURES))
def frost_picture(picture: int, height: int, width: int) -> Image:
    """One of FROST_PICTURES, enlarged to cover (height, width) 1.1 times; RGB, read-only."""
    ice = frost_texture(picture)
    cover = _COVER * max(1.0, height / ice.shape[0], width / ice.shape[1])
    size = (math.ceil(ice.shape[1] * cover), math.ceil(ice.shape[0] * cover))
    enlarged: Image = np.asarray(cv2.resize(ice, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    enlarged.flags.writeable = False
    return enlarged


@lru_cache(maxsize=len(FROST_PICTURES))
def frost_texture(picture: int) -> Image:
    """One of FROST_PICTURES as it is in its file; RGB, read-only."""
    data = np.frombuffer((TEXTURES / FROST_PICTURES[picture]).read_bytes(), dtype=np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"{FROST_PICTURES[picture]} in {TEXTURES} is damaged; install it again.")
    texture: Image = np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)
    texture.flags.writeable = False
    return texture
