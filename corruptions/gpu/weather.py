"""Snow, frost, fog, low sun and spatter, value for value those of `corruptions.weather`."""

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import number
from corruptions.gaussian import half_gaussian
from corruptions.gpu import tables
from corruptions.gpu.chance import draw_keys, normals
from corruptions.gpu.colours import raise_value
from corruptions.gpu.ice import cut_frost, lay_frost
from corruptions.gpu.noise import Rngs
from corruptions.gpu.plasma import plasma
from corruptions.gpu.sampling import mix_pairs
from corruptions.gpu.snowfall import add_flakes, falling_flakes
from corruptions.gpu.splashes import splash_mud, splash_water
from corruptions.snowfall import noise_shape


def snow(
    images: Tensor,
    rngs: Rngs,
    *,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    image_weight: float,
) -> Tensor:
    """Let flakes fall through whitened pictures: `corruptions.weather.snow` of every picture.

    Angles are drawn on the host, which moves 20 bytes a sample of each fall, up to 600 a picture,
    and a key.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        mean: of the noise the flakes are cut from, 0..1.
        deviation: of that noise.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        image_weight: share of the picture as it was; the rest is whitened.
    """
    height, width = images.shape[2:]
    noise = normals(draw_keys(rngs, images.device), *noise_shape(height, width, zoom))
    noise.mul_(float(np.float32(deviation))).add_(float(np.float32(mean)))
    flakes = falling_flakes(
        noise,
        height,
        width,
        zoom=zoom,
        threshold=threshold,
        radius=radius,
        sigma=sigma,
        angles=[rng.uniform(-135, -45) for rng in rngs],
    )
    return add_flakes(images, flakes, image_weight)


def frost(images: Tensor, rngs: Rngs, *, image_weight: float, frost_weight: float) -> Tensor:
    """Lay photographed ice over the pictures: `corruptions.weather.frost` of every picture.

    Photographs are enlarged on the host and kept on the device, five of up to 48 MB each a size;
    where they would be larger than that, each picture's piece is moved, 3 bytes a pixel.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        image_weight: factor for the picture.
        frost_weight: factor for the ice.
    """
    height, width = images.shape[2:]
    ice = torch.stack([cut_frost(height, width, rng, images.device) for rng in rngs])
    return lay_frost(images, ice, image_weight=image_weight, frost_weight=frost_weight)


def fog(images: Tensor, rngs: Rngs, *, strength: float, decay: float) -> Tensor:
    """Add a cloud and darken the sum: `corruptions.weather.fog` of every picture.

    Moves a key a picture to the device.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        strength: the cloud's brightness, where white is 1.
        decay: the nearer to 1, the rougher the cloud.
    """
    strength, decay = number("strength", strength, 0.001, 1000), number("decay", decay, 1, 100)
    device, real = images.device, tables.precise(images.device)
    height, width = images.shape[2:]
    cloud = plasma(height, width, draw_keys(rngs, device), decay=decay)
    brightest = images.amax((1, 2, 3)).to(real) / tables.number(255, device)
    share = brightest / (brightest + strength)
    own, added = (
        factor.to(torch.float32)[:, None, None, None] for factor in (share, 255 * strength * share)
    )
    light = cloud[:, None] * added
    return tables.to_bytes((images * own).add_(light))


def brightness(images: Tensor, _rngs: Rngs, *, added_value: float) -> Tensor:
    """Raise the V of HSV: `corruptions.weather.brightness` of every picture.

    Moves nothing.

    Args:
        images: (B, 3, H, W), uint8.
        added_value: added to V, 0..1.
    """
    return raise_value(images, number("added_value", added_value, 0, 1))


def spatter(
    images: Tensor,
    rngs: Rngs,
    *,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    water_strength: float,
    mud_sigma: float,
) -> Tensor:
    """Splash water, or mud where `mud_sigma` is not 0: `corruptions.weather.spatter`.

    Moves a key a picture to the device. Water asks the device, every few rounds of following the
    drops' outlines, whether they are followed to their ends: one byte back each time.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        mean: of the noise the drops are cut from, 0..1.
        deviation: of that noise.
        sigma: size of a drop, in pixels.
        threshold: noise below it, once blurred by sigma, is no drop.
        water_strength: brightness of the water where it is brightest, 0..1.
        mud_sigma: softness of the mud's edges in pixels, or 0 for water.
    """
    deviation = number("deviation", deviation, 1e-4, 100)
    noise = _blurred(normals(draw_keys(rngs, images.device), *images.shape[2:]), sigma)
    if mud_sigma:
        mud = (noise > float(np.float32((threshold - mean) / deviation))).to(torch.float32)
        return splash_mud(images, _blurred(mud, mud_sigma))
    liquid = noise.mul_(float(np.float32(deviation))).add_(float(np.float32(mean)))
    return splash_water(images, liquid, threshold=threshold, strength=water_strength)


def _blurred(planes: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of (B, H, W), float32."""
    weights = half_gaussian(sigma).astype(np.float32)
    return mix_pairs(mix_pairs(planes, 1, weights), 2, weights)
