"""Snow, frost, fog, low sun and spatter on the lens."""

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.blur import drag, zoom_matrix
from corruptions.ice import draw_frost, frost_picture
from corruptions.pixels import Floats, Image, gaussian, to_bytes, to_unit
from corruptions.plasma import plasma

_WATER_COLOUR = np.array([175, 238, 238]) / 255  # pale turquoise
_WATER_REACH = 20  # pixels from an outline beyond which water is evenly lit
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_MUD_COLOUR = np.array([63, 42, 20]) / 255  # brown
_MUD_EDGE = 0.8  # thinner mud is not seen


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

    The flakes are added twice, the second time turned by 180 degrees.

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
    """
    height, width = image.shape[:2]
    down, across = zoom_matrix(height, zoom), zoom_matrix(width, zoom)
    noise = mean + deviation * rng.standard_normal((height, width))
    flakes = down @ (across @ noise.T).T
    flakes = np.where(flakes < threshold, 0, np.clip(flakes, 0, 1))
    falling = drag(flakes, radius=radius, sigma=sigma, angle_degrees=rng.uniform(-135, -45))
    layer = np.round(falling[:height, :width] * 255) / 255

    unit = to_unit(image).astype(np.float32)
    grey = cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY)[..., None]
    whitened = np.maximum(unit, grey * 1.5 + 0.5)
    picture = image_weight * unit + (1 - image_weight) * whitened
    return to_bytes(picture + (layer + layer[::-1, ::-1])[..., None])


def frost(
    image: Image, rng: np.random.Generator, *, image_weight: float, frost_weight: float
) -> Image:
    """Lay a photographed sheet of ice over the picture.

    The ice is enlarged by 1.1 times what it takes to cover the image (never shrunk); the released
    CVUSA-C and CVACT_val-C enlarge it five times.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261; enlarged as in imagecorruptions.

    Args:
        image: RGB, (H, W, 3).
        rng: draws one of five ice pictures and where it is cut.
        image_weight: factor for the image.
        frost_weight: factor for the ice, added; the two need not sum to 1.
    """
    height, width = image.shape[:2]
    crop = draw_frost(height, width, rng)
    ice = frost_picture(crop.picture, height, width)
    ice = ice[crop.top : crop.top + height, crop.left : crop.left + width]
    return lay_frost(image, ice, image_weight=image_weight, frost_weight=frost_weight)


def lay_frost(image: Image, ice: Image, *, image_weight: float, frost_weight: float) -> Image:
    """Weighted sum of an image and a piece of ice of the same shape, clipped and rounded down."""
    return np.clip(image_weight * image + frost_weight * ice, 0, 255).astype(np.uint8)


def fog(image: Image, rng: np.random.Generator, *, strength: float, decay: float) -> Image:
    """Add a cloud, and darken the sum so that the brightest possible value stays what it was.

    The cloud is the top left corner of a plasma whose side is the next power of two from the
    image's longer side, so that a wide image shows a strip of one large cloud.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        strength: the cloud's brightness, where white is 1.
        decay: the nearer to 1, the rougher the cloud.
    """
    height, width = image.shape[:2]
    size = 1 << (max(height, width) - 1).bit_length()
    cloud = plasma(size, rng, decay=decay)[:height, :width, None]
    unit = to_unit(image)
    brightest = unit.max()
    return to_bytes((unit + strength * cloud) * (brightest / (brightest + strength)))


def brightness(image: Image, _rng: np.random.Generator, *, added_value: float) -> Image:
    """Raise the V of HSV and keep hue and saturation; black turns grey.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261. HSV: Smith 1978, "Color gamut transform
    pairs".

    Args:
        image: RGB, (H, W, 3).
        added_value: added to V, 0..1.
    """
    red, green, blue = np.moveaxis(to_unit(image), -1, 0)
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(spread == 0, 1, spread)
    hue = np.where(green == value, 2 + (blue - red) / divisor, (green - blue) / divisor)
    hue = np.where(blue == value, 4 + (red - green) / divisor, hue)
    hue = (hue / 6) % 1 * 6  # by way of turns, 0..1, so that it rounds as scikit-image's does
    saturation = spread / np.where(value == 0, 1, value)
    return _from_hsv(hue, saturation, np.clip(value + added_value, 0, 1))


def _from_hsv(hue: Floats, saturation: Floats, value: Floats) -> Image:
    """RGB bytes from a hue in sextants 0..6 and the rest in 0..1, each (H, W)."""
    sextant = np.floor(hue)
    fraction = hue - sextant
    low = value * (1 - saturation)
    falling = value * (1 - fraction * saturation)
    rising = value * (1 - (1 - fraction) * saturation)
    which = sextant.astype(np.intp) % 6
    red = np.choose(which, [value, falling, low, low, rising, value])
    green = np.choose(which, [rising, value, value, falling, low, low])
    blue = np.choose(which, [low, low, rising, value, value, falling])
    return to_bytes(np.stack([red, green, blue], axis=-1))


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
    """
    noise = mean + deviation * rng.standard_normal(image.shape[:2])
    liquid = gaussian(noise, sigma)
    liquid[liquid < threshold] = 0
    unit = to_unit(image).astype(np.float32)
    if mud_sigma == 0:
        water = water_strength * _water(liquid)[..., None]
        return to_bytes(unit + water * _WATER_COLOUR.astype(np.float32))
    mud = gaussian((liquid > threshold).astype(np.float32), mud_sigma)
    mud[mud < _MUD_EDGE] = 0
    return to_bytes(unit * (1 - mud[..., None]) + mud[..., None] * _MUD_COLOUR)


def _water(liquid: NDArray[np.floating]) -> NDArray[np.float32]:
    """How bright the drops are, (H, W), 1 at the brightest place of the picture.

    An embossed distance to the drops' outlines gives them a light and a dark side. A layer without
    any drop, as chance has it in pictures of a few pixels, stays 0, where imagecorruptions divides
    by zero.
    """
    layer = (liquid * 255).astype(np.uint8)
    outlines = cv2.Canny(layer, 50, 150)
    distance = cv2.distanceTransform(255 - outlines, cv2.DIST_L2, 5)
    relief = cv2.blur(np.minimum(distance, _WATER_REACH), (3, 3)).astype(np.uint8)
    embossed = cv2.filter2D(cv2.equalizeHist(relief), cv2.CV_8U, _EMBOSS)
    lit = layer * cv2.blur(embossed, (3, 3)).astype(np.float32)
    water: NDArray[np.float32] = lit / max(lit.max(), np.float32(1))
    return water
