"""Runs that follow from their ranks, with ranks that no model gives."""

from dataclasses import replace

import numpy as np
import pytest

from cvgl_bench.files import sha256
from cvgl_bench.record import ModelCard
from cvgl_bench.submission import verify
from cvgl_bench.submission.plausibility import findings
from cvgl_bench.suite import load_suite

CASES = []


def hostile(check, message):
    def add(make):
        CASES.append(pytest.param(make, check, message, id=make.__name__))
        return make

    return add


@hostile("plausible", r"R@1_cor is above R@1 clean, by 38\.75 points \(95 %: \d")
def better_when_corrupted(forge):
    return forge.pack(run=forge.run(forge.answers((40, 40, 80, 75, 82, 78))))


@hostile("plausible", r"mean R@1 rises from severity 1 to 5, by 35\.00 points")
def better_when_more_corrupted(forge):
    return forge.pack(run=forge.run(forge.answers((90, 88, 40, 70, 45, 85))))


@hostile("plausible", "every query has the same rank in all 6 cells")
def the_same_in_all_cells(forge):
    return forge.pack(run=forge.run(forge.answers((70,) * 6)))


@hostile("board", "its ranks are those of there, which is there, in every cell")
def a_copy_under_another_name(forge):
    answers = forge.answers((80, 79, 60, 30, 66, 41), seed=2)
    return forge.pack(run=forge.run(answers))


@hostile("board", "not of the same suite and pictures")
def other_tiles(forge):
    data = forge.provenance().data.model_copy(update={"gallery_sha256": "b" * 64})
    return forge.pack(run=forge.run(data=data))


@hostile("board", "its queries are others than those that there was asked")
def other_queries(forge):
    names = np.array([f"other{number}" for number in range(100)], dtype=object)
    old = forge.run().answers.ids
    new = dict(zip(old, names, strict=True))
    renamed = np.vectorize(new.get, otypes=[object])
    answers = {
        cell: replace(each, found=renamed(each.found), runners_up=renamed(each.runners_up))
        for cell, each in forge.answers().items()
    }
    digest = sha256("\n".join(names).encode())
    data = forge.provenance().data.model_copy(update={"ids_sha256": digest})
    return forge.pack(run=forge.run(answers, ids=names, data=data))


@pytest.mark.parametrize(("make", "check", "message"), CASES)
def test_a_hostile_run_is_refused_for_its_own_reason(forge, make, check, message):
    forge.refuses(make(forge), check, message)


def notes(report):
    return {check.name: check.text for check in report.checks if check.outcome == "note"}


def test_one_corruption_that_helps_is_a_note(forge):
    report = forge.verify(forge.pack(run=forge.run(forge.answers((70, 70, 50, 30, 95, 90)))))
    assert report.accepted
    assert "R@1 under contrast is above R@1 clean, by 22.50 points" in notes(report)["plausible"]


def test_a_floor_that_finds_nothing_when_clean_is_no_surprise(forge):
    """Every draw of no hits is no hits, so the draws alone would say that corruption helps."""
    report = forge.verify(forge.pack(run=forge.run(forge.answers((0, 0, 2, 1, 2, 2)))))
    assert report.accepted, report.text
    assert "plausible" not in notes(report)


def test_views_of_clean_pictures_have_no_corruptions_to_look_at(forge, small_suite):
    views = {"views": ["full", "fov180", "fov70"], "severities": [], "corruptions": []}
    forge.suite = small_suite(pairs=100, **views)
    falling, rising = (
        list(findings(forge.run(forge.answers(found)))) for found in ((90, 70, 50), (50, 55, 85))
    )
    assert falling == []
    assert [finding.refused for finding in rising] == [False]
    assert "higher in the view fov70 than in fov180, by 30.00 points" in rising[0].text


def test_a_mixed_set_is_looked_at_as_a_whole(forge, small_suite):
    forge.suite = small_suite(pairs=100, form="mixed")
    better, worse = (
        list(findings(forge.run(forge.answers(found)))) for found in ((40, 80), (80, 40))
    )
    assert worse == []
    assert [finding.refused for finding in better] == [True]
    assert "R@1_cor is above R@1 clean, by 40.00 points" in better[0].text


def test_a_perfect_model_is_a_note(forge):
    report = forge.verify(forge.pack(run=forge.run(forge.answers((100,) * 6))))
    assert report.accepted, report.text
    assert "every query has rank 1 in all 6 cells" in notes(report)["plausible"]


def test_a_run_that_nearly_repeats_another_is_a_note(forge):
    answers = forge.answers((80, 79, 60, 30, 66, 42), seed=2)
    report = forge.verify(forge.pack(run=forge.run(answers)))
    assert report.accepted
    assert "% of what it or there misses has the same rank in both" in notes(report)["board"]


def test_a_run_that_replaces_another_is_a_note(forge):
    report = forge.verify(forge.pack(run=forge.run(model=ModelCard(name="there"))))
    assert report.accepted, report.text
    assert "it replaces the run of there" in notes(report)["board"]


def test_the_first_run_of_a_suite_is_compared_with_none(forge, tmp_path):
    suite = load_suite("cvtown-c")
    report, _ = verify(forge.pack(), "mine.zip", tmp_path)
    assert report.failed[0].name == "suite"
    counts = np.linspace(90, 80, len(suite.cells)).astype(int)
    forge.suite = suite
    run = forge.run(forge.answers(sorted(counts, reverse=True)))
    report, found = verify(forge.pack(run=run), "mine.zip", tmp_path)
    assert report.accepted, report.text
    assert found.record == run.record
    assert "it is the first run" in notes(report)["board"]
