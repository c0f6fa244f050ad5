import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions import CORRUPTIONS
from cvgl_bench.scores import (
    METRICS,
    area_under_curve,
    average_precision,
    breaking_severity,
    corruption_error,
    corruption_means,
    errors_in_metres,
    hit_rate,
    mean_corruption_error,
    mean_corruption_recall,
    mean_of,
    recall_at,
    recall_at_one_percent,
    recall_at_one_percent_plus,
    relative_corruption_error,
    relative_mean_corruption_error,
)


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


def fractions(table):
    return {name: value / 100 for name, value in table.items()}


def test_mce_is_the_error_as_a_share_of_the_references():
    safa, dsm = fractions(SAFA_ON_CVUSA_C), fractions(DSM_ON_CVUSA_C)
    assert mean_corruption_error(safa, safa, 1e-4) == 1
    assert 100 * mean_corruption_error(dsm, safa, 1e-4) == pytest.approx(76.14, abs=0.01)
    by_hand = (100 - 24.24) / (100 - 19.32)
    assert corruption_error(dsm, safa, 1e-4)["snow"] == pytest.approx(by_hand)


def test_a_reference_without_an_error_counts_as_if_it_had_missed_one_query():
    errors = corruption_error({"fog": 0.5, "snow": 0.9}, {"fog": 1.0, "snow": 0.8}, 0.01)
    assert errors == {"fog": pytest.approx(50), "snow": pytest.approx(0.5)}
    with pytest.raises(ValueError, match="same corruptions"):
        mean_corruption_error({"fog": 0.5}, {"snow": 0.5}, 0.01)
    with pytest.raises(ValueError, match="above 0"):
        mean_corruption_error({"fog": 0.5}, {"fog": 0.5}, 0)


def test_relative_mce_compares_what_is_lost():
    own, reference = (0.9, {"fog": 0.6, "snow": 0.9}), (0.8, {"fog": 0.2, "snow": 0.7})
    # 0.3 / 0.6, and nothing lost of 0.1, which counts as 0.01.
    assert relative_mean_corruption_error(own, reference, 0.01) == pytest.approx(0.3)
    strong = (0.9081, {"pixelate": 0.9026})
    weak = (0.9, {"pixelate": 0.8})
    assert relative_mean_corruption_error(weak, strong, 0.01) == pytest.approx(0.1 / 0.01)


def test_rce_is_undefined_for_a_model_that_finds_nothing():
    assert math.isnan(relative_corruption_error(0, 0))
    assert relative_corruption_error(0.5, 0.6) == pytest.approx(-0.2)


def test_one_percent_the_older_way_counts_one_reference_more():
    rank = np.arange(1, 8885)
    assert recall_at_one_percent(rank, 8884) == 88 / 8884
    assert recall_at_one_percent_plus(rank, 8884) == 89 / 8884
    assert recall_at_one_percent_plus(np.array([1, 2]), 50) == 0.5


def test_a_hit_is_any_reference_that_shows_the_place():
    assert hit_rate(np.array([4, 1, 0]), [[4], [0, 1, 2, 3], [2, 3]]) == pytest.approx(2 / 3)


def precision_over_recall(ranks, references):
    """The area by trapezoids, walking down the list of references one by one."""
    found, area, before = 0, 0.0, 1.0
    for place in range(1, references + 1):
        if place in ranks:
            found += 1
            area += (before + found / place) / 2 / len(ranks)
        before = found / place
    return area


@given(ranks=st.sets(st.integers(1, 40), min_size=1, max_size=12))
def test_average_precision_is_the_area_under_the_curve(ranks):
    assert average_precision([*ranks]) == pytest.approx(precision_over_recall(ranks, 40))
    assert 0 < average_precision([*ranks]) <= 1


def test_average_precision_by_hand():
    assert average_precision([1, 2, 3]) == 1
    assert average_precision([2]) == pytest.approx(0.25), "from 0 at place 1 to 1/2 at place 2"
    for wrong in ([], [0], [2, 2]):
        with pytest.raises(ValueError, match="different ranks"):
            average_precision(wrong)


def test_metres_are_those_of_the_ellipsoid():
    # A degree of latitude at the equator has 110,574.39 m, one of longitude 111,319.49 m (WGS 84).
    queries = np.array([[0.0, 0.0], [0.0, 179.5]])
    references = np.array([[1.0, 0.0], [0.0, -179.5], [0.0, 0.0]])
    assert errors_in_metres(queries, references, np.array([0, 1])) == pytest.approx(
        [110574.39, 111319.49], abs=0.01
    )
    assert errors_in_metres(queries[:1], references, np.array([2])) == 0


def test_the_area_under_a_curve_by_hand():
    assert area_under_curve({0: 1.0, 1: 1.0, 5: 1.0}) == 1
    # (1 + 0.5) / 2 * 1 + 0.5 * 4, over 5.
    assert area_under_curve({0: 1.0, 5: 0.5, 1: 0.5}) == pytest.approx(0.55)
    assert math.isnan(area_under_curve({0: 1.0}))


def test_recall_breaks_where_a_line_crosses_half_of_it():
    assert breaking_severity({0: 0.8, 1: 0.6, 2: 0.2, 3: 0.5}) == pytest.approx(1.5)
    assert breaking_severity({0: 0.8, 1: 0.4}) == 1
    assert breaking_severity({0: 0.8, 1: 0.41, 5: 0.5}) == math.inf
    assert math.isnan(breaking_severity({0: 0.0, 1: 0.0}))


recalls = st.floats(0, 1, allow_subnormal=False)


@given(
    clean=st.lists(recalls, min_size=3, max_size=3),
    fog=st.lists(recalls, min_size=3, max_size=3),
    snow=st.lists(recalls, min_size=3, max_size=3),
)
@settings(max_examples=50)
def test_arrays_of_recalls_give_what_each_of_their_numbers_gives(clean, fog, snow):
    clean, fog, snow = (np.array(values) for values in (clean, fog, snow))
    means, reference = {"fog": fog, "snow": snow}, {"fog": snow, "snow": clean}
    together = [
        mean_corruption_recall(means),
        relative_corruption_error(clean, fog),
        mean_corruption_error(means, reference, 0.01),
        relative_mean_corruption_error((clean, means), (snow, reference), 0.01),
        area_under_curve({0: clean, 1: fog, 5: snow}),
        mean_of([clean, snow]),
    ]
    for place in range(3):
        c, f, s = clean[place], fog[place], snow[place]
        alone = [
            mean_corruption_recall({"fog": f, "snow": s}),
            relative_corruption_error(c, f),
            mean_corruption_error({"fog": f, "snow": s}, {"fog": s, "snow": c}, 0.01),
            relative_mean_corruption_error(
                (c, {"fog": f, "snow": s}), (s, {"fog": s, "snow": c}), 0.01
            ),
            area_under_curve({0: c, 1: f, 5: s}),
            mean_of([c, s]),
        ]
        np.testing.assert_allclose([each[place] for each in together], alone, rtol=1e-12)


def test_every_metric_stands_in_the_protocol():
    protocol = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text()
    missing = [
        name
        for name, metric in METRICS.items()
        if f"| `{name}` | {metric.version} | {metric.title} |" not in protocol
    ]
    assert missing == []


def test_means_are_taken_over_severities_first():
    recall = {("fog", 1): 0.8, ("fog", 5): 0.4, ("snow", 1): 0.2}
    assert corruption_means(recall) == {"fog": pytest.approx(0.6), "snow": 0.2}
