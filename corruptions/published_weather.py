"""Snow and frost of the released CVUSA-C and CVACT_val-C."""

import numpy as np

from corruptions.ice import choose_picture, covering, cut_enlarged, frost_texture, lay_frost
from corruptions.pixels import Image, to_bytes
from corruptions.published_lines import drag, stretch_plane
from corruptions.snowfall import add_flakes

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
    return add_flakes(image, layer, image_weight)


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
    ice = frost_texture(choose_picture(rng, texture))
    scale = enlargement(ice, height, width)
    cut = cut_enlarged(ice, scale, (height, width), rng, top=top, left=left)
    return lay_frost(image, cut, image_weight=image_weight, frost_weight=frost_weight)


def enlargement(ice: Image, height: int, width: int) -> int:
    """How often a photograph is enlarged to cut (height, width) from it: five times or more."""
    return max(_ENLARGED, covering(ice, height, width))
