import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvgl_bench.errors import ModelError
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


@given(block=st.integers(1, 4000), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_block_size_changes_no_rank(block, seed):
    rng = np.random.default_rng(seed)
    queries, references = (unit(rng.normal(size=(17, 5))) for _ in range(2))
    positives = rng.integers(17, size=17)
    whole = ranks(queries, references, positives)
    np.testing.assert_array_equal(ranks(queries, references, positives, block_bytes=block), whole)


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


def test_nan_counts_against_the_model_even_if_nobody_checked():
    queries = unit(np.eye(3))
    broken = queries.copy()
    broken[1] = np.nan
    assert ranks(broken, queries, [0, 1, 2]).tolist() == [1, 3, 1]
    assert ranks(queries, broken, [0, 1, 2])[1] == 3


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


@pytest.mark.parametrize("device", ["cpu"])
@pytest.mark.parametrize("block", [1, 5000, 1 << 28])
def test_torch_gives_what_numpy_gives(device, block):
    rng = np.random.default_rng(8)
    queries, references = (unit(rng.normal(size=(83, 7))) for _ in range(2))
    references[40] = references[11]
    queries[3] = np.nan
    positives = rng.integers(83, size=83)
    one = rank_all(queries, references, positives)
    other = rank_all(queries, references, positives, device=device, block_bytes=block)
    np.testing.assert_array_equal(one.ranks, other.ranks)
    known = np.arange(83) != 3
    # Equal references may come in either order.
    same = {40: 11}
    names = [
        [same.get(row, row) for row in answer.found[known].tolist()] for answer in (one, other)
    ]
    assert names[0] == names[1]
    np.testing.assert_allclose(one.margins[known], other.margins[known], atol=1e-6)


def test_no_query_has_no_rank():
    answer = rank_all(np.empty((0, 3), np.float32), unit(np.eye(3)), [])
    assert [len(part) for part in (answer.ranks, answer.found, answer.margins)] == [0, 0, 0]


def test_memory_stays_within_a_block_and_a_quarter():
    rng = np.random.default_rng(2)
    queries, references = (unit(rng.normal(size=(3000, 8))) for _ in range(2))
    block = 1 << 20
    tracemalloc.start()
    rank_all(queries, references, range(3000), block_bytes=block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * block + 100 * 3000


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
