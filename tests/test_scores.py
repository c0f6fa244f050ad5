import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from corruptions import CORRUPTIONS
from cvgl_bench import scores
from cvgl_bench.errors import ModelError
from cvgl_bench.scores import (
    TIE_TOLERANCE,
    check_embeddings,
    corruption_means,
    mean_corruption_error,
    mean_corruption_recall,
    ranks,
    recall_at,
    recall_at_one_percent,
    relative_corruption_error,
)


def unit(rows):
    array = np.asarray(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


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
    before = scores._BLOCK_BYTES
    scores._BLOCK_BYTES = block
    try:
        np.testing.assert_array_equal(ranks(queries, references, positives), whole)
    finally:
        scores._BLOCK_BYTES = before


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


def test_recalls_worked_out_by_hand():
    rank = np.array([1, 1, 2, 5, 6, 11])
    assert [recall_at(rank, k) for k in (1, 5, 10)] == [2 / 6, 4 / 6, 5 / 6]


@pytest.mark.parametrize(("references", "k"), [(100, 1), (199, 1), (200, 2), (8884, 88)])
def test_one_percent_is_rounded_down(references, k):
    rank = np.arange(1, references + 1)
    assert recall_at_one_percent(rank, references) == k / references


def test_one_percent_of_fewer_than_100_references_is_not_a_number():
    assert recall_at_one_percent(np.array([1]), 99) is None


@given(rank=st.lists(st.integers(1, 50), min_size=1), k=st.integers(1, 49))
def test_recall_grows_with_k_and_is_a_fraction(rank, k):
    array = np.array(rank)
    assert 0 <= recall_at(array, k) <= recall_at(array, k + 1) <= recall_at(array, 50) == 1


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


# Zhang and Zhu, ECCV 2024, R@1 in percent, in the order of the published tables.
SAFA_ON_CVUSA_C = dict(
    zip(
        CORRUPTIONS,
        [
            *(19.32, 60.42, 67.63, 81.96, 49.86, 51.24, 80.56, 55.49),
            *(11.44, 33.04, 28.51, 30.37, 37.59, 31.67, 88.05, 81.15),
        ],
        strict=True,
    )
)
DSM_ON_CVUSA_C = dict(
    zip(
        CORRUPTIONS,
        [
            *(24.24, 64.44, 84.08, 82.44, 57.58, 62.48, 84.52, 66.02),
            *(25.15, 49.55, 46.40, 48.84, 60.83, 72.11, 90.20, 85.56),
        ],
        strict=True,
    )
)


def test_the_published_averages_come_out():
    # SAFA on CVUSA-C: R@1_cor 50.52, RCE 43.77 %.
    corrupted = mean_corruption_recall(SAFA_ON_CVUSA_C)
    assert corrupted == pytest.approx(50.52, abs=0.005)
    assert 100 * relative_corruption_error(89.84, corrupted) == pytest.approx(43.77, abs=0.005)


def test_mce_is_the_error_as_a_share_of_the_references():
    safa, dsm = (
        {name: value / 100 for name, value in table.items()}
        for table in (SAFA_ON_CVUSA_C, DSM_ON_CVUSA_C)
    )
    assert mean_corruption_error(safa, safa) == 1
    assert 100 * mean_corruption_error(dsm, safa) == pytest.approx(76.14, abs=0.01)


def test_mce_is_undefined_where_the_reference_makes_no_error():
    assert mean_corruption_error({"fog": 0.5}, {"fog": 1.0}) is None
    with pytest.raises(ValueError, match="same corruptions"):
        mean_corruption_error({"fog": 0.5}, {"snow": 0.5})


def test_rce_is_undefined_for_a_model_that_finds_nothing():
    assert relative_corruption_error(0, 0) is None
    assert relative_corruption_error(0.5, 0.6) == pytest.approx(-0.2)


def test_means_are_taken_over_severities_first():
    recall = {("fog", 1): 0.8, ("fog", 5): 0.4, ("snow", 1): 0.2}
    assert corruption_means(recall) == {"fog": pytest.approx(0.6), "snow": 0.2}
