"""Snow and frost of the released CVUSA-C and CVACT_val-C."""

import cv2
import numpy as np

from corruptions.draws import whole
from corruptions.ice import FROST_PICTURES, enlarged_cut, frost_texture, lay_frost
from corruptions.pixels import Image, to_bytes, to_unit
from corruptions.published_lines import drag, row_bands, stretch_plane

_ENLARGED = 5  # of ImageNet-C's ice, so that it covers a panorama


def snow(
    image: Image,
    rng: np.random.Generator,
    *,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    image_weight: float,
) -> Image:
    """Let flakes fall through a whitened picture, as ImageNet-C does by way of ImageMagick.

    Flakes are normal noise, zoomed, cut off below a threshold, clipped, rounded down to bytes and
    dragged down by ImageMagick at 16 bits a channel. With f such a layer in 0..1, x the picture and
    g its grey: floor(255 clip(w x + (1 - w) max(x, 1.5 g + 0.5) + f + rot180(f), 0, 1)).

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. Which noise the released files had is
    not known; their brightness fits this better than flakes that are rounded to the nearest byte.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance: the noise, then the angle, uniform in -135..-45 degrees.
        mean: of the noise the flakes are cut from, 0..1.
        deviation: of that noise.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        image_weight: share w of the picture as it was; the rest is whitened.
    """
    noise = mean + deviation * rng.standard_normal(image.shape[:2])
    flakes = stretch_plane(noise, zoom)
    flakes[flakes < threshold] = 0
    layer = drag(to_bytes(flakes), radius=radius, sigma=sigma, angle_degrees=rng.uniform(-135, -45))
    turned = layer[::-1, ::-1]
    snowy = np.empty_like(image)
    for rows in row_bands(len(image), image[0].size):
        unit = to_unit(image[rows]).astype(np.float32)
        grey = cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY)[..., None]
        whitened = np.maximum(unit, grey * 1.5 + 0.5)
        picture = image_weight * unit + (1 - image_weight) * whitened
        falling = (layer[rows] / 255.0)[..., None]
        snowy[rows] = to_bytes(picture + falling + (turned[rows] / 255.0)[..., None])
    return snowy


def frost(
    image: Image,
    rng: np.random.Generator,
    *,
    image_weight: float,
    frost_weight: float,
    texture: int | None = None,
    top: int | None = None,
    left: int | None = None,
) -> Image:
    """Lay a photographed sheet of ice, enlarged five times, over the picture.

    floor(clip(image_weight x + frost_weight ice, 0, 255)), the ice cut at random from one of five
    photographs that bilinear interpolation has enlarged five times; by the next whole number that
    will do where five times does not cover the picture, which no released picture needs.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. The enlargement was measured on
    released files; every one whose draws were found is this one to the byte.

    Args:
        image: RGB, (H, W, 3).
        rng: draws what is not given, in the order of the arguments.
        image_weight: factor for the image.
        frost_weight: factor for the ice, added; the two need not sum to 1.
        texture: 1 to 5, as in the photographs' file names.
        top: first row of the cut, in the enlarged photograph.
        left: first column of the cut.

    Raises:
        ValueError: what is given lies outside the photograph.
    """
    height, width = image.shape[:2]
    number = rng.integers(len(FROST_PICTURES)) + 1 if texture is None else texture
    number = whole("texture", number, 1, len(FROST_PICTURES))
    ice = frost_texture(number - 1)
    scale = enlargement(ice, height, width)
    last_top, last_left = ice.shape[0] * scale - height, ice.shape[1] * scale - width
    top = whole("top", rng.integers(last_top) if top is None else top, 0, last_top)
    left = whole("left", rng.integers(last_left) if left is None else left, 0, last_left)

    frosted = np.empty_like(image)
    for rows in row_bands(height, 3 * width):
        ice_rows = slice(top + rows.start, top + rows.stop)
        cut = enlarged_cut(ice, scale, ice_rows, slice(left, left + width))
        frosted[rows] = lay_frost(
            image[rows], cut, image_weight=image_weight, frost_weight=frost_weight
        )
    return frosted


def enlargement(ice: Image, height: int, width: int) -> int:
    """How often a photograph is enlarged to cut (height, width) from it: five times or more."""
    cover: int = max(height // ice.shape[0], width // ice.shape[1]) + 1
    return max(_ENLARGED, cover)
