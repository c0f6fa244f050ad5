import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cvgl_bench.answers import Answers
from cvgl_bench.errors import RecordError
from cvgl_bench.pairing import compare, query_scores, standings
from cvgl_bench.statistics import Sample, intervals, recall_intervals, resampled


def sample_of(suite, hits, view="full"):
    """A run with these hits, (cells, Q); what is missed has rank 2."""
    cells = [cell for cell in suite.cells if cell.view == view]
    answers = (Answers(np.where(row, 1, 2)) for row in np.asarray(hits))
    return Sample(suite, view, dict(zip(cells, answers, strict=True)))


def drawn_hits(suite, queries, seed, ease=0.6):
    """Queries differ in how hard they are, so that their cells are correlated."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(2 * ease, 2 * (1 - ease), size=queries)
    return rng.random((len(suite.cells), queries)) < hard


@pytest.fixture
def suite(small_suite):
    return small_suite(pairs=200)


def test_resamples_are_those_of_an_index_by_index_bootstrap(suite):
    hits = drawn_hits(suite, 60, 1).astype(float)
    low, high = resampled(hits, lambda recalls: recalls, resamples=400)
    for row, own_low, own_high in zip(hits, low, high, strict=True):
        expected = stats.bootstrap(
            (np.arange(60),),
            lambda drawn, axis, row=row: row[drawn].mean(axis=axis),
            n_resamples=400,
            batch=100,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(20_260_101),
        ).confidence_interval
        assert (own_low, own_high) == pytest.approx((expected.low, expected.high))


def test_two_runs_on_the_same_queries_are_resampled_alike(suite):
    hits = drawn_hits(suite, 100, 2)
    again = compare(sample_of(suite, hits), sample_of(suite, hits))
    assert all(each.difference.low == each.difference.high == 0 for each in again.cells.values())
    assert again.overall["r1_cor"].low == again.overall["r1_cor"].high == 0
    assert again.p == 1


def test_every_average_lies_in_its_interval_and_more_queries_make_it_narrower(suite):
    widths = []
    for queries in (50, 800):
        reference = sample_of(suite, drawn_hits(suite, queries, 3, ease=0.4))
        found = intervals(sample_of(suite, drawn_hits(suite, queries, 4)), reference)
        assert {"r1_clean", "r1_cor", "rce", "auc", "mce", "relative_mce", "ce_contrast"} <= {
            *found
        }
        for name, each in found.items():
            assert each.low <= each.value <= each.high, name
        widths.append(found["r1_cor"].high - found["r1_cor"].low)
    assert widths[1] < widths[0] / 3


def test_an_average_over_cells_is_hardly_surer_than_a_cell_when_queries_are_alike(suite):
    # Each query is found in all cells or in none, so eighty cells say no more than one.
    hits = np.repeat(np.random.default_rng(5).random((1, 200)) < 0.5, len(suite.cells), axis=0)
    sample = sample_of(suite, hits)
    whole = intervals(sample)["r1_cor"]
    single = recall_intervals(sample)[sample.own[0]]
    assert (whole.low, whole.high) == pytest.approx((single.low, single.high))


def test_what_some_resample_leaves_undefined_has_no_interval(suite):
    hits = np.zeros((len(suite.cells), 40), bool)
    hits[:, 0] = True
    found = intervals(sample_of(suite, hits))
    assert np.isnan(found["rce"].low)
    assert found["r1_cor"].high > 0


def test_runs_of_other_queries_are_not_resampled_together(suite):
    one, other = (sample_of(suite, drawn_hits(suite, count, 6)) for count in (30, 31))
    with pytest.raises(RecordError, match=r"30, 31"):
        intervals(one, other)
    with pytest.raises(RecordError, match=r"30, 31"):
        compare(one, other)


@given(won=st.integers(0, 12), lost=st.integers(0, 12), both=st.integers(0, 5))
@settings(max_examples=20)
def test_mcnemar_counts_the_queries_that_one_run_alone_found(small_suite_plain, won, lost, both):
    suite = small_suite_plain
    queries = won + lost + both + 2
    place = np.arange(queries)
    first = (place < won) | (place >= queries - both)
    second = ((place >= won) & (place < won + lost)) | (place >= queries - both)
    rows = [np.tile(hits, (len(suite.cells), 1)) for hits in (first, second)]
    cell = next(iter(compare(*(sample_of(suite, hits) for hits in rows)).cells.values()))
    assert (cell.only_first, cell.only_second) == (won, lost)
    tail = min(1.0, 2 * stats.binom.cdf(min(won, lost), won + lost, 0.5))
    assert cell.p == pytest.approx(tail)
    assert cell.difference.value == pytest.approx((won - lost) / queries)


@pytest.fixture(scope="module")
def small_suite_plain():
    from cvgl_bench.suite import load_suite

    return load_suite("cvtown-c")


def test_corrected_p_values_are_never_below_the_plain_ones(suite):
    one, other = (sample_of(suite, drawn_hits(suite, 150, seed)) for seed in (7, 8))
    cells = compare(one, other).cells.values()
    assert all(each.p <= each.adjusted <= 1 for each in cells)


def test_a_better_model_stands_before_and_equal_ones_are_tied(suite):
    rng = np.random.default_rng(9)
    hard = rng.random(300)
    scores = {
        "best": np.clip(1 - hard / 2 + rng.normal(0, 0.05, 300), 0, 1),
        "one": np.clip(0.6 - hard / 2 + rng.normal(0, 0.05, 300), 0, 1),
    }
    scores["other"] = scores["one"][::-1].copy()
    places = standings(scores)
    assert (places["best"].best, places["best"].worst) == (1, 1)
    assert {(places[name].best, places[name].worst) for name in ("one", "other")} == {(2, 3)}
    assert standings({"only": scores["one"]})["only"].worst == 1


def test_a_querys_score_is_its_mean_over_the_corrupted_cells(suite):
    sample = sample_of(suite, drawn_hits(suite, 40, 10))
    corrupted = [sample.cells[cell].hits for cell in sample.own if cell.severity]
    assert query_scores(sample).mean() == pytest.approx(intervals(sample)["r1_cor"].value)
    np.testing.assert_allclose(query_scores(sample), np.mean(corrupted, axis=0))
    clean = {cell: each for cell, each in sample.cells.items() if not cell.severity}
    assert query_scores(Sample(suite, "full", clean)) is None
    assert np.isnan(compare(Sample(suite, "full", clean), sample).p)


def test_runs_without_a_common_cell_cannot_be_compared(suite):
    sample = sample_of(suite, drawn_hits(suite, 10, 11))
    cells = list(sample.cells.items())
    halves = [Sample(suite, "full", dict(half)) for half in (cells[:2], cells[2:])]
    with pytest.raises(RecordError, match="no cell in common"):
        compare(*halves)
