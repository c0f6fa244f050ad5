"""Runs that follow from their ranks, with ranks that no model gives."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cvgl_bench import leaderboard
from cvgl_bench.cli import main
from cvgl_bench.files import sha256
from cvgl_bench.known_pictures import KNOWN
from cvgl_bench.record import ModelCard, read_record
from cvgl_bench.submission import pack_run, verify
from cvgl_bench.submission.plausibility import findings
from cvgl_bench.suite import load_suite

SHIPPED = Path(__file__).parents[2] / "leaderboards" / "records"
WHOLE = ModelCard(name="whole")
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
    report, _ = verify(forge.pack(), "mine.zip", tmp_path)
    assert report.failed[0].name == "suite"
    packed = pack_run(SHIPPED / "cvtown-c-5" / "random", tmp_path)
    assert packed.report.accepted, packed.report.text
    note = notes(packed.report)["board"]
    assert "no other run of its suite; its queries and tiles have the hashes that" in note


def town_run(forge, **data):
    """A run of CVTown, of such data."""
    suite = load_suite("cvtown-c")
    counts = sorted(np.linspace(90, 80, len(suite.cells)).astype(int), reverse=True)
    card = forge.provenance().data.model_copy(update=data)
    forge.suite = suite
    return forge.run(forge.answers(counts), data=card)


def test_a_run_of_another_town_is_refused_even_as_the_first(forge, tmp_path):
    ids, gallery = KNOWN["cvtown-c-5"]
    for data, message in [
        ({}, "the queries of mine have the hash"),
        ({"ids_sha256": ids}, f"the gallery of mine have the hash a{11 * 'a'}; .* {gallery[:12]}"),
    ]:
        report, _ = verify(forge.pack(run=town_run(forge, **data)), "mine.zip", tmp_path)
        assert [check.name for check in report.failed] == ["suite"]
        assert re.search(message, report.failed[0].text), report.text


def test_pictures_that_are_not_known_here_are_said_to_be_so(forge, tmp_path, monkeypatch):
    monkeypatch.setattr("cvgl_bench.known_pictures.KNOWN", {})
    report, _ = verify(forge.pack(run=town_run(forge)), "mine.zip", tmp_path)
    assert report.accepted, report.text
    assert "which queries and tiles cvtown has is not known here" in notes(report)["board"]


def test_the_shipped_runs_are_of_the_pictures_that_are_known():
    found = {path.parent.name for path in SHIPPED.glob("cvtown-*/*")}
    assert found == set(KNOWN)
    for path in SHIPPED.glob("cvtown-*/*/record.json"):
        data = read_record(path).data
        assert (data.ids_sha256, data.gallery_sha256) == KNOWN[path.parent.parent.name]


@pytest.fixture
def own_board(forge, tmp_path):
    """A leaderboard that a test may change, for the same suite."""
    forge.board = tmp_path / "board"
    answers = forge.answers((80, 79, 60, 30, 66, 41), seed=2)
    leaderboard.add_runs(forge.board, [forge.run(answers, model=ModelCard(name="there"))])
    return forge.board


@pytest.mark.parametrize("name", ["ranks.parquet", "record.json"])
def test_a_broken_neighbour_is_named_and_all_else_is_checked(forge, own_board, name):
    # The suite is defined by the runs that are there, so one of them has to be whole.
    leaderboard.add_runs(own_board, [forge.run(forge.answers(seed=7), model=WHOLE)])
    (own_board / "records" / "small-c-1" / "there" / name).write_bytes(b"{")
    report = forge.verify(forge.pack())
    assert [check.name for check in report.failed] == ["board"], report.text
    assert "the leaderboard is broken at there" in report.failed[0].text


def test_a_submission_mends_its_own_broken_entry(forge, own_board, tmp_path):
    (path,) = leaderboard.add_runs(own_board, [forge.run()])
    (path / "ranks.parquet").write_bytes(b"PAR1")
    (tmp_path / "mine.zip").write_bytes(forge.pack())
    arguments = ["publish", str(tmp_path / "mine.zip"), "--folder", str(own_board)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert leaderboard.check(own_board) == []


def test_a_broken_leaderboard_hides_no_other_file(forge, own_board, tmp_path):
    (own_board / "records" / "small-c-1" / "there" / "ranks.parquet").write_bytes(b"")
    (tmp_path / "mine.zip").write_bytes(forge.pack())
    arguments = [str(tmp_path / "mine.zip"), str(tmp_path / "no.zip"), "--folder", str(own_board)]
    result = CliRunner().invoke(main, ["verify-submission", *arguments, "--json"])
    assert result.exit_code == 1
    failed = [
        [check["check"] for check in page["checks"] if check["outcome"] == "failed"]
        for page in json.loads(result.output)
    ]
    assert failed == [["board"], ["archive"]]


def moved(answers, cell, query, metres):
    """The answers, with another distance for one query in every cell where it found that tile."""
    found = answers[cell].found[query]
    changed = {}
    for at, each in answers.items():
        here = each.metres.copy()
        if each.found[query] == found:
            here[query] = metres
        changed[at] = replace(each, metres=here)
    return changed


@pytest.mark.parametrize(("by", "refused"), [(0.005, False), (1.0, True)])
def test_a_tile_stands_where_all_other_runs_have_it(forge, by, refused):
    clean = forge.suite.cells[0]
    answers = moved(forge.answers(), clean, 3, 1.5 + by)
    if forge.answers()[clean].found[3] != f"{3:07d}":
        answers = moved(forge.answers(), clean, 3, 63.0 + by)
    report = forge.verify(forge.pack(run=forge.run(answers)))
    assert report.accepted is not refused, report.text
    if refused:
        text = report.failed[0].text
        assert report.failed[0].name == "board"
        assert "from the query 0000003 to the tile" in text
        assert "m in the run of there" in text


def test_no_tile_is_farther_than_the_earth_is_wide(forge):
    clean = forge.suite.cells[0]
    answers = moved(forge.answers(), clean, 3, 2.1e7)
    forge.refuses(forge.pack(run=forge.run(answers)), "ranks", "no two places on Earth")


def test_files_of_one_call_are_compared_with_those_before_them(forge, tmp_path):
    paths = [tmp_path / "first.zip", tmp_path / "second.zip"]
    paths[0].write_bytes(forge.pack())
    paths[1].write_bytes(forge.pack(run=forge.run(model=ModelCard(name="copy"))))
    for command in ("verify-submission", "publish"):
        names = [*map(str, paths), "--folder", str(tmp_path / "board")]
        (tmp_path / "board").mkdir(exist_ok=True)
        shutil.copytree(forge.board / "records", tmp_path / "board/records", dirs_exist_ok=True)
        result = CliRunner().invoke(main, [command, *names])
        assert result.exit_code == 1, result.output
        assert f"its ranks are those of mine-{12 * 'c'}, which is there" in result.output
    assert not (tmp_path / "board/records/small-c-1/copy").exists()


def test_a_second_model_of_the_references_name_is_refused(forge, small_suite, tmp_path):
    forge.suite = small_suite(pairs=100, mce_reference="there")
    forge.board = tmp_path / "board"
    answers = forge.answers((80, 79, 60, 30, 66, 41), seed=2)
    leaderboard.add_runs(forge.board, [forge.run(answers, model=ModelCard(name="there"))])
    second = ModelCard(name="there", weights_sha256="d" * 64)
    data = forge.pack(run=forge.run(model=second))
    forge.refuses(data, "board", "has the name of the model that mCE on small-c-1 refers to")
    same = forge.verify(forge.pack(run=forge.run(model=ModelCard(name="there"))))
    assert same.accepted
    assert "every mCE of the table follows it" in same.text


def test_an_entry_that_only_looks_like_another_is_refused(forge, own_board):
    leaderboard.add_runs(own_board, [forge.run()])
    answers = forge.answers(seed=9)
    for model in (
        ModelCard(name=f"mine-{12 * 'c'}"),
        ModelCard(name="mine", weights_sha256=12 * "c" + 52 * "0"),
    ):
        data = forge.pack(run=forge.run(answers, model=model))
        forge.refuses(data, "board", f"the entry mine-{12 * 'c'} is taken by mine")
