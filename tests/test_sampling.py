import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.training import sampling
from cvgl_bench.training.sampling import epoch_batches, near_in_embedding, near_on_map

seeds = st.integers(0, 2**32 - 1)


def unit(rows):
    array = np.asarray(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def haversine_metres(one, other):
    """One pair of places, with radians where they belong."""
    (lat, lon), (lat2, lon2) = (np.radians(place).tolist() for place in (one, other))
    half = math.sin((lat2 - lat) / 2) ** 2
    half += math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def slow_neighbours(distances, count):
    """Row by row: all others by distance, then by index."""
    return [
        sorted((j for j in range(len(row)) if j != k), key=lambda j, row=row: (row[j], j))[:count]
        for k, row in enumerate(distances)
    ]


def in_a_region(rng, number):
    return np.stack([rng.uniform(47, 49, number), rng.uniform(7, 9, number)], axis=1)


@given(seed=seeds, number=st.integers(2, 90), count=st.integers(1, 20))
@settings(max_examples=25)
def test_neighbours_on_the_map_are_the_nearest_along_great_circles(seed, number, count):
    places = in_a_region(np.random.default_rng(seed), number)
    distances = [[haversine_metres(one, other) for other in places] for one in places]
    assert near_on_map(places, count).tolist() == slow_neighbours(distances, count)


@given(seed=seeds)
@settings(max_examples=10)
def test_neighbours_are_right_all_over_the_globe(seed):
    rng = np.random.default_rng(seed)
    places = np.stack([rng.uniform(-90, 90, 60), rng.uniform(-180, 180, 60)], axis=1)
    distances = np.array([[haversine_metres(one, other) for other in places] for one in places])
    found = np.take_along_axis(distances, near_on_map(places, 5), axis=1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(found, np.sort(distances, axis=1)[:, :5], atol=0.01)


def test_places_a_hand_apart_are_told_apart():
    # Eleven centimetres: 32 bits know a place to half a metre only.
    steps = np.random.default_rng(0).permutation(70)
    places = np.stack([48 + steps * 1e-6, np.full(70, 8.0)], axis=1)
    nearest = near_on_map(places, 2)
    assert set(np.abs(steps[nearest[steps == 30]] - 30).ravel()) == {1}
    assert steps[nearest[steps == 0]].ravel().tolist() == [1, 2]


def test_neighbours_reach_across_the_date_line_and_the_pole():
    places = np.array([[0, 179.99], [0, -179.99], [0, 179.9], [89.99, 0], [89.99, 180], [89.9, 0]])
    assert near_on_map(places, 1)[[0, 3]].ravel().tolist() == [1, 4]


def test_a_degree_of_longitude_is_shorter_in_the_north():
    # At 60 degrees 0.8 degrees to the east are 44 km, 0.6 degrees to the north 67 km. Degrees
    # taken for radians, as in the released code, give another order.
    places = np.array([[60.0, 10.0], [60.6, 10.0], [60.0, 10.8]])
    assert near_on_map(places, 2)[0].tolist() == [2, 1]


@pytest.mark.parametrize("number", [5, 200])
def test_places_at_one_point_are_neighbours_by_index(number):
    # 200 are more than are looked up at first: the tie at the end is settled among all.
    found = near_on_map(np.full((number, 2), 12.5), 3)
    assert found[0].tolist() == [1, 2, 3]
    assert found[1].tolist() == [0, 2, 3]
    assert (found[4:] == [0, 1, 2]).all()


def test_ties_at_the_end_are_settled_by_index_where_only_some_places_have_them():
    # A crowd at one point, its indices mixed with those of lone places elsewhere.
    rng = np.random.default_rng(4)
    places = in_a_region(rng, 300)
    crowd = np.sort(rng.choice(300, 120, replace=False))
    places[crowd] = (48.0, 8.0)
    distances = [[round(haversine_metres(a, b), 3) for b in places] for a in places]
    assert near_on_map(places, 7).tolist() == slow_neighbours(distances, 7)


@given(seed=seeds)
@settings(max_examples=10)
def test_neighbours_do_not_depend_on_the_order_of_the_places(seed):
    rng = np.random.default_rng(seed)
    places = in_a_region(rng, 50)
    order = rng.permutation(50)
    np.testing.assert_array_equal(
        order[near_on_map(places[order], 6)], near_on_map(places, 6)[order]
    )


def test_few_places_have_as_many_neighbours_as_there_are_others():
    rng = np.random.default_rng(0)
    assert near_on_map(in_a_region(rng, 4), 128).shape == (4, 3)
    assert near_on_map(in_a_region(rng, 1), 128).shape == (1, 0)
    rows = unit(rng.normal(size=(4, 8)))
    assert near_in_embedding(rows, rows, 128).shape == (4, 3)
    assert near_in_embedding(rows[:1], rows[:1], 128).shape == (1, 0)


@pytest.mark.parametrize("place", [(90.5, 0.0), (0.0, 361.0), (math.nan, 0.0), (0.0, math.inf)])
def test_a_position_that_is_nowhere_is_named(place):
    with pytest.raises(DataError, match="place 1 of 3 lies"):
        near_on_map(np.array([(48.0, 8.0), place, (48.0, 8.1)]), 1)


@pytest.mark.parametrize("shape", [(0, 2), (3, 3), (4,)])
def test_positions_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="are not"):
        near_on_map(np.zeros(shape), 1)


def test_no_neighbours_cannot_be_asked_for():
    with pytest.raises(ValueError, match="none"):
        near_on_map(np.zeros((3, 2)), 0)


@given(seed=seeds, number=st.integers(2, 120), count=st.integers(1, 20))
@settings(max_examples=25)
def test_neighbours_in_the_embedding_are_the_likest_references(seed, number, count):
    rng = np.random.default_rng(seed)
    queries, references = (unit(rng.normal(size=(number, 16))) for _ in range(2))
    found = near_in_embedding(queries, references, count)
    exact = -(queries.astype(np.float64) @ references.astype(np.float64).T)
    reached = np.take_along_axis(exact, found, axis=1)
    np.fill_diagonal(exact, np.inf)
    width = min(count, number - 1)
    # Not the indices: two cosines may lie nearer to each other than float32 can tell.
    np.testing.assert_allclose(reached, np.sort(exact, axis=1)[:, :width], atol=3e-6)
    assert all(len(set(row)) == width for row in found.tolist())
    assert not (found == np.arange(number)[:, None]).any()


@pytest.mark.parametrize("number", [40, 300])
def test_references_that_are_the_same_come_by_index(number):
    # Five different rows, far from each other, over and over again.
    kinds = np.random.default_rng(1).integers(5, size=number)
    rows = np.eye(5, dtype=np.float32)[kinds]
    turned = unit(rows + 0.3 * np.roll(rows, 1, axis=1) + 0.1)
    distances = np.round(-(turned.astype(np.float64) @ rows.T), 6)
    assert near_in_embedding(turned, rows, 9).tolist() == slow_neighbours(distances, 9)


def test_an_embedding_that_collapsed_gives_neighbours_by_index():
    same = unit(np.ones((200, 8)))
    found = near_in_embedding(same, same, 3)
    assert found[0].tolist() == [1, 2, 3]
    assert (found[3:] == [0, 1, 2]).all()


def test_embeddings_that_cannot_be_compared_are_refused():
    rows = unit(np.ones((3, 4)))
    with pytest.raises(ModelError, match="the references' embeddings must have unit length"):
        near_in_embedding(rows, 2 * rows, 1)
    with pytest.raises(ModelError, match="NaN"):
        near_in_embedding(np.full((3, 4), np.nan, dtype=np.float32), rows, 1)
    with pytest.raises(ValueError, match="are no pairs"):
        near_in_embedding(rows, rows[:2], 1)


@given(seed=seeds, entries=st.integers(1, 5000))
@settings(max_examples=15)
def test_the_block_size_changes_no_neighbour(seed, entries):
    rng = np.random.default_rng(seed)
    places = np.round(in_a_region(rng, 70), 1)
    whole = near_on_map(places, 5)
    before = sampling._ENTRIES
    sampling._ENTRIES = entries
    try:
        np.testing.assert_array_equal(near_on_map(places, 5), whole)
    finally:
        sampling._ENTRIES = before


@given(
    seed=seeds,
    count=st.integers(2, 150),
    batch_size=st.integers(1, 40),
    width=st.integers(0, 30),
    select=st.tuples(st.integers(0, 12), st.integers(0, 12)),
)
def test_an_epoch_fills_all_batches_and_has_no_place_twice(seed, count, batch_size, width, select):
    batch_size, width = min(batch_size, count), min(width, count)
    rng = np.random.default_rng(seed)
    neighbours = np.array([rng.permutation(count)[:width] for _ in range(count)], dtype=np.int64)
    found = epoch_batches(count, batch_size, rng, neighbours, nearest=select[0], drawn=select[1])
    assert found.dtype == np.int64
    assert found.shape == (count // batch_size, batch_size)
    assert len(np.unique(found)) == found.size
    assert found.min() >= 0
    assert found.max() < count


def replayed(batch, used, neighbours, nearest):
    """Whether a batch is a chain of unused places, each with all it draws of its neighbours."""
    rest = list(batch)
    while rest:
        start = rest.pop(0)
        used.add(start)
        row = neighbours[start]
        near = [place for place in row[:nearest] if place not in used]
        taken, rest = rest[: len(near)], rest[len(near) :]
        if taken != near[: len(taken)]:
            return False
        used.update(taken)
        far = {place for place in row[nearest:] if place not in used}
        taken, rest = rest[: len(far)], rest[len(far) :]
        if not set(taken) <= far:
            return False
        used.update(taken)
    return True


@given(
    seed=seeds, count=st.integers(2, 80), batch_size=st.integers(1, 30), nearest=st.integers(0, 9)
)
def test_each_batch_is_places_by_chance_with_their_unused_neighbours(
    seed, count, batch_size, nearest
):
    rng = np.random.default_rng(seed)
    neighbours = near_on_map(in_a_region(rng, count), 12)
    batch_size = min(batch_size, count)
    # As many are drawn as there are, so that who must be in the batch is known.
    found = epoch_batches(count, batch_size, rng, neighbours, nearest=nearest, drawn=12)
    used = set()
    assert all(replayed(batch, used, neighbours.tolist(), nearest) for batch in found.tolist())


def test_a_batch_is_a_place_its_nearest_and_some_of_the_further_ones():
    count = 400
    neighbours = near_on_map(in_a_region(np.random.default_rng(0), count), 128)
    first = epoch_batches(count, 65, np.random.default_rng(1), neighbours)[0].tolist()
    row = neighbours[first[0]].tolist()
    assert first[1:33] == row[:32]
    assert set(first[33:]) <= set(row[32:])
    assert first[33:] != row[32:64]


def test_the_further_ones_are_drawn_evenly():
    count = 41
    row = np.arange(1, count)
    neighbours = np.stack([np.roll(np.arange(count), -k)[1:] for k in range(count)])
    drawn = np.zeros(count, dtype=int)
    for seed in range(600):
        rng = np.random.default_rng(seed)
        first = epoch_batches(count, 13, rng, neighbours, nearest=4, drawn=8)[0]
        drawn[(first[5:] - first[0]) % count] += 1
    # Eight of 36, 600 times: 133 each, with a standard deviation of 10.
    assert not drawn[:5].any()
    assert np.abs(drawn[row[4:]] - 600 * 8 / 36).max() < 45


def test_the_first_place_is_any_place():
    neighbours = near_on_map(in_a_region(np.random.default_rng(0), 20), 5)
    first = {
        int(epoch_batches(20, 4, np.random.default_rng(seed), neighbours)[0, 0])
        for seed in range(300)
    }
    assert first == set(range(20))


@pytest.mark.parametrize("near", [False, True])
def test_the_same_generator_gives_the_same_batches_and_another_gives_others(near):
    places = in_a_region(np.random.default_rng(0), 60)
    neighbours = near_on_map(places, 20) if near else None
    one, again, other = (
        epoch_batches(60, 8, np.random.default_rng(seed), neighbours, nearest=3, drawn=2)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_without_neighbours_an_epoch_is_a_permutation_without_its_rest():
    found = epoch_batches(23, 5, np.random.default_rng(2))
    order = np.random.default_rng(2).permutation(23)
    np.testing.assert_array_equal(found, order[:20].reshape(4, 5))


def test_neighbours_that_name_a_place_twice_or_itself_put_none_twice_into_an_epoch():
    neighbours = np.tile(np.array([0, 0, 1, 1, 2]), (12, 1))
    found = epoch_batches(12, 4, np.random.default_rng(0), neighbours, nearest=2, drawn=3)
    assert sorted(found.ravel().tolist()) == list(range(12))


def test_a_batch_of_more_places_than_there_are_is_refused():
    with pytest.raises(DataError, match="a batch of 8 needs as many places; there are 7"):
        epoch_batches(7, 8, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("neighbours", "fault"),
    [
        (np.zeros((3, 2), dtype=np.int64), "not those of 4 places"),
        (np.zeros(4, dtype=np.int64), "not those of 4 places"),
        (np.full((4, 2), 4), "outside the 4 places"),
        (np.full((4, 2), -1), "outside the 4 places"),
    ],
)
def test_neighbours_of_other_places_are_refused(neighbours, fault):
    with pytest.raises(ValueError, match=fault):
        epoch_batches(4, 2, np.random.default_rng(0), neighbours)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"nearest": -1}, {"drawn": -1}], ids=str)
def test_numbers_that_make_no_batches_are_refused(wrong):
    with pytest.raises(ValueError, match="no batches"):
        epoch_batches(**{"count": 4, "batch_size": 2, "rng": np.random.default_rng(0), **wrong})
