"""Noise of the sensor: four ways in which single values go wrong, each channel by itself."""

import numpy as np

from corruptions.pixels import Image, to_bytes, to_unit


def gaussian_noise(image: Image, rng: np.random.Generator, *, deviation: float) -> Image:
    """Add normal noise, as a sensor does in the dark.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        deviation: of the noise, where white is 1.
    """
    return to_bytes(to_unit(image) + deviation * rng.standard_normal(image.shape))


def shot_noise(image: Image, rng: np.random.Generator, *, photons: float) -> Image:
    """Count photons: draw every value from a Poisson distribution around its brightness.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        photons: photons counted at full brightness; fewer is noisier.
    """
    return to_bytes(rng.poisson(to_unit(image) * photons) / photons)


def impulse_noise(image: Image, rng: np.random.Generator, *, amount: float) -> Image:
    """Lose values to black or white, equally often: salt and pepper.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        amount: share of the values that is lost, 0..1.
    """
    chance = rng.random(image.shape)
    noisy = image.copy()
    noisy[chance < amount] = 255
    noisy[chance < amount / 2] = 0
    return noisy


def speckle_noise(image: Image, rng: np.random.Generator, *, deviation: float) -> Image:
    """Add normal noise in proportion to every value, so that bright places suffer most.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261 (its extra set).

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        deviation: of the noise, relative to the value.
    """
    unit = to_unit(image)
    return to_bytes(unit + unit * (deviation * rng.standard_normal(image.shape)))
