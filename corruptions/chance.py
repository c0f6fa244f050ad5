"""Random numbers of an output: a key from its generator, then a hash of (key, position).

Position i of a field has a value of its own, whatever is computed before it, beside it or not at
all; so pieces, processes and devices agree to the bit. The words are those of the SplitMix64
generator (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), started at
the key. That any two of the outputs of CVACT_val-C share a stretch of it has a chance of about 2 %,
and then at places that have nothing to do with each other. Every draw below takes 32 bits of a
word: words of 16 bits miss the tails of a noise.
"""

from functools import lru_cache
from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Table: TypeAlias = NDArray[np.uint32]

BLOCK = 1024  # positions handled at once; even, and small enough for the fastest cache
_COLUMN_BITS = 8  # of a table of bytes
_SHIFT_BITS = 9  # of a table of differences between bytes


def draw_key(rng: np.random.Generator) -> np.uint64:
    """Take 64 bits from a generator: what everything random about one field hangs on."""
    return rng.integers(0, 2**64, dtype=np.uint64)


@numba.njit(cache=True, inline="always")
def fill(key: np.uint64, first: int, words: NDArray[np.uint32]) -> None:
    """Write the 32-bit words of positions first, first + 1, ...; `first` and the size are even."""
    for pair in range(words.size // 2):
        word = key + np.uint64(first // 2 + pair + 1) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
        words[2 * pair] = np.uint32(word)
        words[2 * pair + 1] = np.uint32(word >> np.uint64(32))


def normals(key: np.uint64, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers, interpolated between 65,537 quantiles.

    Beyond the outermost quantiles, 4.17 deviations out, they are uniform around the mean of what
    lies there.
    """
    drawn = np.empty(shape, dtype=np.float32)
    _normals(key, normal_quantiles(), drawn.reshape(-1))
    return drawn


@lru_cache(maxsize=1)
def normal_quantiles() -> NDArray[np.float32]:
    """The normal law's quantiles at 65,537 even shares, (65537,); the two ends bring the tails."""
    quantiles = ndtri(np.arange(65537) / 65536)
    edge = quantiles[-2]
    beyond = 65536 * np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi)  # mean of the tail
    quantiles[-1] = 2 * beyond - edge
    quantiles[0] = -quantiles[-1]
    return np.asarray(quantiles, dtype=np.float32)


@numba.njit(cache=True, nogil=True)
def _normals(key: np.uint64, quantiles: NDArray[np.float32], drawn: NDArray[np.float32]) -> None:
    words = np.empty(BLOCK, dtype=np.uint32)
    for first in range(0, drawn.size, BLOCK):
        fill(key, first, words)
        part = drawn[first : first + BLOCK]
        for place in range(part.size):
            cell = np.int64(words[place] >> np.uint32(16))
            share = np.float32(np.int32(words[place] & np.uint32(0xFFFF))) * np.float32(2**-16)
            below = quantiles[cell]
            part[place] = below + share * (quantiles[cell + 1] - below)


def alias_tables(probabilities: NDArray[np.float64]) -> Table:
    """Tables that `transform` and `shift` draw from in constant time, exact to 2 ** -32.

    Vose's alias method (1991, "A linear algorithm for generating random numbers with a given
    distribution"), in whole numbers: every column of a row's table holds one part in C of 2 ** 32
    shares, the lower ones its own outcome's, the rest another's.

    Args:
        probabilities: (R, C), C a power of two: row by row, those of outcomes 0..C - 1; every row
            sums to 1.

    Returns:
        (R, C): the number of a column's own shares (a full column names itself) times C, plus the
        other outcome.
    """
    shares = np.round(probabilities * 2**32).astype(np.int64)
    most = shares.argmax(axis=1)
    shares[np.arange(len(shares)), most] += 2**32 - shares.sum(axis=1)
    return _alias_tables(shares)


@numba.njit(cache=True)
def _alias_tables(shares: NDArray[np.int64]) -> Table:
    rows, columns = shares.shape
    full = (1 << 32) // columns
    tables = np.empty((rows, columns), dtype=np.uint32)
    short, ample = np.empty(columns, np.int64), np.empty(columns, np.int64)
    for row in range(rows):
        left = shares[row]
        shorts = amples = 0
        for column in range(columns):
            if left[column] < full:
                short[shorts] = column
                shorts += 1
            else:
                ample[amples] = column
                amples += 1
        while shorts:
            shorts -= 1
            column, giver = short[shorts], ample[amples - 1]
            tables[row, column] = left[column] * columns + giver
            left[giver] -= full - left[column]
            if left[giver] < full:
                amples -= 1
                short[shorts] = giver
                shorts += 1
        for place in range(amples):
            tables[row, ample[place]] = ample[place]
    return tables


@numba.njit(cache=True, nogil=True)
def transform(
    values: NDArray[np.uint8], key: np.uint64, tables: Table, drawn: NDArray[np.uint8]
) -> None:
    """Replace every value by a draw from the row of `alias_tables` that belongs to it.

    Args:
        values: (N,).
        key: of `draw_key`.
        tables: of `alias_tables`.
        drawn: (N,); receives the draws.
    """
    words, entries = np.empty(BLOCK, dtype=np.uint32), np.empty(BLOCK, dtype=np.uint32)
    for first in range(0, values.size, BLOCK):
        fill(key, first, words)
        part, result = values[first : first + BLOCK], drawn[first : first + BLOCK]
        # Two loops, because the compiler handles several values at once only where none is looked
        # up.
        for place in range(part.size):
            column = words[place] >> np.uint32(32 - _COLUMN_BITS)
            entries[place] = tables[np.uint64(part[place]), np.uint64(column)]
        for place in range(part.size):
            result[place] = np.uint8(_outcome(entries[place], words[place], _COLUMN_BITS))


@numba.njit(cache=True, inline="always")
def _outcome(entry: np.uint32, word: np.uint32, bits: int) -> np.int32:
    """What a word draws from its column's entry in a row of 2 ** bits columns."""
    column = word >> np.uint32(32 - bits)
    own = word & np.uint32((1 << (32 - bits)) - 1)
    other = entry & np.uint32((1 << bits) - 1)
    return np.int32(column) if own < entry >> np.uint32(bits) else np.int32(other)


@numba.njit(cache=True, nogil=True)
def shift(
    values: NDArray[np.uint8], key: np.uint64, table: Table, shifted: NDArray[np.uint8]
) -> None:
    """Add a draw to every value, and clip.

    Args:
        values: (N,).
        key: of `draw_key`.
        table: (512,), a row of `alias_tables`; outcome 256 adds nothing.
        shifted: (N,); receives the sums.
    """
    words, entries = np.empty(BLOCK, dtype=np.uint32), np.empty(BLOCK, dtype=np.uint32)
    for first in range(0, values.size, BLOCK):
        fill(key, first, words)
        part, result = values[first : first + BLOCK], shifted[first : first + BLOCK]
        for place in range(part.size):
            entries[place] = table[np.uint64(words[place] >> np.uint32(32 - _SHIFT_BITS))]
        for place in range(part.size):
            added = _outcome(entries[place], words[place], _SHIFT_BITS) - np.int32(256)
            total = np.int32(part[place]) + added
            total = np.int32(0) if total < 0 else total
            result[place] = np.uint8(np.int32(255) if total > 255 else total)


@numba.njit(cache=True, nogil=True)
def strike(
    values: NDArray[np.uint8],
    key: np.uint64,
    black: np.uint32,
    changed: np.uint32,
    struck: NDArray[np.uint8],
) -> None:
    """Turn values to 0 with probability black / 2 ** 32, to 255 with the rest of changed / 2 ** 32.

    Args:
        values: (N,).
        key: of `draw_key`.
        black: at most `changed`.
        changed: of 2 ** 32.
        struck: (N,); receives the values.
    """
    words = np.empty(BLOCK, dtype=np.uint32)
    for first in range(0, values.size, BLOCK):
        fill(key, first, words)
        part, result = values[first : first + BLOCK], struck[first : first + BLOCK]
        for place in range(part.size):
            extreme = np.uint8(0) if words[place] < black else np.uint8(255)
            result[place] = extreme if words[place] < changed else part[place]
