"""Snow, frost, fog, low sun and spatter on the lens."""

import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.chance import draw_key, normals
from corruptions.colours import raise_value
from corruptions.draws import number
from corruptions.gaussian import blur
from corruptions.ice import cut_frost, lay_frost
from corruptions.pixels import Image
from corruptions.plasma import plasma
from corruptions.snowfall import add_flakes, falling_flakes, noise_shape
from corruptions.splashes import splash_mud, splash_water


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
    """Let flakes fall through a whitened picture.

    floor(255 clip(w x + (1 - w) max(x, 1.5 g + 0.5) + f + rot180(f))), w the image's weight, x the
    picture and g its grey in 0..1; f normal noise, enlarged by `zoom`, set to 0 below the
    threshold, clipped, dragged along a line at -135..-45 degrees, rounded to 255 steps.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        mean: of the noise the flakes are cut from, 0..1.
        deviation: of that noise.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        image_weight: share of the picture as it was; the rest is whitened.

    Raises:
        ValueError: the zoom is not 1 to 8, the radius not 1 to 1000, or sigma not 0.01 to 10,000.
    """
    height, width = image.shape[:2]
    noise = normals(draw_key(rng), noise_shape(height, width, zoom))
    noise *= np.float32(deviation)
    noise += np.float32(mean)
    flakes = falling_flakes(
        noise,
        height,
        width,
        zoom=zoom,
        threshold=threshold,
        radius=radius,
        sigma=sigma,
        angle_degrees=rng.uniform(-135, -45),
    )
    return add_flakes(image, flakes, image_weight)


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
    """Lay a photographed sheet of ice over the picture.

    floor(clip(image_weight x + frost_weight ice, 0, 255)). The ice is enlarged bicubically by 1.1
    times what it takes to cover the image and never shrunk; where that would be a photograph of
    more than 16 megapixels, bilinearly by the next whole number, and only the piece that is seen.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261; enlarged as in imagecorruptions.

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
    ice = cut_frost(image.shape[0], image.shape[1], rng, texture=texture, top=top, left=left)
    return lay_frost(image, ice, image_weight=image_weight, frost_weight=frost_weight)


def fog(image: Image, rng: np.random.Generator, *, strength: float, decay: float) -> Image:
    """Add a cloud, and darken the sum so that the brightest possible value stays what it was.

    floor(255 clip((x + strength p) m / (m + strength))), x the picture in 0..1, m its largest
    value, p the top left corner of a plasma whose side is the next power of two from the image's
    longer side, so that a wide image shows a strip of one large cloud.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        strength: the cloud's brightness, where white is 1.
        decay: the nearer to 1, the rougher the cloud.

    Raises:
        ValueError: the strength is not 0.001 to 1000, or the decay not 1 to 100.
    """
    strength, decay = number("strength", strength, 0.001, 1000), number("decay", decay, 1, 100)
    cloud = plasma(image.shape[0], image.shape[1], draw_key(rng), decay=decay)
    brightest = float(image.max()) / 255
    share = brightest / (brightest + strength)
    foggy = np.empty(image.shape, dtype=np.uint8)
    _add_cloud(
        image.reshape(len(image), -1),
        cloud,
        np.float32(share),
        np.float32(255 * strength * share),
        foggy.reshape(len(image), -1),
    )
    return foggy


@numba.njit(cache=True, nogil=True)
def _add_cloud(
    image: Image,
    cloud: NDArray[np.float32],
    share: np.float32,
    strength: np.float32,
    foggy: Image,
) -> None:
    light = np.empty(image.shape[1], dtype=np.float32)
    for row in range(len(image)):
        for column in range(cloud.shape[1]):
            for channel in range(3):
                light[3 * column + channel] = strength * cloud[row, column]
        values, result = image[row], foggy[row]
        for place in range(values.size):
            value = share * np.float32(values[place]) + light[place]
            result[place] = np.uint8(np.int32(min(value, np.float32(255))))


def brightness(image: Image, _rng: np.random.Generator, *, added_value: float) -> Image:
    """Raise the V of HSV and keep hue and saturation; black turns grey.

    floor(255 rgb(h, s, clip(v + added_value))), (h, s, v) of x / 255.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. HSV: Smith 1978, "Color gamut transform
    pairs".

    Args:
        image: RGB, (H, W, 3).
        added_value: added to V, 0..1.

    Raises:
        ValueError: it is not.
    """
    return raise_value(image, number("added_value", added_value, 0, 1))


def spatter(
    image: Image,
    rng: np.random.Generator,
    *,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    water_strength: float,
    mud_sigma: float,
) -> Image:
    """Splash drops of water, or stains of mud where `mud_sigma` is not 0, onto the lens.

    The liquid is normal noise, blurred by `sigma`. Water: floor(255 clip(x + water_strength w c)),
    w the liquid above the threshold, lit by its embossed distance to the drops' outlines and scaled
    to at most 1, c pale turquoise. Mud: floor(255 clip((1 - m) x + m c)), m where the liquid is
    above the threshold, blurred by `mud_sigma` and 0 below 0.8, c brown.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261 (its extra set).

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        mean: of the noise the drops are cut from, 0..1.
        deviation: of that noise.
        sigma: size of a drop, in pixels.
        threshold: noise below it, once blurred by sigma, is no drop.
        water_strength: brightness of the water where it is brightest, 0..1.
        mud_sigma: softness of the mud's edges in pixels, or 0 for water.

    Raises:
        ValueError: the deviation is not 0.0001 to 100, or a sigma not 0.01 to 1000.
    """
    deviation = number("deviation", deviation, 1e-4, 100)
    noise = normals(draw_key(rng), image.shape[:2])
    blur(noise, sigma)
    if mud_sigma:
        return splash_mud(image, noise, (threshold - mean) / deviation, mud_sigma)
    return splash_water(
        image,
        noise,
        mean=mean,
        deviation=deviation,
        threshold=threshold,
        strength=water_strength,
    )
