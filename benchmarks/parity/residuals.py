"""What tells one law of corruption from another: histogram, spread, correlation and spectrum.

Both sides are measured by this file, the oracle in its old environment and ours in today's, so it
uses nothing but numpy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float64]

LAGS = (1, 2, 4, 8, 16)  # pixels
GROUPS = 10  # of draws, to see how far a law strays from itself
# One grey level in 0.1 % of the values moves a mean or a distribution by 0.001, and no law cares.
SLACK = 0.001

_FAINTEST = 1e-3  # grey levels squared, added to an octave's power before its logarithm


def feature_names(height: int, width: int) -> list[str]:
    """What the numbers of `features` are, in their order."""
    names = ["mean", "deviation", "slope", "fine slope", "red-green", "green-blue"]
    names += [f"{axis} lag {lag}" for axis in ("across", "down") for lag in LAGS]
    for axis, length in (("across", width), ("down", height)):
        names += [f"{axis} power", *(f"{axis} octave {n}" for n in range(1, len(_octaves(length))))]
    return names


def features(clean: Bytes, corrupted: Bytes) -> Numbers:
    """Numbers that describe one residual, corrupted minus clean; `feature_names` names them.

    Mean and deviation are in grey levels. The slope is that of the residual on the clean value, the
    fine slope the same for differences between neighbours: how much of the picture is lost.
    Correlations, between channels and between pixels some lag apart, are in -1..1. The power
    spectrum of the green channel, less what the fine slope explains, is told along rows and along
    columns: the lowest frequency's power, and from there the step from every octave to the next,
    as logarithms to base 10 of grey levels squared.

    Args:
        clean: RGB, (H, W, 3), more than 16 pixels high and wide.
        corrupted: the same shape.
    """
    residual = corrupted.astype(np.float32) - clean
    mean = residual.mean(dtype=np.float64)
    centred = residual - np.float32(mean)
    variance = _product(centred, centred) + 1e-12
    value = clean.astype(np.float32)
    value -= np.float32(value.mean(dtype=np.float64))
    fine = _slope(np.diff(centred, axis=1), np.diff(value, axis=1))
    red, green, blue = np.moveaxis(centred, -1, 0)
    numbers = [mean, np.sqrt(variance), _slope(centred, value), fine]
    numbers += [_correlation(red, green), _correlation(green, blue)]
    numbers += [_product(centred[:, lag:], centred[:, :-lag]) / variance for lag in LAGS]
    numbers += [_product(centred[lag:], centred[:-lag]) / variance for lag in LAGS]
    rest = green - np.float32(fine) * value[..., 1]
    return np.array([*numbers, *_spectrum(rest), *_spectrum(rest.T)])


def _product(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.mean(first * second, dtype=np.float64))


def _slope(values: NDArray[np.float32], on: NDArray[np.float32]) -> float:
    return _product(values, on) / (_product(on, on) + 1e-12)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    first, second = first - first.mean(), second - second.mean()
    spread = np.sqrt(_product(first, first) * _product(second, second))
    return float(_product(first, second) / (spread + 1e-12))


def _octaves(length: int) -> list[tuple[int, int]]:
    """Octaves of the frequencies 1..length // 2, each as first and last plus 1."""
    edges = [1]
    while edges[-1] * 2 <= length // 4:
        edges.append(edges[-1] * 2)
    return list(zip(edges, [*edges[1:], length // 2 + 1], strict=True))


def _spectrum(lines: NDArray[np.float32]) -> list[float]:
    """Logarithm of the mean power of the lines in the first octave, and its steps from there."""
    length = lines.shape[1]
    power = np.mean(np.abs(np.fft.rfft(lines, axis=1)) ** 2, axis=0) / length**2
    sums = np.array([power[low:high].sum() for low, high in _octaves(length)])
    logarithms = np.log10(sums + _FAINTEST)
    return [float(logarithms[0]), *np.diff(logarithms).tolist()]


def histogram(clean: Bytes, corrupted: Bytes) -> NDArray[np.int64]:
    """How often each residual from -255 to 255 occurs, (511,)."""
    shifted = corrupted.astype(np.int16) - clean + np.int16(255)
    return np.bincount(shifted.ravel(), minlength=511)


def ks_distance(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Kolmogorov-Smirnov distance of two histograms, 0..1.

    Source: Smirnov 1948, doi:10.1214/aoms/1177730256.
    """
    shares = [np.cumsum(counts) / counts.sum() for counts in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


@dataclass(frozen=True)
class Law:
    """What many draws of one corruption at one severity have in common.

    Attributes:
        draws: how many.
        mean: of every feature, (F,).
        spread: standard deviation of every feature from draw to draw, (F,).
        counts: pooled histogram of the residual, (511,).
        own_distance: mean Kolmogorov-Smirnov distance of a tenth of the draws to the others.
    """

    draws: int
    mean: Numbers
    spread: Numbers
    counts: NDArray[np.int64]
    own_distance: float


def law(draw: Callable[[int], Bytes], clean: Bytes, draws: int) -> Law:
    """The law that a corruption follows on one picture.

    Args:
        draw: the picture corrupted once more; told the number of the draw.
        clean: the picture, RGB, (H, W, 3).
        draws: GROUPS or more.
    """
    rows, groups = [], np.zeros((GROUPS, 511), dtype=np.int64)
    for number in range(draws):
        corrupted = draw(number)
        rows.append(features(clean, corrupted))
        groups[number % GROUPS] += histogram(clean, corrupted)
    counts = groups.sum(axis=0)
    own = [ks_distance(group, counts - group) for group in groups]
    numbers = np.array(rows)
    return Law(
        draws, numbers.mean(axis=0), numbers.std(axis=0, ddof=1), counts, float(np.mean(own))
    )


def alone(clean: Bytes, corrupted: Bytes, like: Law) -> Law:
    """A single draw as a law, its spread taken from the law that it is to be compared with."""
    numbers, counts = features(clean, corrupted), histogram(clean, corrupted)
    return Law(1, numbers, like.spread, counts, like.own_distance)


def scores(one: Law, other: Law) -> Numbers:
    """How many standard errors apart the features of two laws are, beyond SLACK, (F,)."""
    error = np.sqrt(one.spread**2 / one.draws + other.spread**2 / other.draws)
    beyond = np.maximum(np.abs(one.mean - other.mean) - SLACK, 0)
    result: Numbers = beyond / np.maximum(error, 1e-9)
    return result


def ks_ratio(ours: Law, theirs: Law) -> float:
    """Distance of two laws, beyond SLACK, in units of what chance alone leaves between them.

    A tenth of their draws against the others shows what chance leaves; it shrinks with the square
    root of the number of draws.
    """
    tenth = theirs.draws / GROUPS
    scale = np.sqrt((1 / ours.draws + 1 / theirs.draws) / (1 / tenth + 1 / (theirs.draws - tenth)))
    beyond = max(ks_distance(ours.counts, theirs.counts) - SLACK, 0.0)
    return float(beyond / (theirs.own_distance * scale))
