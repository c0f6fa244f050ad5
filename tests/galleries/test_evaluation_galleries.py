"""Generation and evaluation where a gallery is not one tile a query."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError, RecordError, SuiteError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.recomputing import refuse_other_record
from cvgl_bench.runs import read_run
from cvgl_bench.scoring import score
from cvgl_bench.submission import agreement, table
from cvgl_bench.submission.reading import answers_of
from cvgl_bench.suite import load_suite
from cvgl_bench.tables import cell_table
from cvgl_bench.verification import repair, verify


class Colors:
    """Every picture's mean colour, of four parts; notes which encoder saw how many pictures."""

    name = "colors"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self):
        self.seen = {"ground": 0, "aerial": 0}

    def _encode(self, images, side):
        self.seen[side] += len(images)
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    def encode_ground(self, images):
        return self._encode(images, "ground")

    def encode_aerial(self, images):
        return self._encode(images, "aerial")


@pytest.fixture
def suite_of(small_suite):
    """A function that makes a small suite of a data set with a gallery."""

    def make(dataset, split, pairs, references):
        sizes = {"pairs": pairs, "references": references}
        return small_suite(dataset=dataset, split=split, corruptions=["contrast"], **sizes)

    return make


def test_vigor_is_generated_and_evaluated(make_vigor, suite_of, tmp_path):
    root, suite = make_vigor(), suite_of("vigor", "same-test", 12, 36)
    dataset = load_dataset("vigor", root, "same-test")
    out = tmp_path / "set"
    page = generate(make_plan(suite, dataset, suite.cells), out)
    assert (page.images, page.partial) == (12 * 4, False)
    assert (out / "severity-5/digital/contrast" / dataset.pairs[0].ground.name).is_file()
    assert verify(out) == []
    model = Colors()
    job = plan_evaluation(suite, root, model, set_folder=out)
    record = evaluate(job, tmp_path / "run", device="cpu")
    assert model.seen == {"ground": 12 * 4, "aerial": 36}
    assert (record.data.queries, record.data.references) == (12, 36)
    assert record.not_comparable == ()
    clean = record.cells[0]
    assert clean.r1 >= 0.9
    assert clean.ap is None
    assert all(cell.hit_rate >= cell.r1 for cell in record.cells)
    assert clean.metres.median < 10
    frame = cell_table(record)
    assert frame.loc["clean", "hit rate"] == 100 * clean.hit_rate
    shown = [cell.hit_rate for cell in record.cells if cell.corruption == "contrast"]
    assert frame.loc["contrast", "hit rate"] == pytest.approx(100 * np.mean(shown))
    part = record.model_copy(update={"cells": record.cells[:-1]})
    assert np.isnan(cell_table(part).loc["contrast", "hit rate"])
    assert "AP" not in frame
    check_again(tmp_path / "run", record)


@pytest.mark.parametrize("sizes", [("d2s", 9, 4), ("s2d", 3, 12)])
def test_university_is_generated_and_evaluated_both_ways(
    make_university, suite_of, tmp_path, sizes
):
    split, queries, references = sizes
    root, suite = make_university(), suite_of("university", split, queries, references)
    out = tmp_path / "set"
    dataset = load_dataset("university", root, split)
    generate(make_plan(suite, dataset, suite.cells), out)
    assert verify(out) == []
    files = {path.name for path in (out / "clean").iterdir()}
    assert files == {pair.file_name for pair in dataset.pairs}
    assert len(files) == queries
    (out / "severity-1/digital/contrast" / dataset.pairs[1].file_name).unlink()
    assert len(repair(out, suite, dataset, verify(out))) == 1
    assert verify(out) == []
    model = Colors()
    record = evaluate(plan_evaluation(suite, root, model, set_folder=out), tmp_path / "run")
    asked, searched = ("ground", "aerial") if split == "d2s" else ("aerial", "ground")
    assert model.seen == {asked: 4 * queries, searched: references}
    clean = record.cells[0]
    assert (clean.r1, clean.ap, clean.hit_rate, clean.metres) == (1, 1, None, None)
    assert cell_table(record).loc["clean", "AP"] == 100
    answers = read_ranks(tmp_path / "run/ranks.parquet")
    found = next(iter(answers.cells.values()))
    assert [one[:4] for one in found.true] == [one[:4] for one in answers.ids]
    check_again(tmp_path / "run", record)


def check_again(run, record):
    """The run follows from its ranks, and its embeddings and its ranks give it again."""
    assert read_run(run).record == record
    for source in (run / "embeddings", run / "ranks.parquet"):
        again = score(source, run.parent / f"again-{source.name}")
        assert again.cells == record.cells
        assert again.ranks_sha256 == record.ranks_sha256


def test_a_part_of_the_queries_keeps_their_own_references(make_university, suite_of, tmp_path):
    root, suite = make_university(), suite_of("university", "d2s", 9, 4)
    dataset = load_dataset("university", root, "d2s")
    out = tmp_path / "set"
    generate(make_plan(suite, dataset, suite.cells, limit=5), out)
    job = plan_evaluation(suite, root, Colors(), set_folder=out, partial=True)
    record = evaluate(job, tmp_path / "run")
    assert record.not_comparable == ("5 queries where small-c has 9",)
    assert record.cells[0].r1 == 1


def test_views_of_plain_photos_are_refused(make_university, suite_of, tmp_path):
    root, suite = make_university(), suite_of("university", "d2s", 9, 4)
    cells = suite.select(views=["full", "fov90"])
    with pytest.raises(DataError, match=r"plain photos and no panoramas, .* no view 'fov90'"):
        make_plan(suite, load_dataset("university", root, "d2s"), cells)
    with pytest.raises(DataError, match="no view 'fov90'"):
        plan_evaluation(suite, root, Colors(), cells=cells)


def test_a_command_refuses_a_view_in_one_sentence(make_university, tmp_path):
    out = tmp_path / "set"
    arguments = ["university-s2d-c", "--data", str(make_university()), "--out", str(out)]
    result = CliRunner().invoke(main, ["generate", *arguments, "--partial", "--views", "heading90"])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "no view 'heading90' of them; use --views full" in result.output
    assert not out.exists()


def test_a_smaller_gallery_is_refused_by_its_own_number(make_university, suite_of):
    suite = suite_of("university", "s2d", 3, 13)
    with pytest.raises(SuiteError, match="12 references where small-c has 13: scores on them"):
        plan_evaluation(suite, make_university(), Colors())


@pytest.mark.parametrize("name", ["vigor-same-c", "vigor-cross-c", "university-d2s-c"])
def test_packaged_suites_say_how_many_they_search(name):
    suite = load_suite(name)
    assert suite.references != suite.pairs
    assert suite.model_dump()["references"] == suite.references
    assert "references" not in load_suite("cvusa-c").model_dump()


@pytest.fixture
def finished(make_vigor, suite_of, tmp_path):
    """The folder of a run on VIGOR."""
    suite = suite_of("vigor", "cross-test", 8, 18)
    evaluate(plan_evaluation(suite, make_vigor(), Colors()), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: page["true_references"].pop(), "7 queries have relations, not 8"),
        (lambda page: page["true_references"].__setitem__(0, [99]), "outside the 18 references"),
        (lambda page: page["semi_positives"].__setitem__(0, [0, 0]), "twice"),
        (lambda page: page.pop("true_references"), "one reference of its id, or true_references"),
        (lambda page: page["true_references"].__setitem__(0, [-1]), "greater than or equal to 0"),
    ],
)
def test_an_index_whose_relations_cannot_be_is_refused(finished, tmp_path, change, told):
    path = finished / "embeddings/index.json"
    page = json.loads(path.read_text())
    change(page)
    path.write_text(json.dumps(page))
    with pytest.raises(RecordError, match=told):
        score(finished / "embeddings", tmp_path / "again")


class Blind(Colors):
    def _encode(self, images, side):
        return torch.nn.functional.normalize(torch.ones(len(images), 2), dim=1)


def test_a_hit_rate_that_the_ranks_do_not_give_is_refused(make_vigor, suite_of, tmp_path):
    job = plan_evaluation(suite_of("vigor", "cross-test", 8, 18), make_vigor(), Blind())
    record = evaluate(job, tmp_path / "run")
    assert record.cells[0].r1 == 0
    assert record.degenerate
    page = json.loads((tmp_path / "run/record.json").read_text())
    page["cells"][0]["hit_rate"] = 1
    (tmp_path / "run/record.json").write_text(json.dumps(page))
    with pytest.raises(RecordError, match="hit_rate of clean is 1 in the record and"):
        read_run(tmp_path / "run")


def test_records_of_pairs_say_nothing_of_hit_rate_and_precision(make_cvusa, small_suite, tmp_path):
    job = plan_evaluation(small_suite(), make_cvusa(3), Colors())
    evaluate(job, tmp_path / "run")
    page = json.loads((tmp_path / "run/record.json").read_text())
    assert not {"hit_rate", "ap"} & page["cells"][0].keys()
    assert "references" not in page["suite"]
    index = json.loads((tmp_path / "run/embeddings/index.json").read_text())
    assert not {"true_references", "semi_positives"} & index.keys()
    answers = next(iter(read_ranks(tmp_path / "run/ranks.parquet").cells.values()))
    assert answers.true is answers.shows_place is answers.precision is None
    assert np.isfinite(answers.metres).all()


@pytest.fixture(params=["vigor", "d2s", "s2d"])
def run(request, make_vigor, make_university, suite_of, tmp_path):
    """A run of each kind of relation."""
    if request.param == "vigor":
        suite, root = suite_of("vigor", "cross-test", 8, 18), make_vigor()
    else:
        sizes = {"d2s": (9, 4), "s2d": (3, 12)}[request.param]
        suite, root = suite_of("university", request.param, *sizes), make_university()
    evaluate(plan_evaluation(suite, root, Colors()), tmp_path / "run")
    return read_run(tmp_path / "run")


def test_a_submitted_run_keeps_what_its_numbers_follow_from(run, tmp_path):
    bounds = table.bounds_of(run.record)
    data = table.submitted_ranks(tmp_path / "run/ranks.parquet")
    table.refuse_layout(data, bounds)
    table.refuse_values(data, bounds)
    answers = answers_of(data)
    refuse_other_record(run.record, answers)
    agreement.refuse_contradictions(run.record, answers)
    agreement.refuse_moving_tiles(answers)


def strangers(*shape):
    """Ids that no data set has."""
    return np.array([f"x{number}" for number in range(np.prod(shape))], object).reshape(shape)


# What is done to the answers of a cell in which every query found its own, and what is told.
CONTRADICTIONS = {
    "ranks": (lambda old: old + 1, "found its own tile, with a rank that is not 1"),
    "true": (lambda old: np.roll(old, len(old) // 3), "has rank 1, and found another tile"),
    "found": (lambda old: strangers(len(old)), "rank 1"),
    "runners_up": (
        lambda old: strangers(len(old), 4),
        "different references are named; there are",
    ),
}


def test_answers_that_contradict_their_true_references_are_refused(run):
    cell, answers = next(iter(run.answers.cells.items()))
    assert (answers.ranks == 1).all()
    for field, (change, told) in CONTRADICTIONS.items():
        changed = replace(answers, **{field: change(getattr(answers, field))})
        with pytest.raises(RecordError, match=told):
            agreement.refuse_contradictions(run.record, replace(run.answers, cells={cell: changed}))


# What a column is filled with, and what is told.
IMPOSSIBLE = [
    ("true", "nobody", "a query of rank 1, and no other, found its true reference"),
    ("shows_place", False, "found its true reference, which does not show its place"),
    ("precision", 1.5, "precision lies outside"),
    ("precision", 0.0, "precision lies outside"),
]


def test_ranks_whose_relations_cannot_be_are_refused(run, tmp_path):
    path = tmp_path / "run/ranks.parquet"
    content = pq.read_table(path)
    names = content.column_names
    assert ("shows_place" in names) != ("precision" in names)
    for column, value, told in IMPOSSIBLE:
        if column in names:
            new = pa.array([value] * content.num_rows, content.schema.field(column).type)
            pq.write_table(content.set_column(names.index(column), column, new), path)
            with pytest.raises(RecordError, match=told):
                read_ranks(path)
