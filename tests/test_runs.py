import json

import numpy as np
import pytest
from click.testing import CliRunner

from cvgl_bench.answers import Answers
from cvgl_bench.cli import main
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, write_record
from cvgl_bench.runs import read_run, read_runs


@pytest.fixture
def write_run(small_suite, tmp_path):
    """A function that writes a run in which a share of the queries is found."""

    def write(name, share, *, queries=120, seed=0, gallery="a" * 64, ids=None):
        suite = small_suite(pairs=queries)
        rng = np.random.default_rng(seed)
        hard = rng.random(queries)
        cells = {
            cell: Answers(np.where(hard < share - 0.05 * place, 1, 7))
            for place, cell in enumerate(suite.cells)
        }
        provenance = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=queries, references=queries, gallery_sha256=gallery),
            date="2026-01-31",
        )
        folder = tmp_path / name
        names = tuple(ids or (f"{number:04d}" for number in range(queries)))
        write_ranks(folder / "ranks.parquet", RunAnswers(provenance, names, cells))
        write_record(folder / "record.json", make_record(provenance, cells))
        return folder

    return write


def test_a_run_is_read_by_its_folder_or_its_record(write_run):
    folder = write_run("good", 0.8)
    one, other = read_run(folder), read_run(folder / "record.json")
    assert one.record == other.record
    assert one.name == "good"
    assert one.views == ("full",)
    assert len(one.sample().own) == len(one.record.cells)
    with pytest.raises(RecordError, match="no view 'fov90', only full"):
        one.sample("fov90")


def test_ranks_that_are_not_the_records_are_refused(write_run):
    folder, other = write_run("good", 0.8), write_run("bad", 0.3)
    (folder / "ranks.parquet").write_bytes((other / "ranks.parquet").read_bytes())
    with pytest.raises(RecordError, match=r"of good in .* does not follow .*: the ranks have"):
        read_run(folder)
    (folder / "ranks.parquet").unlink()
    with pytest.raises(RecordError, match="holds no ranks: No such file"):
        read_run(folder)


def test_scores_that_do_not_follow_from_the_ranks_are_refused(write_run):
    folder = write_run("good", 0.8)
    page = json.loads((folder / "record.json").read_text())
    page["cells"][2] |= {"r1": 1.0, "r5": 1.0, "r10": 1.0, "r1p": 1.0}
    (folder / "record.json").write_text(json.dumps(page))
    with pytest.raises(RecordError, match="r1 of gaussian_noise 1 is 1 in the record and 0"):
        read_run(folder)


def test_runs_that_do_not_compare_are_refused(write_run):
    good = write_run("good", 0.8)
    with pytest.raises(RecordError, match="are both runs of a model named good"):
        read_runs([good, good])
    with pytest.raises(RecordError, match="not of the same suite and pictures"):
        read_runs([good, write_run("other-tiles", 0.5, gallery="b" * 64)])
    names = [f"{number:04d}" for number in reversed(range(120))]
    with pytest.raises(RecordError, match="asked other queries"):
        read_runs([good, write_run("other-order", 0.5, ids=names)])


def test_compare_says_which_run_finds_more_and_whether_that_is_clear(write_run, tmp_path):
    good, bad = write_run("good", 0.9), write_run("bad", 0.3)
    out = tmp_path / "cells.csv"
    done = CliRunner().invoke(main, ["compare", str(good), str(bad), "--out", str(out)])
    assert done.exit_code == 0, done.output
    cells = len(read_run(good).record.cells)
    assert f"good finds more queries in {cells} of {cells} cells, bad in 0" in done.output
    assert "R@1_cor: good is better by" in done.output
    assert len(out.read_text().splitlines()) == cells + 1
    again = CliRunner().invoke(main, ["compare", str(bad), str(good)])
    assert f"bad finds more queries in 0 of {cells} cells, good in {cells}" in again.output
    assert "R@1_cor: good is better by" in again.output


def test_compare_of_equal_runs_is_a_tie(write_run):
    one, other = write_run("one", 0.5, seed=4), write_run("other", 0.5, seed=4)
    done = CliRunner().invoke(main, ["compare", str(one), str(other)])
    assert "in 0 of" in done.output
    assert "R@1_cor: tied (p = 1" in done.output


def test_compare_of_a_missing_run_is_one_sentence(tmp_path):
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "no"), str(tmp_path / "no")])
    assert done.exit_code == 1
    assert done.output.startswith("cvgl-bench: cannot read the record")
    (tmp_path / "record.json").write_text(json.dumps({"cells": []}))
    done = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
