import datetime
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance
from cvgl_bench.suite import Cell
from cvgl_bench.trust import accept, risk_coverage, trust_table

CLEAN = Cell(view="full", corruption="clean", severity=0)
FOGGY = Cell(view="full", corruption="contrast", severity=5)


def answers(is_right, margins):
    ranks = np.where(np.asarray(is_right, bool), 1, 2)
    return Answers(ranks, margins=np.asarray(margins, np.float32))


def run_of(small_suite, cells):
    suite = small_suite()
    count = len(cells[next(iter(cells))].ranks)
    provenance = Provenance(
        suite=suite,
        fingerprint=suite.fingerprint,
        model=ModelCard(name="some"),
        data=DataCard(queries=count, references=9),
        date=datetime.date(2026, 1, 2),
    )
    return RunAnswers(provenance, tuple(map(str, range(count))), cells)


def by_definition(is_right, margins):
    """Coverage and risk at each different margin, and the mean risk when a query is accepted."""
    right, margin = np.asarray(is_right, bool), np.asarray(margins, np.float32)
    points = []
    for least in sorted(set(margin.tolist()), reverse=True):
        chosen = margin >= least
        points.append((chosen.mean(), (~right[chosen]).mean()))
    when = [(~right[margin >= own]).mean() for own in margin]
    return points, np.mean(when)


def test_a_curve_worked_out_by_hand():
    curve = risk_coverage(answers([1, 0, 1, 1, 0], [0.5, 0.4, 0.4, 0.2, 0.1]))
    assert curve.margins.tolist() == pytest.approx([0.5, 0.4, 0.2, 0.1])
    assert curve.coverage.tolist() == [0.2, 0.6, 0.8, 1]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 3, 1 / 4, 2 / 5])
    assert curve.aurc == pytest.approx((0 + 2 / 3 + 1 / 4 + 2 / 5) / 5)
    assert curve.best_aurc == pytest.approx((1 / 4 + 2 / 5) / 5)
    assert curve.excess_aurc == pytest.approx(2 / 15)


cases = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6).map(lambda n: n / 4)), min_size=1, max_size=25
)


@given(cases)
@settings(max_examples=80)
def test_curve_area_and_threshold_agree_with_their_definitions(case):
    right, margins = zip(*case, strict=True)
    curve = risk_coverage(answers(right, margins))
    points, area = by_definition(right, margins)
    np.testing.assert_allclose(np.stack([curve.coverage, curve.risk], 1), points)
    assert curve.aurc == pytest.approx(area)
    assert curve.excess_aurc >= -1e-12
    for risk in (0, 0.05, 0.25, 0.5):
        allowed = [coverage for coverage, own in points if own <= risk]
        threshold = curve.threshold(risk)
        got = accept(answers(right, margins), threshold)
        assert (threshold is None) == (not allowed)
        assert got.coverage == pytest.approx(max(allowed, default=0))
        assert allowed == [] or got.wrong_of_accepted <= risk
        assert got.wrongly_accepted == pytest.approx(
            0 if not allowed else got.wrong_of_accepted * got.coverage
        )


@given(right=st.integers(0, 30), wrong=st.integers(0, 30))
@settings(max_examples=40)
def test_a_perfect_order_has_the_area_of_the_closed_form_and_no_excess(right, wrong):
    if not right + wrong:
        return
    total = right + wrong
    is_right = np.arange(total) < right
    curve = risk_coverage(answers(is_right, total - np.arange(total)))
    closed = sum(place / (right + place) for place in range(1, wrong + 1)) / total
    assert curve.aurc == pytest.approx(closed)
    assert curve.excess_aurc == pytest.approx(0, abs=1e-12)
    worst = risk_coverage(answers(is_right, np.arange(total)))
    assert worst.aurc >= curve.aurc - 1e-12


def test_the_best_area_nears_the_integral_that_papers_have_for_it():
    error = 0.2
    curve = risk_coverage(answers(np.arange(20_000) >= 20_000 * error, np.zeros(20_000)))
    assert curve.best_aurc == pytest.approx(error + (1 - error) * math.log(1 - error), abs=1e-4)


def test_random_margins_leave_the_risk_at_the_error_rate_everywhere():
    rng = np.random.default_rng(1)
    curve = risk_coverage(answers(rng.random(40_000) < 0.7, rng.random(40_000)))
    error = curve.risk[-1]
    assert np.abs(curve.risk[curve.accepted > 4000] - error).max() < 0.03
    assert curve.aurc == pytest.approx(error, abs=0.01)


def test_equal_margins_are_accepted_together():
    curve = risk_coverage(answers([1, 0, 0, 1], np.ones(4)))
    assert curve.coverage.tolist() == [1]
    assert curve.aurc == 0.5
    assert curve.threshold(0.4) is None


def test_the_threshold_goes_past_a_bump_of_the_risk():
    # The first two are half wrong, the first twenty 5 % wrong: more coverage at the same risk.
    is_right = [0] + [1] * 19 + [0]
    curve = risk_coverage(answers(is_right, np.arange(21)[::-1]))
    assert curve.threshold(0.05) == 1
    assert curve.threshold(0.01) is None


def test_a_table_keeps_the_thresholds_of_the_clean_cell(small_suite):
    clean = answers([1, 1, 1, 0], [0.4, 0.3, 0.2, 0.1])
    foggy = answers([1, 0, 0, 0], [0.5, 0.25, 0.2, 0.1])
    table = trust_table(run_of(small_suite, {FOGGY: foggy, CLEAN: clean}), risks=(0.01, 0.3))
    assert table["corruption"].tolist() == ["contrast"] * 2 + ["clean"] * 2
    assert table["threshold"].tolist() == pytest.approx([0.2, 0.1] * 2)
    assert table["error"].tolist() == [0.75, 0.75, 0.25, 0.25]
    assert table["coverage"].tolist() == [0.75, 1, 0.75, 1]
    assert table["wrong_of_accepted"].tolist() == pytest.approx([2 / 3, 3 / 4, 0, 1 / 4])
    assert table["wrongly_accepted"].tolist() == [0.5, 0.75, 0, 0.25]
    assert table["aurc"][0] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4) / 4)


def test_a_risk_that_no_threshold_reaches_accepts_nothing(small_suite):
    table = trust_table(run_of(small_suite, {CLEAN: answers([0, 1], [0.2, 0.1])}), risks=(0.01,))
    row = table.iloc[0]
    assert row["coverage"] == row["wrongly_accepted"] == 0
    assert np.isnan(row["threshold"])
    assert np.isnan(row["wrong_of_accepted"])


def test_what_says_nothing_of_trust_is_refused_in_a_sentence(small_suite):
    with pytest.raises(RecordError, match="1 of 2 answers have no margin"):
        risk_coverage(answers([1, 1], [0.1, np.nan]))
    with pytest.raises(RecordError, match="no margins"):
        accept(Answers(np.array([1])), 0.1)
    good = answers([1, 0], [0.2, 0.1])
    with pytest.raises(RecordError, match=r"contrast 5: 2 of 2 answers"):
        trust_table(run_of(small_suite, {CLEAN: good, FOGGY: answers([1, 0], [np.nan] * 2)}))
    with pytest.raises(RecordError, match="no cell clean to choose"):
        trust_table(run_of(small_suite, {FOGGY: good}))
    for risk in (-0.1, 1, np.nan):
        with pytest.raises(RecordError, match="wanted risk"):
            risk_coverage(good).threshold(risk)
