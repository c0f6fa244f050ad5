"""Which places share a batch: neighbours on the map, neighbours in the embedding, or any.

Neighbours are (N, K) int64: for each of N places the K nearest others, nearest first. What is
equally near comes in the order of its index. Places have at most N - 1 others: where more are
asked for, K is N - 1.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from cvgl_bench.errors import DataError
from cvgl_bench.ranking import Embeddings, check_embeddings

Indices = NDArray[np.int64]
Positions = NDArray[np.float64]
# Candidates of some places, not all in order: how far, in steps of what is told apart, and which.
Candidates = tuple[NDArray[np.float64], Indices]

EARTH_RADIUS_METRES = 6_371_008.8
MAP_STEP_METRES = 1e-3
SIMILARITY_STEP = 1e-6
# Looked up beyond what is wanted, so that a tie at the end seldom needs a second look.
_SPARE = 32
_ENTRIES = 4_000_000
_LAST = np.iinfo(np.int64).max


def near_on_map(positions: Positions, count: int) -> Indices:
    """Find the places next to each place on the ground, along great circles.

    Distances are rounded to the millimetre; the rest of a difference is a tie.

    Args:
        positions: latitude and longitude in degrees, (N, 2).
        count: neighbours wanted a place.

    Returns:
        (N, min(count, N - 1)), see above.

    Source: Sample4Geo's first epochs (Deuser et al. 2023). Its code gives degrees to a haversine
    that expects radians, which puts neighbours into another order; that is not copied. The search
    is float64's: 32 bits know a place on the globe to half a metre only.

    Raises:
        DataError: a position is no latitude and longitude.
        ValueError: the array has another shape, or no neighbour is wanted.
    """
    globe = _on_globe(positions)
    tree = KDTree(globe)

    def candidates(rows: Indices, number: int) -> Candidates:
        if number == len(globe):
            return cdist(globe[rows], globe) / MAP_STEP_METRES, _everything(rows, number)
        found = tree.query(globe[rows], k=number)
        return np.asarray(found[0]) / MAP_STEP_METRES, np.asarray(found[1], dtype=np.int64)

    return _nearest(len(globe), count, candidates)


def _on_globe(positions: Positions) -> NDArray[np.float64]:
    """Metres from the Earth's centre, (N, 3): straight distances rank as great circles do."""
    degrees = np.asarray(positions, dtype=np.float64)
    if degrees.ndim != 2 or degrees.shape[1] != 2 or not len(degrees):
        raise ValueError(f"positions of {degrees.shape} are not (places, 2)")
    fits = (np.abs(degrees) <= (90, 360)).all(axis=1)
    if not fits.all():
        place = int(fits.argmin())
        latitude, longitude = degrees[place].tolist()
        raise DataError(
            f"place {place} of {len(degrees)} lies at latitude {latitude:g} and longitude "
            f"{longitude:g}, which is nowhere on Earth: its neighbours cannot be looked up."
        )
    latitude, longitude = np.radians(degrees).T
    ring = np.cos(latitude)
    axes = (ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude))
    return EARTH_RADIUS_METRES * np.stack(axes, axis=1)


def near_in_embedding(queries: Embeddings, references: Embeddings, count: int) -> Indices:
    """Find the references that each query is likest to, its own left out.

    Cosines are rounded to the millionth, float32 tells no more apart; the rest is a tie.

    Args:
        queries: (N, D), unit length.
        references: (N, D), unit length; row k is the truth of query k.
        count: neighbours wanted a query.

    Returns:
        (N, min(count, N - 1)), see above.

    Source: Sample4Geo's dynamic similarity sampling (Deuser et al. 2023).

    Raises:
        ModelError: embeddings are not finite or not of unit length.
        ValueError: the shapes differ, or no neighbour is wanted.
    """
    import faiss

    if queries.shape != references.shape:
        raise ValueError(f"{queries.shape} queries and {references.shape} references are no pairs")
    check_embeddings(queries, "the queries' embeddings")
    check_embeddings(references, "the references' embeddings")
    queries, references = (
        np.ascontiguousarray(rows, dtype=np.float32) for rows in (queries, references)
    )

    def candidates(rows: Indices, number: int) -> Candidates:
        if number == len(references):
            cosines, which = queries[rows] @ references.T, _everything(rows, number)
        else:
            metric = faiss.METRIC_INNER_PRODUCT
            cosines, which = faiss.knn(queries[rows], references, number, metric=metric)
        return (1 - cosines.astype(np.float64)) / SIMILARITY_STEP, which

    return _nearest(len(queries), count, candidates)


def _everything(rows: Indices, places: int) -> Indices:
    return np.broadcast_to(np.arange(places), (len(rows), places))


def _nearest(places: int, count: int, candidates: Callable[[Indices, int], Candidates]) -> Indices:
    """Order the candidates of every place; look at all places where a tie is cut in two."""
    if count < 1:
        raise ValueError(f"{count} neighbours are none")
    wanted = min(count, places - 1)
    if not wanted:
        return np.empty((places, 0), dtype=np.int64)
    result = np.empty((places, wanted), dtype=np.int64)
    unsure = np.arange(places)
    for number in (min(places, wanted + 1 + _SPARE), places):
        cut: list[Indices] = []
        for rows in _blocks(unsure, number):
            away, which = candidates(rows, number)
            # One whole number a candidate orders it by distance, then by index.
            steps = np.rint(away).astype(np.int64)
            keys = steps * places + which
            keys[which == rows[:, None]] = _LAST
            first = np.sort(np.partition(keys, wanted - 1, axis=1)[:, :wanted], axis=1)
            result[rows] = first % places
            if number < places:
                cut.append(rows[first[:, -1] // places >= steps.max(axis=1)])
        unsure = np.concatenate(cut) if cut else unsure[:0]
    return result


def _blocks(rows: Indices, number: int) -> Iterator[Indices]:
    size = max(1, _ENTRIES // number)
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def epoch_batches(
    count: int,
    batch_size: int,
    rng: np.random.Generator,
    neighbours: Indices | None = None,
    *,
    nearest: int = 32,
    drawn: int = 32,
) -> Indices:
    """Share an epoch's places out to batches.

    A batch begins with a place by chance. Its nearest neighbours follow, nearest first, then as
    many drawn by chance from its further ones; who was in the epoch already is left out and not
    replaced. Then comes another unused place by chance, with its neighbours, until the batch is
    full. No place is in an epoch twice. The epoch ends when fewer places than a batch are unused,
    which are left out: it has count // batch_size batches.

    Args:
        count: places.
        batch_size: places a batch.
        rng: all chance; the same generator gives the same batches.
        neighbours: (count, K), nearest first; None for any places together.
        nearest: neighbours that are taken in their order.
        drawn: neighbours that are drawn from the rest, fewer where the rest is smaller.

    Returns:
        (count // batch_size, batch_size), indices of places.

    Source: Deuser et al. 2023, arXiv:2303.11851. The released code gives up after 1,024 draws of
    used places in a row; here only unused places are drawn.

    Raises:
        DataError: there are fewer places than a batch needs.
        ValueError: a number or the neighbours' shape makes no sense.
    """
    if min(count, batch_size) < 1 or min(nearest, drawn) < 0:
        raise ValueError(f"no batches of {batch_size} from {count} with {nearest} + {drawn}")
    if count < batch_size:
        raise DataError(f"a batch of {batch_size} needs as many places; there are {count}.")
    batches = count // batch_size
    order = rng.permutation(count)
    if neighbours is not None:
        _check_neighbours(neighbours, count)
        order = _side_by_side(order, batch_size, rng, neighbours, (nearest, drawn))
    return order[: batches * batch_size].reshape(batches, batch_size)


def _check_neighbours(neighbours: Indices, count: int) -> None:
    if neighbours.ndim != 2 or len(neighbours) != count:
        raise ValueError(f"neighbours of {neighbours.shape} are not those of {count} places")
    if neighbours.size and not (neighbours.min() >= 0 and neighbours.max() < count):
        raise ValueError(f"a neighbour lies outside the {count} places")


def _side_by_side(
    starts: Indices,
    batch_size: int,
    rng: np.random.Generator,
    neighbours: Indices,
    select: tuple[int, int],
) -> Indices:
    """All places in the order in which they fill the batches."""
    used = np.zeros(len(starts), dtype=bool)
    order: list[int] = []
    for start in starts.tolist():
        if used[start]:
            continue
        for place in _company(start, neighbours[start], rng, select):
            if used[place]:
                continue
            used[place] = True
            order.append(place)
            if len(order) % batch_size == 0:
                break
    return np.array(order, dtype=np.int64)


def _company(
    start: int, row: Indices, rng: np.random.Generator, select: tuple[int, int]
) -> Iterator[int]:
    """A place, its nearest and some of its further neighbours, these drawn if it comes to them."""
    nearest, drawn = select
    yield start
    yield from row[:nearest].tolist()
    rest = row[nearest:]
    yield from rng.choice(rest, min(drawn, len(rest)), replace=False).tolist()
