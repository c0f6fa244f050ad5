import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.ranking import TIE_TOLERANCE, rank_all
from cvgl_bench.relations import Relations, rank_related
from cvgl_bench.scores import average_precision, hit_rate


def unit(rows):
    array = np.asarray(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def by_hand(query, references, true):
    """Ranks of all true references, by the definition; wrong ones as similar come first."""
    similarity = references.astype(np.float64) @ query.astype(np.float64)
    wrong = [value for row, value in enumerate(similarity) if row not in true]
    own = sorted((similarity[row] for row in true), reverse=True)
    return [
        place + sum(value >= one - TIE_TOLERANCE for value in wrong)
        for place, one in enumerate(own, start=1)
    ]


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 30), st.booleans(), st.booleans())
def test_ranks_are_those_by_hand(seed, number, coarse, little_memory):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(number, 3))
    # Rounded rows are often equal, which makes ties of all kinds.
    references = unit(np.add(np.round(rows), [0, 0, 0.5]) if coarse else rows)
    queries = references[rng.integers(number, size=5)]
    true = [
        rng.choice(number, size=rng.integers(1, number), replace=False).tolist() for _ in queries
    ]
    memory = 64 * number + (1 << 20) if little_memory else 1 << 28
    found = rank_related(queries, references, Relations.of(true), memory=memory)
    for row, query in enumerate(queries):
        expected = by_hand(query, references, true[row])
        assert found.ranking.ranks[row] == expected[0]
        assert found.precision[row] == average_precision(expected)
        first = found.ranking.first[row].tolist()
        assert (first[0] in true[row]) == (expected[0] == 1)
        assert found.true[row] in true[row]
        assert (first[0] == found.true[row]) == (expected[0] == 1)
        assert len(set(first)) == len(first) == min(5, number)


def test_one_true_reference_a_query_ranks_as_it_always_did():
    rng = np.random.default_rng(4)
    queries, references = (unit(rng.normal(size=(size, 8))) for size in (40, 400))
    true = rng.integers(400, size=40)
    related = rank_related(queries, references, Relations.of([[row] for row in true.tolist()]))
    plain = rank_all(queries, references, true)
    np.testing.assert_array_equal(related.ranking.ranks, plain.ranks)
    np.testing.assert_array_equal(related.ranking.first, plain.first)
    expected = [1 if rank == 1 else 1 / (2 * rank) for rank in plain.ranks.tolist()]
    np.testing.assert_allclose(related.precision, expected, rtol=1e-12)


def test_constant_embeddings_find_nothing_however_many_are_true():
    rows = np.zeros((60, 4), np.float32)
    rows[:, 0] = 1
    true = [list(range(10)), list(range(10, 20))]
    found = rank_related(rows[:2], rows, Relations.of(true))
    assert found.ranking.ranks.tolist() == [51, 51]
    assert not set(found.ranking.found[:1].tolist()) & set(true[0])
    assert (found.precision < 0.3).all()


def test_a_tie_of_true_references_is_none():
    references = unit([[1, 0], [1, 0], [0, 1]])
    found = rank_related(references[:1], references, Relations.of([[1, 0]]))
    assert found.ranking.ranks.tolist() == [1]
    assert found.precision.tolist() == [1]
    found = rank_related(references[:1], references, Relations.of([[1, 2]]))
    assert found.ranking.ranks.tolist() == [2]
    assert found.ranking.found.tolist() == [0]


def test_a_semi_positive_is_a_hit_and_no_recall():
    references = unit([[1, 0.0], [1, 0.1], [0, 1]])
    true, semi = [[1], [1], [1]], [[0], [2], []]
    found = rank_related(references[[0, 0, 1]], references, Relations.of(true, semi))
    assert found.ranking.ranks.tolist() == [2, 2, 1]
    assert found.shows_place.tolist() == [True, False, True]
    assert found.precision is None
    accepted = [one + other for one, other in zip(true, semi, strict=True)]
    assert np.mean(found.shows_place) == hit_rate(found.ranking.found, accepted)


@pytest.mark.parametrize(
    ("true", "semi", "told"),
    [
        ([[0]], None, "1 queries have relations, not 2"),
        ([[0], []], None, "no true reference"),
        ([[0], [3]], None, "outside the 3 references"),
        ([[0], [-1]], None, "outside the 3 references"),
        ([[0], [1, 1]], None, "twice"),
        ([[0], [1]], [[2], [5]], "outside the 3 references"),
    ],
)
def test_relations_of_other_pictures_are_refused(true, semi, told):
    with pytest.raises(ValueError, match=told):
        Relations.of(true, semi).refuse_unfit(2, 3)
