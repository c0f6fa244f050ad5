"""Every metric, worked out once more from its definition, in exact fractions."""

import math
from fractions import Fraction
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from corruptions import FAMILIES
from cvgl_bench.answers import Answers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.scores import (
    METRES,
    METRICS,
    average_precision,
    errors_in_metres,
    hit_rate,
    recall_at_one_percent_plus,
)
from cvgl_bench.summary import summarise

QUERIES, REFERENCES = 7, 230


def share(ranks, k):
    return Fraction(sum(rank <= k for rank in ranks), len(ranks))


def mean(values):
    values = list(values)
    return sum(values, Fraction(0)) / len(values)


class Oracle:
    """R@1 of a view's cells, and what follows from them, by the formulas of docs/protocol.md."""

    def __init__(self, suite, ranks):
        self.suite = suite
        self.r1 = {(c.corruption, c.severity): share(ranks[c], 1) for c in suite.cells}
        self.clean = self.r1["clean", 0]
        self.by_corruption = {
            name: mean(self.r1[name, severity] for severity in suite.severities)
            for name in suite.corruptions
        }
        self.r1_cor = mean(self.by_corruption.values())
        self.least = Fraction(1, QUERIES * len(suite.severities))

    def rce(self, names):
        if not self.clean:
            return None
        return (self.clean - mean(self.by_corruption[name] for name in names)) / self.clean

    def ce(self, other):
        return {
            name: (1 - value) / max(self.least, 1 - other.by_corruption[name])
            for name, value in self.by_corruption.items()
        }

    def relative_mce(self, other):
        lost, theirs = (
            {name: max(self.least, one.clean - value) for name, value in one.by_corruption.items()}
            for one in (self, other)
        )
        return mean(lost[name] / theirs[name] for name in lost)

    def curve(self):
        points = [(0, self.clean)]
        for severity in self.suite.severities:
            points.append((severity, mean(self.r1[n, severity] for n in self.suite.corruptions)))
        return points

    def auc(self):
        area, points = Fraction(0), self.curve()
        for (left, low), (right, high) in pairwise(points):
            area += (right - left) * (low + high) / 2
        return area / (points[-1][0] - points[0][0])

    def breaking(self):
        points, half = self.curve(), self.clean / 2
        if not half:
            return None
        for (left, before), (right, after) in pairwise(points):
            if after <= half:
                return left + (right - left) * (before - half) / (before - after)
        return math.inf


@pytest.fixture
def suite(small_suite):
    names = [*FAMILIES["noise"], "contrast"]
    return small_suite(pairs=QUERIES, corruptions=names, severities=[1, 2, 5])


def provenance(suite, name):
    return Provenance(
        suite=suite,
        fingerprint=suite.fingerprint,
        model=ModelCard(name=name),
        data=DataCard(queries=QUERIES, references=REFERENCES, gallery_sha256="a" * 64),
        date="2026-01-31",
    )


def record_of(suite, ranks, name):
    return make_record(
        provenance(suite, name), {c: Answers(np.array(each)) for c, each in ranks.items()}
    )


# Ranks of 1 often enough that recalls are not all nought.
some_ranks = st.lists(
    st.one_of(st.just(1), st.integers(1, 12), st.integers(1, REFERENCES)),
    min_size=QUERIES,
    max_size=QUERIES,
)


@given(data=st.data())
@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_record_and_its_averages_are_those_of_the_definitions(suite, data):
    own, others = ({cell: data.draw(some_ranks) for cell in suite.cells} for _ in range(2))
    record, reference = record_of(suite, own, "own"), record_of(suite, others, "other")
    for score in record.cells:
        ranks = own[score.cell]
        exact = (
            share(ranks, 1),
            share(ranks, 5),
            share(ranks, 10),
            share(ranks, REFERENCES // 100),
        )
        assert (score.r1, score.r5, score.r10, score.r1p) == tuple(map(float, exact))
    one, other = Oracle(suite, own), Oracle(suite, others)
    found = summarise(record, reference=reference)
    expected = {
        "r1_clean": one.clean,
        "r1_codec": one.r1["codec_only", 0],
        "r1_cor": one.r1_cor,
        "rce": one.rce(suite.corruptions),
        "mce": mean(one.ce(other).values()),
        "relative_mce": one.relative_mce(other),
        "auc": one.auc(),
        "breaking_severity": one.breaking(),
    }
    for name, value in expected.items():
        assert getattr(found, name) == (None if value is None else pytest.approx(float(value))), (
            name
        )
    assert found.by_corruption == pytest.approx({k: float(v) for k, v in one.by_corruption.items()})
    assert found.ce_by_corruption == pytest.approx({k: float(v) for k, v in one.ce(other).items()})
    assert list(found.rce_by_family) == ["noise"]
    exact = one.rce(FAMILIES["noise"])
    assert found.rce_by_family["noise"] == (exact if exact is None else pytest.approx(float(exact)))


@given(ranks=some_ranks, references=st.integers(1, 500))
def test_one_percent_the_older_way_is_that_of_its_definition(ranks, references):
    assert recall_at_one_percent_plus(np.array(ranks), references) == float(
        share(ranks, references // 100 + 1)
    )


@given(
    found=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    data=st.data(),
)
def test_the_hit_rate_is_that_of_its_definition(found, data):
    rows = st.lists(st.integers(0, 9), min_size=1, max_size=4)
    accepted = [data.draw(rows) for _ in found]
    hits = 0
    for row, each in zip(found, accepted, strict=True):
        for other in each:
            if row == other:
                hits += 1
                break
    assert hit_rate(np.array(found), accepted) == float(Fraction(hits, len(found)))


@given(ranks=st.sets(st.integers(1, 30), min_size=1, max_size=9))
def test_average_precision_is_that_of_its_definition(ranks):
    total = Fraction(0)
    for number, rank in enumerate(sorted(ranks), start=1):
        before = Fraction(number - 1, rank - 1) if rank > 1 else Fraction(1)
        total += (before + Fraction(number, rank)) / 2
    assert average_precision(list(ranks)) == pytest.approx(float(total / len(ranks)), rel=1e-14)


_TO_SPACE = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


@given(
    places=st.lists(st.tuples(st.floats(-60, 60), st.floats(-179, 179)), min_size=5, max_size=5),
    offsets=st.lists(
        st.tuples(st.floats(-6e-4, 6e-4), st.floats(-6e-4, 6e-4)), min_size=5, max_size=5
    ),
)
def test_errors_in_metres_are_chords_through_the_earth(places, offsets):
    """Over some 60 m, a straight line and one along the ground differ by less than a micrometre."""
    queries = np.array(places)
    references = queries + np.array(offsets)
    metres = errors_in_metres(queries, references, np.arange(5))
    ends = [
        np.array(_TO_SPACE.transform(each[:, 1], each[:, 0], np.zeros(5)))
        for each in (queries, references)
    ]
    chords = np.linalg.norm(ends[0] - ends[1], axis=0)
    np.testing.assert_allclose(metres, chords, atol=1e-5)


@given(metres=st.lists(st.floats(0, 1e5), min_size=QUERIES, max_size=QUERIES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_distances_of_a_cell_are_those_of_their_definitions(suite, metres):
    answers = Answers(np.ones(QUERIES, np.int64), metres=np.array(metres))
    card = provenance(suite, "own")
    (score,) = make_record(card, {suite.cells[0]: answers}).cells
    ordered = sorted(metres)
    assert score.metres.median == median(metres)
    # Between the values that stand beside the place 0.95 (Q - 1), by a line.
    place = 0.95 * (QUERIES - 1)
    low, high = ordered[int(place)], ordered[int(place) + 1]
    assert score.metres.p95 == pytest.approx(low + (place - int(place)) * (high - low), rel=1e-9)
    within = [score.metres.within_5, score.metres.within_10]
    within += [score.metres.within_25, score.metres.within_50]
    assert within == [sum(m <= limit for m in metres) / QUERIES for limit in METRES]


def test_no_metric_is_left_out():
    """If this goes red, a metric is new: give it a definition above."""
    assert set(METRICS) == {
        *("r1", "r5", "r10", "r1p", "r1p_plus", "hit_rate", "ap", "error_m", "r1_within_m"),
        *("r1_codec", "r1_cor", "rce", "ce", "mce", "relative_mce", "auc", "breaking_severity"),
    }
