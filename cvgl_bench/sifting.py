"""What approximate similarities leave open: few references a query, looked at in float64.

A similarity is known to within an error. So a reference is surely nearer than the true one, surely
farther, or in between; only those in between are computed again, and those that may be among the
first. Floats are compared as whole numbers in the same order (their bits, mirrored below zero), so
that half-precision ones, which numpy does not have, need no conversion.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 64  # similarities looked at together
# As many as this process may use. Asking numba itself would start its threads, and reset torch's.
_THREADS: Final[int] = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
_ROWS: Final = 16  # fewer are no work for another thread
_LOWEST: Final = -(2**31)
# Similarities are put in order by this fraction of one: equal references must not be told apart by
# the last bit of a sum, which another order of summing changes.
STEPS: Final = 2.0**36

Rows: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.int16] | NDArray[np.int32]
Places: TypeAlias = NDArray[np.int32]
Numbers: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Best:
    """The first K references of each query.

    Attributes:
        ranks: (B,), how many references are at least as similar as the true one.
        columns: (B, K), the rows of the first references, best first.
        values: (B, K), their similarities to the next 1 / STEPS, falling.
    """

    ranks: Numbers
    columns: Numbers
    values: Values


def sift(
    bits: Bits,
    errors: Values,
    rows: tuple[Rows, Rows],
    least: Values,
    *,
    first: int,
) -> tuple[Best, NDArray[np.bool_]]:
    """Rank by approximate similarities, exactly; and say for which queries they were too coarse.

    Args:
        bits: (B, R), of the similarities: float32's, or 16 bits for bfloat16's.
        errors: (B,), how far a similarity before it was rounded to these bits may be off.
        rows: (B, D) queries and (R, D) references, in C order.
        least: (B,), from what similarity on a reference counts as at least as near as the true one.
        first: K, how many references are wanted; R has at least as many chunks.

    Returns:
        what was found, and (B,), where it holds: for the others, too many were open.
    """
    count, references = bits.shape
    width = 8 * bits.itemsize
    mask = 2 ** (width - 1) - 1
    maxima = np.empty((count, -(-references // CHUNK)), np.int32)
    peaks = np.empty((count, first), np.int32)
    # Rounding keeps the order, so that a step beyond the rounded limit is surely beyond the limit.
    low, high = _order(least - errors, width) - 1, _order(least + errors, width) + 1
    limit = CHUNK + references // CHUNK  # beyond it, all similarities anew are the lesser work
    columns = np.empty((count, limit), np.int32)
    counts = np.empty((count, 2), np.int64)
    found = Best(
        np.empty(count, np.int64),
        np.empty((count, first), np.int64),
        np.empty((count, first), np.float64),
    )

    def work(part: slice) -> None:
        _peaks(bits[part], mask, maxima[part], peaks[part])
        # The K-th highest of the chunks is no higher than the K-th highest of all.
        top = _order(_floats(peaks[part, -1] - 1, width) - 2 * errors[part], width) - 1
        limits = np.stack([low[part], high[part], top], axis=1).astype(np.int32)
        listed = columns[part], counts[part]
        _collect(bits[part], mask, (maxima[part], limits), listed)
        out = found.ranks[part], found.columns[part], found.values[part]
        _settle((rows[0][part], rows[1]), listed, least[part], out)

    _over_rows(count, work)
    return found, counts[:, 1] <= limit


@numba.njit(cache=True, nogil=True)
def similarities(queries: Rows, references: Rows, columns: Numbers, found: Values) -> None:
    """Write the similarity of each query, (B, D), and one reference, of (R, D), in float64."""
    for row in range(len(queries)):
        found[row] = _dot(queries[row], references[columns[row]])


def _order(values: Values, width: int) -> Numbers:
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> (32 - width)


def _floats(places: Places, width: int) -> Values:
    bits = (places.astype(np.int64) << (32 - width)).astype(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32).astype(np.float64)


def _over_rows(count: int, work: Callable[[slice], None]) -> None:
    parts = max(1, min(_THREADS, count // _ROWS))
    edges = np.linspace(0, count, parts + 1).astype(int)
    slices = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, slices))


@numba.njit(cache=True, nogil=True, inline="always")
def _place(bits: int, mask: np.int32) -> np.int32:
    wide = np.int32(bits)
    return np.int32(wide ^ np.int32(np.int32(wide >> np.int32(31)) & mask))


@numba.njit(cache=True, nogil=True)
def _peaks(bits: Bits, mask: int, maxima: Places, peaks: Places) -> None:
    """The highest of each chunk, and the few highest of these, falling."""
    flips = np.int32(mask)
    last = peaks.shape[1] - 1
    for row in range(len(bits)):
        peaks[row] = _LOWEST
        for chunk in range(maxima.shape[1]):
            highest = np.int32(_LOWEST)
            start = chunk * CHUNK
            if start + CHUNK <= bits.shape[1]:  # a loop of known length is vectorised
                for column in range(CHUNK):
                    highest = max(highest, _place(bits[row, start + column], flips))
            else:
                for column in range(start, bits.shape[1]):
                    highest = max(highest, _place(bits[row, column], flips))
            maxima[row, chunk] = highest
            if highest > peaks[row, last]:
                place = last
                while place > 0 and peaks[row, place - 1] < highest:
                    peaks[row, place] = peaks[row, place - 1]
                    place -= 1
                peaks[row, place] = highest


@numba.njit(cache=True, nogil=True)
def _collect(
    bits: Bits, mask: int, known: tuple[Places, Places], out: tuple[Places, Numbers]
) -> None:
    """Count the references that are surely nearer, and list those that are open."""
    maxima, limits = known
    columns, counts = out
    flips = np.int32(mask)
    for row in range(len(bits)):
        line = bits[row]
        low, high, top = limits[row]
        surely = listed = 0
        for chunk in range(maxima.shape[1]):
            if maxima[row, chunk] < min(low, top):
                continue
            for column in range(chunk * CHUNK, min((chunk + 1) * CHUNK, line.size)):
                place = _place(line[column], flips)
                if high < place < top:
                    surely += 1
                elif place >= low or place >= top:
                    if listed < columns.shape[1]:
                        columns[row, listed] = column
                    listed += 1
        counts[row] = surely, listed


@numba.njit(cache=True, nogil=True)
def _settle(
    rows: tuple[Rows, Rows],
    listed: tuple[Places, Numbers],
    least: Values,
    out: tuple[Numbers, Numbers, Values],
) -> None:
    """Look at the open ones of each query; at none of a query that has too many."""
    queries, references = rows
    columns, counts = listed
    ranks, best, values = out
    wanted = best.shape[1]
    for row in range(len(queries)):
        ranks[row], number = counts[row]
        if number > columns.shape[1]:
            continue
        values[row] = -np.inf
        for item in range(number):
            column = columns[row, item]
            value = _dot(queries[row], references[column])
            ranks[row] += value >= least[row]
            value = np.rint(value * STEPS) / STEPS
            if value > values[row, wanted - 1]:
                place = wanted - 1
                while place > 0 and values[row, place - 1] < value:
                    values[row, place] = values[row, place - 1]
                    best[row, place] = best[row, place - 1]
                    place -= 1
                values[row, place], best[row, place] = value, column


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    total = 0.0
    for place in range(one.size):
        total += np.float64(one[place]) * np.float64(other[place])
    return total
