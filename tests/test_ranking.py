import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvgl_bench.errors import ModelError
from cvgl_bench.products import by_bfloat16, by_device, by_numpy
from cvgl_bench.ranking import TIE_TOLERANCE, check_embeddings, rank_all
from cvgl_bench.scores import recall_at, recall_at_one_percent


def unit(rows):
    array = np.asarray(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def ranks(queries, references, positives, **options):
    return rank_all(queries, references, positives, **options).ranks


def brute_force(queries, references, positives):
    """One query and one reference at a time, in float64."""
    result = []
    for query, positive in zip(queries.astype(np.float64), positives, strict=True):
        similarity = [float(np.dot(query, other)) for other in references.astype(np.float64)]
        true = similarity[positive]
        result.append(sum(value >= true - TIE_TOLERANCE for value in similarity))
    return result


def test_ranks_worked_out_by_hand():
    references = unit([[1, 0], [0, 1], [1, 1]])
    queries = unit([[1, 0.1], [1, 0.1], [0, 1]])
    assert ranks(queries, references, [0, 1, 2]).tolist() == [1, 3, 2]


# Whole-number vectors whose lengths are whole too: their similarities are far from each other or
# equal, so that float32 and float64 cannot disagree about a tie.
PYTHAGOREAN = np.array([[3, 4, 0], [4, 3, 0], [0, 3, 4], [0, -3, 4], [5, 0, 0], [-3, 0, 4]]) / 5


@given(
    queries=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    references=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    data=st.data(),
)
def test_ranks_agree_with_one_by_one_counting_duplicates_and_all(queries, references, data):
    positives = data.draw(
        st.lists(st.integers(0, len(references) - 1), min_size=len(queries), max_size=len(queries))
    )
    query_rows = PYTHAGOREAN[queries].astype(np.float32)
    reference_rows = PYTHAGOREAN[references].astype(np.float32)
    found = ranks(query_rows, reference_rows, positives)
    assert found.tolist() == brute_force(query_rows, reference_rows, positives)


def crowded(seed, *, queries, references, dimensions, noise):
    """Queries near and far from their references, duplicates, and a clique of near duplicates."""
    rng = np.random.default_rng(seed)
    gallery = unit(rng.normal(size=(references, dimensions)))
    gallery[1::7] = gallery[0]
    gallery[2::7] = unit(gallery[0] + 3e-4 * rng.normal(size=gallery[2::7].shape))
    truth = rng.integers(references, size=queries)
    strength = noise * rng.random((queries, 1))
    asked = unit(gallery[truth] + strength * rng.normal(size=(queries, dimensions)))
    asked[::9] = gallery[truth[::9]]
    return asked, gallery, truth


def by_float64(queries, references, truth):
    """Ranks, similarities of the five nearest, and their rows, by one full product."""
    similarity = queries.astype(np.float64) @ references.astype(np.float64).T
    true = similarity[np.arange(len(truth)), truth]
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :5]
    values = np.take_along_axis(similarity, order, axis=1)
    return (similarity >= true[:, None] - TIE_TOLERANCE).sum(axis=1), values, similarity


@given(
    seed=st.integers(0, 2**32 - 1),
    references=st.integers(1, 900),
    dimensions=st.sampled_from([3, 16, 130]),
    noise=st.sampled_from([0.01, 1.0, 10.0]),
    resources=st.fixed_dictionaries(
        {
            "memory": st.sampled_from([1, 1 << 16, 1 << 20, 1 << 28]),
            "device": st.sampled_from([None, "cpu"]),
        }
    ),
)
@settings(max_examples=60)  # the first may compile
def test_every_rank_is_that_of_float64(seed, references, dimensions, noise, resources):
    asked, gallery, truth = crowded(
        seed, queries=40, references=references, dimensions=dimensions, noise=noise
    )
    answer = rank_all(asked, gallery, truth, **resources)
    expected, values, similarity = by_float64(asked, gallery, truth)
    np.testing.assert_array_equal(answer.ranks, expected)
    assert answer.first.shape == (40, min(5, references))
    mine = np.take_along_axis(similarity, answer.first, axis=1)
    # Where the true reference is tied for the first place, it may have given way to the second.
    np.testing.assert_allclose(np.sort(mine)[:, ::-1], values, atol=1e-12)
    np.testing.assert_allclose(mine, values, atol=1.1 * TIE_TOLERANCE)
    assert all(len(set(row)) == len(row) for row in answer.first.tolist())
    np.testing.assert_array_equal((answer.found == truth), answer.ranks == 1)
    if references > 1:
        np.testing.assert_allclose(answer.margins, values[:, 0] - values[:, 1], atol=1e-7)


BY = [by_numpy, by_bfloat16, lambda references: by_device(references, "cpu")]


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 1.0078]),
    dimensions=st.sampled_from([1, 33, 700]),
)
@settings(max_examples=20)
@pytest.mark.parametrize("by", BY, ids=["numpy", "bfloat16", "device"])
def test_a_product_is_never_farther_off_than_it_says(by, seed, scale, dimensions):
    asked, gallery, truth = crowded(
        seed, queries=30, references=70, dimensions=dimensions, noise=1.0
    )
    asked, gallery = np.abs(asked) * np.float32(scale), np.abs(gallery)
    _, _, similarity = by_float64(asked, gallery, truth)
    bits, errors = by(gallery).block(asked)
    approximate, rounding = floats(bits)
    off = np.abs(approximate - similarity) - rounding * np.abs(approximate)
    assert (off <= errors[:, None]).all()


def floats(bits):
    """The numbers that bits stand for, and how much of each their last rounding may have moved."""
    if bits.dtype == np.int32:
        return bits.view(np.float32).astype(np.float64), 0.0
    wide = bits.astype(np.int32) << 16
    return wide.view(np.float32).astype(np.float64), 2.0**-8


@pytest.mark.parametrize("device", [None, "cpu"])
def test_alike_embeddings_are_ranked_by_all_their_similarities(device):
    """A collapsed model: every reference lies within the error of every other."""
    rng = np.random.default_rng(5)
    asked, gallery = (unit(1 + 1e-4 * rng.normal(size=(n, 64))) for n in (50, 2000))
    truth = rng.integers(2000, size=50)
    answer = rank_all(asked, gallery, truth, device=device)
    np.testing.assert_array_equal(answer.ranks, by_float64(asked, gallery, truth)[0])
    assert np.median(answer.ranks) > 100


@given(
    vector=arrays(np.float32, (37,), elements=st.floats(-1, 1, width=32)),
    count=st.integers(2, 300),
)
def test_constant_embeddings_rank_last_whatever_the_constant(vector, count):
    vector[0] = 1.0
    same = np.repeat(unit([vector]), count, axis=0)
    assert ranks(same, same, range(count)).tolist() == [count] * count


def test_a_duplicate_of_the_true_reference_costs_the_first_place():
    references = unit([[1, 2, 3], [1, 2, 3], [3, 2, 1]])
    assert ranks(references, references, [0, 1, 2]).tolist() == [2, 2, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_even_if_nobody_checked(value):
    queries = unit(np.eye(3))
    broken = queries.copy()
    broken[1, 1] = value
    for pair in ((broken, queries), (queries, broken)):
        with pytest.raises(ValueError, match="NaN"):
            rank_all(*pair, [0, 1, 2])


@given(
    queries=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    references=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    data=st.data(),
)
def test_what_is_found_first_and_by_how_much_agrees_with_a_sorted_list(queries, references, data):
    positives = data.draw(
        st.lists(st.integers(0, len(references) - 1), min_size=len(queries), max_size=len(queries))
    )
    rows = PYTHAGOREAN[queries].astype(np.float32), PYTHAGOREAN[references].astype(np.float32)
    answer = rank_all(*rows, positives)
    for number, (query, positive) in enumerate(zip(rows[0], positives, strict=True)):
        similarity = [float(np.dot(query, other)) for other in rows[1]]
        ordered = sorted(similarity, reverse=True)
        found = int(answer.found[number])
        assert similarity[found] == pytest.approx(ordered[0], abs=1e-6)
        assert (found == positive) == (answer.ranks[number] == 1), "a tie counts against the model"
        if len(ordered) > 1:
            margin = ordered[0] - ordered[1]
            assert answer.margins[number] == pytest.approx(margin, abs=1e-6)
        else:
            assert np.isnan(answer.margins[number])


def test_no_query_has_no_rank():
    answer = rank_all(np.empty((0, 3), np.float32), unit(np.eye(3)), [])
    assert [len(part) for part in (answer.ranks, answer.found, answer.margins)] == [0, 0, 0]


@pytest.mark.parametrize("dimensions", [8, 200])
@pytest.mark.parametrize("alike", [False, True])
def test_memory_stays_within_its_bound(dimensions, alike):
    rng = np.random.default_rng(2)
    queries, references = (unit(rng.normal(size=(3000, dimensions))) for _ in range(2))
    if alike:
        references[:] = references[0]
    rank_all(queries[:50], references, range(50))
    memory = 2 << 20
    tracemalloc.start()
    rank_all(queries, references, range(3000), memory=memory)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < memory + 120 * 3000


@pytest.mark.parametrize("memory", [1, 1 << 16, 1 << 28])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_equal_references_are_listed_in_their_order(memory, device):
    rng = np.random.default_rng(4)
    queries, references = (unit(rng.normal(size=(n, 100))) for n in (60, 900))
    references[100:500] = references[50]
    queries[:30] = unit(references[50] + 0.1 * rng.normal(size=(30, 100)))
    answer = rank_all(queries, references, [50] * 60, memory=memory, device=device)
    assert (answer.ranks[:30] == 401).all()
    # 50 is the true one and tied, so it comes second.
    assert (answer.first[:30] == [100, 50, 101, 102, 103]).all()
    assert (answer.margins[:30] == 0).all()


def test_other_types_and_orders_are_read_as_what_they_are():
    queries, references, truth = crowded(3, queries=40, references=500, dimensions=24, noise=1.0)
    expected = rank_all(queries, references, truth)
    frozen = references.copy()
    frozen.setflags(write=False)
    others = {
        "double": (queries.astype(np.float64), references.astype(np.float64)),
        "other order": (np.asfortranarray(queries), np.asfortranarray(references)),
        "other ends": (queries.astype(">f4"), references.astype(">f4")),
        "steps": (np.repeat(queries, 2, axis=1)[:, ::2], references[::-1][::-1]),
        "read only": (queries, frozen),
    }
    for what, pair in others.items():
        for device in (None, "cpu"):
            found = rank_all(*pair, truth, device=device)
            np.testing.assert_array_equal(found.ranks, expected.ranks, err_msg=what)
            np.testing.assert_array_equal(found.first, expected.first, err_msg=what)
    halves = [rows.astype(np.float16) for rows in (queries, references)]
    as_read = rank_all(*(rows.astype(np.float32) for rows in halves), truth)
    np.testing.assert_array_equal(rank_all(*halves, truth).ranks, as_read.ranks)


def test_what_is_no_table_of_unit_vectors_is_refused():
    with pytest.raises(ValueError, match="fit"):
        rank_all(np.ones(3, np.float32), np.ones(3, np.float32), [0, 1, 2])
    with pytest.raises(ValueError, match="unit length"):
        rank_all(np.full((2, 3), 1e20, np.float32), unit(np.eye(3)), [0, 1])


def test_random_embeddings_score_within_chance():
    rng = np.random.default_rng(3)
    queries, references = (unit(rng.normal(size=(2000, 16))) for _ in range(2))
    rank = ranks(queries, references, range(2000))
    # 2,000 queries at 1 in 2,000 each: Poisson of mean 1, 10 or more has probability 1e-7.
    assert recall_at(rank, 1) < 10 / 2000
    # 1 % of 2,000 is K = 20: binomial of mean 20, standard deviation 4.4; five of them.
    assert abs(recall_at_one_percent(rank, 2000) - 0.01) < 0.011


@pytest.mark.parametrize(
    ("queries", "references", "positives"),
    [((2, 3), (4, 2), [0, 1]), ((2, 3), (4, 3), [0]), ((2, 3), (4, 3), [0, 4])],
)
def test_shapes_that_do_not_fit_are_refused(queries, references, positives):
    with pytest.raises(ValueError, match=r"fit|outside"):
        ranks(np.ones(queries, np.float32), np.ones(references, np.float32), positives)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.__setitem__((2, 0), np.nan), r"1 of 4 .*number 2"),
        (lambda e: e.__setitem__((1, 1), np.inf), "infinity"),
        (lambda e: e.__imul__(2), "unit length"),
        (lambda e: e.__setitem__(3, 0), "unit length, one has 0"),
    ],
)
def test_broken_embeddings_are_refused(change, message):
    embeddings = unit(np.eye(4))
    change(embeddings)
    with pytest.raises(ModelError, match=message):
        check_embeddings(embeddings, "the queries of 'x'")


@pytest.mark.parametrize("shape", [(4,), (0, 4), (4, 0), (2, 2, 2)])
def test_embeddings_of_another_shape_are_refused(shape):
    with pytest.raises(ModelError, match="shape"):
        check_embeddings(np.ones(shape, np.float32), "x")
