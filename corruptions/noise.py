"""Noise of the sensor: four ways in which single values go wrong, each channel by itself.

Three are tables of probabilities: of what is added to a byte, or of what becomes of each byte.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import stats

from corruptions.chance import Table, alias_tables, draw_key, shift, strike, transform
from corruptions.draws import number
from corruptions.pixels import Floats, Image, to_bytes

_LEVELS = np.arange(256)


def gaussian_noise(image: Image, rng: np.random.Generator, *, deviation: float) -> Image:
    """Add normal noise, as a sensor does in the dark.

    floor(255 clip(x / 255 + deviation z)), z standard normal.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        deviation: of the noise, where white is 1.

    Raises:
        ValueError: it is not 0.0001 to 100.
    """
    table = tables_of(gaussian_law, number("deviation", deviation, 1e-4, 100))[0]
    noisy = np.empty(image.shape, dtype=np.uint8)
    shift(image.reshape(-1), draw_key(rng), table, noisy.reshape(-1))
    return noisy


def shot_noise(image: Image, rng: np.random.Generator, *, photons: float) -> Image:
    """Count photons: draw every value from a Poisson distribution around its brightness.

    floor(255 clip(n / photons)), n Poisson with mean photons x / 255.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        photons: photons counted at full brightness; fewer is noisier.

    Raises:
        ValueError: they are not 0.01 to 100,000.
    """
    return _draw(image, rng, shot_law, number("photons", photons, 0.01, 100_000))


def impulse_noise(image: Image, rng: np.random.Generator, *, amount: float) -> Image:
    """Lose values to black or white, equally often: salt and pepper.

    0 and 255 with probability amount / 2 each, else x.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261.

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        amount: share of the values that is lost, 0..1.

    Raises:
        ValueError: it is not.
    """
    amount = number("amount", amount, 0, 1)
    noisy = np.empty(image.shape, dtype=np.uint8)
    black, changed = (
        np.uint32(min(round(share * 2**32), 2**32 - 1)) for share in (amount / 2, amount)
    )
    strike(image.reshape(-1), draw_key(rng), black, changed, noisy.reshape(-1))
    return noisy


def speckle_noise(image: Image, rng: np.random.Generator, *, deviation: float) -> Image:
    """Add normal noise in proportion to every value, so that bright places suffer most.

    floor(255 clip(x / 255 (1 + deviation z))), z standard normal.

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261 (its extra set).

    Args:
        image: RGB, (H, W, 3).
        rng: the only source of chance.
        deviation: of the noise, relative to the value.

    Raises:
        ValueError: it is not 0.0001 to 100.
    """
    return _draw(image, rng, speckle_law, number("deviation", deviation, 1e-4, 100))


def _draw(
    image: Image, rng: np.random.Generator, law: Callable[[float], Floats], parameter: float
) -> Image:
    noisy = np.empty(image.shape, dtype=np.uint8)
    transform(image.reshape(-1), draw_key(rng), tables_of(law, parameter), noisy.reshape(-1))
    return noisy


@lru_cache(maxsize=20)
def tables_of(law: Callable[[float], Floats], parameter: float) -> Table:
    """The law's tables, at most 256 KB, kept for the next image."""
    return alias_tables(law(parameter))


def gaussian_law(deviation: float) -> Floats:
    """Probability of adding -256..255, (1, 512); what is beyond black and white counts as one."""
    return _between(stats.norm.cdf(np.arange(-255, 256)[None] / (255 * deviation)))


def speckle_law(deviation: float) -> Floats:
    """Probability of each outcome (columns) for each byte (rows), (256, 256)."""
    levels = np.maximum(_LEVELS, 1e-6)[:, None]  # black stays black
    return _between(stats.norm.cdf((_LEVELS[1:] / levels - 1) / deviation))


def _between(below: Floats) -> Floats:
    """Probabilities of all outcomes in a row from those of being below all but the first."""
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def shot_law(photons: float) -> Floats:
    """Probability of each outcome (columns) for each byte (rows), (256, 256)."""
    counts = np.arange(int(np.ceil(photons)))
    outcomes = to_bytes(counts / photons)
    law = np.zeros((256, 256))
    np.add.at(law.T, outcomes, stats.poisson.pmf(counts[:, None], _LEVELS / 255.0 * photons))
    law[:, 255] += 1 - law.sum(axis=1)
    return law
