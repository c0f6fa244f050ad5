import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from corruptions import corrupt, parameters
from corruptions.chance import alias_tables, transform

KEY = np.uint64(77)
DRAWS = 300_000
# A right law passes this in all but one of a million tries; the seeds are fixed.
LEAST_P = 1e-6
NOISES = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
OUTCOMES = np.arange(256)


def shares_of(tables):
    """How many of 2 ** 32 words lead to each outcome, (rows, 256)."""
    own, other = (tables >> 8).astype(np.int64), tables & 255
    shares = own.copy()
    for row in range(len(tables)):
        np.add.at(shares[row], other[row], 2**24 - own[row])
    return shares


def probabilities(weights):
    weights = weights + 1e-12
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    power=st.sampled_from([0.1, 1.0, 5.0, 40.0]),
    few=arrays(np.bool_, 256),
)
def test_tables_hold_the_law_to_the_last_share(seed, power, few):
    weights = np.random.default_rng(seed).random((256, 256)) ** power
    weights[:, few] = 0
    law = probabilities(weights)
    shares = shares_of(alias_tables(law))
    assert (shares.sum(axis=1) == 2**32).all()
    error = np.abs(shares - law * 2**32)
    likeliest = error[OUTCOMES, law.argmax(axis=1)]
    error[OUTCOMES, law.argmax(axis=1)] = 0
    assert error.max() <= 0.5 + 1e-6
    assert likeliest.max() <= 128  # it gets what rounding leaves over


def test_what_is_certain_always_happens_and_what_is_impossible_never():
    law = np.eye(256)[::-1]
    values = np.arange(256, dtype=np.uint8).repeat(2000)
    drawn = np.empty_like(values)
    transform(values, KEY, alias_tables(law), drawn)
    assert np.array_equal(drawn, 255 - values)


def test_a_draw_depends_on_its_value_and_its_place_alone():
    tables = alias_tables(probabilities(np.random.default_rng(0).random((256, 256))))
    values = np.random.default_rng(1).integers(0, 256, 5000, np.uint8)
    changed = values.copy()
    changed[::7] ^= 1
    before, after, beginning = np.empty_like(values), np.empty_like(values), np.empty(2001, "u1")
    transform(values, KEY, tables, before)
    transform(changed, KEY, tables, after)
    transform(values[:2001], KEY, tables, beginning)
    same = np.arange(5000) % 7 != 0
    assert np.array_equal(after[same], before[same])
    assert not np.array_equal(after[~same], before[~same])
    assert np.array_equal(beginning, before[:2001])


def normal_law(level, slope):
    """Law of floor(clip(level + slope z, 0, 255)) for a standard normal z."""
    below = stats.norm.cdf((np.arange(1, 256) - level) / slope)
    return np.diff(below, prepend=0, append=1)


def law(name, level, named):
    """Probabilities of the 256 outcomes of a byte, from the definition."""
    if name == "gaussian_noise":
        return normal_law(level, 255 * named["deviation"])
    if name == "speckle_noise":
        return normal_law(level, level * named["deviation"]) if level else 1.0 * (OUTCOMES == 0)
    if name == "impulse_noise":
        lost = named["amount"] / 2 * ((OUTCOMES == 0) + 1.0 * (OUTCOMES == 255))
        return lost + (1 - named["amount"]) * (level == OUTCOMES)
    counts = np.arange(400)
    outcomes = np.floor(np.clip(counts / named["photons"], 0, 1) * 255).astype(int)
    chance = stats.poisson.pmf(counts, level / 255 * named["photons"])
    return np.bincount(outcomes, chance, minlength=256)


def p_value(counts, expected):
    """Of the chi-square test, rare outcomes taken together."""
    rare = expected < 10
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    statistic = np.sum((counts - expected) ** 2 / np.maximum(expected, 1))
    return stats.chi2.sf(statistic, max(len(expected) - 1, 1))


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", NOISES)
def test_noises_follow_the_law_of_their_definition(name, severity):
    named = parameters(name, severity)
    for level in (0, 1, 17, 128, 200, 254, 255):
        flat = np.full((500, DRAWS // 1500, 3), level, dtype=np.uint8)
        counts = np.bincount(corrupt(flat, name, severity, rng=level).ravel(), minlength=256)
        expected = law(name, level, named) * DRAWS
        assert p_value(counts, expected) > LEAST_P, level
        assert not counts[expected < 1e-9].any()


@pytest.mark.parametrize("name", NOISES)
def test_colours_and_neighbours_go_wrong_by_themselves(name):
    grey = np.full((600, 800, 3), 128, dtype=np.uint8)
    noise = corrupt(grey, name, 3, rng=3).astype(float)
    noise -= noise.mean()
    variance, most = noise.var(), 5 / np.sqrt(noise.size / 3)
    for left, right in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.mean(noise[..., left] * noise[..., right])) < most * variance
    assert abs(np.mean(noise[1:] * noise[:-1])) < most * variance
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < most * variance


def test_salt_and_pepper_take_equal_shares():
    grey = np.full((300, 300, 3), 128, dtype=np.uint8)
    noisy = corrupt(grey, "impulse_noise", 4, rng=0)
    assert (noisy == 0).mean() == pytest.approx(0.085, rel=0.05)
    assert (noisy == 255).mean() == pytest.approx(0.085, rel=0.05)
    assert set(np.unique(noisy)) == {0, 128, 255}


@pytest.mark.parametrize("name", ["shot_noise", "speckle_noise"])
def test_black_stays_black_where_noise_grows_with_brightness(name):
    assert not corrupt(np.zeros((99, 99, 3), np.uint8), name, 5, rng=0).any()
