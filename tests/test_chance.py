import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from corruptions.chance import draw_key, fill, normals

COUNT = 4_000_000
KEY = np.uint64(0x0123456789ABCDEF)
# A fair generator passes this in all but one of a million tries; the keys are fixed.
LEAST_P = 1e-6


def words(key, first, count):
    filled = np.empty(count, dtype=np.uint32)
    fill(np.uint64(key), first, filled)
    return filled


def splitmix(key, count):
    """The words in Python's whole numbers: the lower and upper half of every output."""
    mask, found = 2**64 - 1, []
    for step in range(1, count // 2 + 1):
        word = (key + step * 0x9E3779B97F4A7C15) & mask
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        word ^= word >> 31
        found += [word & 0xFFFFFFFF, word >> 32]
    return found


def p_value(counts, expected=None):
    return stats.chisquare(counts, expected).pvalue


def test_words_are_those_of_the_published_splitmix64():
    """Its first outputs for the seed 1234567, as other implementations print them."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert words(1234567, 0, 6).view("<u8").tolist() == published


@given(key=st.integers(0, 2**64 - 1), count=st.integers(1, 20).map(lambda half: 2 * half))
def test_words_follow_from_key_and_position_alone(key, count):
    assert words(key, 0, count).tolist() == splitmix(key, count)


def test_words_are_pinned():
    """Every random corruption hangs on them: a change is a change of all scores."""
    assert words(0, 0, 4).tolist() == [2065550767, 3793791033, 2713282036, 1853398634]
    assert words(2**64 - 1, 1_000_000_000_000, 2).tolist() == [3577873238, 2485802542]


@given(key=st.integers(0, 2**64 - 1), start=st.integers(0, 999), half=st.integers(1, 99))
def test_a_piece_of_a_field_does_not_depend_on_the_rest(key, start, half):
    whole = words(key, 0, 2200)
    assert np.array_equal(words(key, 2 * start, 2 * half), whole[2 * start : 2 * (start + half)])


def test_a_field_starts_like_every_longer_one():
    long = normals(KEY, (3000,))
    for size in (1, 2, 1023, 1024, 1025, 2999):
        assert np.array_equal(normals(KEY, (size,)), long[:size])
    assert np.array_equal(normals(KEY, (30, 100)).ravel(), long)


def test_a_key_is_the_next_64_bits_of_its_generator():
    key = draw_key(np.random.default_rng(7))
    assert key == np.random.default_rng(7).bit_generator.random_raw()
    assert key.dtype == np.uint64


@pytest.mark.parametrize("shift", [0, 8, 16, 22])
def test_bits_of_every_height_are_evenly_distributed(shift):
    field = words(KEY, 0, COUNT)
    for half in (field, field[::2], field[1::2]):
        assert p_value(np.bincount((half >> shift) & 1023, minlength=1024)) > LEAST_P


@pytest.mark.parametrize("lag", [1, 2, 3, 1024, 3696])
def test_neighbours_in_a_field_are_independent(lag):
    """Neighbouring values, colours, blocks and rows of a picture 1232 pixels wide."""
    field = words(KEY, 0, COUNT)
    for shift in (26, 0):
        cells = (field >> shift) & 63
        pairs = cells[:-lag] * np.uint32(64) + cells[lag:]
        assert p_value(np.bincount(pairs, minlength=4096)) > LEAST_P
    drawn = field / 2**32 - 0.5
    correlation = 12 * np.mean(drawn[:-lag] * drawn[lag:])
    assert abs(correlation) < 5 / np.sqrt(COUNT)


@pytest.mark.parametrize("other", [1, 2, 256, 2**32, 2**63])
def test_fields_of_keys_that_differ_in_one_bit_are_independent(other):
    size = 1_000_000
    changed = KEY ^ np.uint64(other)
    differences = words(KEY, 0, size) ^ words(changed, 0, size)
    flipped = np.unpackbits(differences.view(np.uint8)).reshape(size, 32).sum(axis=1)
    binomial = stats.binom.pmf(np.arange(33), 32, 0.5) * size
    counts, expected = np.bincount(flipped.astype(np.int64), minlength=33)[6:27], binomial[6:27]
    assert p_value(counts, expected * counts.sum() / expected.sum()) > LEAST_P
    here, there = (words(key, 0, size).astype(float) for key in (KEY, changed))
    assert abs(np.corrcoef(here, there)[0, 1]) < 5 / np.sqrt(size)


def test_first_words_of_keys_in_a_row_are_evenly_distributed():
    """As if seeds 0, 1, 2 ... were keys themselves."""
    first = np.array([words(key, 0, 2)[0] for key in range(50_000)])
    for shift in (0, 12, 24):
        assert p_value(np.bincount((first >> shift) & 255, minlength=256)) > LEAST_P


def test_normals_have_the_moments_of_the_normal_distribution():
    drawn = normals(KEY, (COUNT,)).astype(float)
    for power, moment in enumerate((0, 1, 0, 3, 0, 15), start=1):
        most = 5 * np.sqrt(special.factorial2(2 * power - 1) / COUNT)  # five standard errors
        assert abs(np.mean(drawn**power) - moment) < most


def test_normals_follow_their_law_into_the_tails():
    tails = 2.0 ** np.arange(8) / 65536
    shares = np.concatenate([tails, np.arange(1, 256) / 256, 1 - tails[::-1]])
    edges = [-np.inf, *special.ndtri(shares), np.inf]
    counts, _ = np.histogram(normals(KEY, (COUNT,)), np.clip(edges, -9, 9))
    assert p_value(counts, np.diff([0, *shares, 1]) * COUNT) > LEAST_P


def test_normals_are_the_quantiles_of_the_words():
    share = (words(KEY, 0, COUNT) + 0.5) / 2**32
    drawn, exact = normals(KEY, (COUNT,)), special.ndtri(share)
    assert np.abs(drawn - exact)[np.abs(exact) < 3].max() < 1e-3
    assert np.abs(drawn - exact)[np.abs(exact) < 4].max() < 0.03
    assert 4.4 < np.abs(drawn).max() < 4.7


def test_what_lies_in_the_tails_has_its_mean():
    drawn = np.abs(normals(KEY, (4 * COUNT,)).astype(float))
    edge = -special.ndtri(1 / 65536)
    beyond = drawn[drawn > edge]
    assert beyond.size == pytest.approx(8 * COUNT / 65536, abs=5 * np.sqrt(8 * COUNT / 65536))
    mean = 65536 * stats.norm.pdf(edge)
    assert beyond.mean() == pytest.approx(mean, abs=5 * beyond.std() / np.sqrt(beyond.size))
