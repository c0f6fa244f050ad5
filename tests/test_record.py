import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from cvgl_bench import parquet
from cvgl_bench.answers import Answers, ranks_digest
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers, read_ranks, write_ranks
from cvgl_bench.record import (
    DataCard,
    ModelCard,
    Provenance,
    make_record,
    read_record,
    record_json,
    write_record,
)
from cvgl_bench.summary import summarise
from cvgl_bench.tables import cell_table, model_table


@pytest.fixture
def provenance(small_suite):
    suite = small_suite()
    return Provenance(
        suite=suite,
        fingerprint=suite.fingerprint,
        model=ModelCard(name="some-model"),
        data=DataCard(queries=3, references=3),
        date="2026-01-31",
    )


@pytest.fixture
def ranks(provenance):
    values = iter([[1, 1, 2], [1, 1, 1], [1, 2, 3], [3, 3, 3], [1, 1, 2], [2, 2, 1]])
    return {cell: Answers(np.array(next(values))) for cell in provenance.suite.cells}


def test_a_record_holds_every_cell_and_survives_its_file(provenance, ranks, tmp_path):
    record = make_record(provenance, ranks)
    assert [score.r1 for score in record.cells] == [2 / 3, 1, 1 / 3, 0, 2 / 3, 1 / 3]
    assert all(score.r5 == 1 and score.r1p is None for score in record.cells)
    write_record(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record
    assert (tmp_path / "record.json").read_text() == record_json(record)
    assert record.lacking == []


def test_averages_are_computed_from_the_cells(provenance, ranks):
    summary = summarise(make_record(provenance, ranks))
    assert summary.by_corruption == {
        "gaussian_noise": pytest.approx(1 / 6),
        "contrast": pytest.approx(1 / 2),
    }
    assert summary.r1_codec == 1, "shown, and part of no mean"
    assert summary.r1_cor == pytest.approx(1 / 3)
    assert summary.rce == pytest.approx(1 / 2)
    assert summary.mce is None
    assert summary.rce_by_family == {}


def test_no_average_is_made_of_an_incomplete_grid(provenance, ranks):
    partial = dict(list(ranks.items())[:-1])
    record = make_record(provenance, partial)
    summary = summarise(record)
    assert summary.by_corruption.keys() == {"gaussian_noise"}
    assert summary.r1_cor is None
    assert summary.rce is None
    assert [str(cell) for cell in record.lacking] == ["contrast 5"]


def test_mce_names_its_reference_and_needs_the_same_suite(provenance, ranks, small_suite):
    record = make_record(provenance, ranks)
    assert summarise(record, reference=record).mce == 1
    other = small_suite(seed=9)
    changed = provenance.model_copy(update={"suite": other, "fingerprint": other.fingerprint})
    with pytest.raises(RecordError, match="not of the same suite and pictures"):
        summarise(record, reference=make_record(changed, ranks))


def test_a_mixed_set_has_its_own_recall_as_r1_cor(provenance, small_suite):
    suite = small_suite(form="mixed")
    mixed = provenance.model_copy(update={"suite": suite, "fingerprint": suite.fingerprint})
    found = Answers(np.array([1, 1, 1])), Answers(np.array([1, 2, 2]))
    ranks = dict(zip(suite.cells, found, strict=True))
    summary = summarise(make_record(mixed, ranks))
    assert summary.r1_cor == pytest.approx(1 / 3)
    assert summary.rce == pytest.approx(2 / 3)
    assert summary.r1_codec is None
    assert "R@1 codec" not in model_table([make_record(mixed, ranks)])


def test_codec_only_has_a_column_of_its_own(provenance, ranks):
    record = make_record(provenance, ranks)
    assert model_table([record])["R@1 codec"].tolist() == [100]
    assert cell_table(record)["mean"]["codec_only"] == 100
    lacking = {cell: rank for cell, rank in ranks.items() if cell.corruption != "codec_only"}
    assert [str(cell) for cell in make_record(provenance, lacking).lacking] == ["codec_only"]


def test_runs_of_two_profiles_stand_in_no_table_together(provenance, ranks, small_suite):
    suite = small_suite(profile="published")
    other = provenance.model_copy(update={"suite": suite, "fingerprint": suite.fingerprint})
    standard, published = make_record(provenance, ranks), make_record(other, ranks)
    with pytest.raises(RecordError, match=r"profile published.*profile standard"):
        model_table([standard, published])
    with pytest.raises(RecordError, match=r"profile standard.*profile published"):
        model_table([standard], published)


def test_ranks_survive_their_file_with_their_provenance(provenance, ranks, tmp_path):
    write_ranks(tmp_path / "ranks.parquet", RunAnswers(provenance, ("a", "b", "c"), ranks))
    read = read_ranks(tmp_path / "ranks.parquet")
    assert read.provenance == provenance
    assert read.ids == ("a", "b", "c")
    assert make_record(read.provenance, read.cells) == make_record(provenance, ranks)


def test_the_digest_of_ranks_sees_every_rank_and_no_order(provenance, ranks):
    digest = ranks_digest(ranks)
    assert ranks_digest(dict(reversed(ranks.items()))) == digest
    changed = dict(ranks)
    changed[provenance.suite.cells[2]] = Answers(np.array([3, 3, 2]))
    assert ranks_digest(changed) != digest


def test_ranks_outside_the_gallery_are_refused(provenance, ranks, tmp_path):
    ranks[provenance.suite.cells[0]] = Answers(np.array([1, 1, 4]))
    write_ranks(tmp_path / "ranks.parquet", RunAnswers(provenance, ("a", "b", "c"), ranks))
    with pytest.raises(RecordError, match=r"3 ranks in 1\.\.3"):
        read_ranks(tmp_path / "ranks.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"image_id,rank\n1,1\n"])
def test_other_files_are_no_ranks(tmp_path, content):
    path = tmp_path / "ranks.parquet"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="holds no ranks"):
        read_ranks(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": [{"view": "full"}]}, "cells"),
        ({"schema_version": 2}, "schema_version"),
        ({"extra": 1}, "extra"),
        ({"date": "yesterday"}, "date"),
        ({"fingerprint": "12"}, "fingerprint"),
        ({"status": "reported"}, "status"),
        ({"metric_version": 0}, "metric_version"),
        ({"tie_rule": "in favour"}, "tie_rule"),
        ({"cells": []}, "cells"),
    ],
)
def test_a_changed_record_is_refused_with_the_field(provenance, ranks, tmp_path, change, message):
    fields = json.loads(record_json(make_record(provenance, ranks)))
    (tmp_path / "record.json").write_text(json.dumps(fields | change))
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1.5", "-0.1", '"0.5"x'])
def test_a_score_that_is_no_fraction_is_refused(provenance, ranks, tmp_path, value):
    text = record_json(make_record(provenance, ranks))
    (tmp_path / "record.json").write_text(text.replace('"r1": 0.0', f'"r1": {value}'))
    with pytest.raises(RecordError):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r1": 1.0, "r5": 0.0}, "R@1 <= R@5"),
        ({"r1": 0.1234}, "no whole number"),
        ({"severity": 77}, "severity"),
        ({"corruption": "contrast", "severity": 5}, "twice"),
    ],
)
def test_scores_that_no_ranks_can_give_are_refused(provenance, ranks, tmp_path, change, message):
    fields = json.loads(record_json(make_record(provenance, ranks)))
    fields["cells"][0] |= change
    (tmp_path / "record.json").write_text(json.dumps(fields))
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize("forged", [[1.0, 1.0, 1.0], ["1", "1", "1"], [True, True, True]])
def test_ranks_of_another_type_are_refused(provenance, ranks, tmp_path, forged):
    path = tmp_path / "ranks.parquet"
    write_ranks(path, RunAnswers(provenance, ("a", "b", "c"), ranks))
    table = parquet.from_bytes(path.read_bytes())
    column = pa.array(forged * len(ranks))
    place = table.schema.get_field_index("rank")
    path.write_bytes(parquet.to_bytes(table.set_column(place, "rank", column)))
    with pytest.raises(RecordError, match="whole numbers"):
        read_ranks(path)


def test_ranks_with_a_query_twice_are_refused(provenance, ranks, tmp_path):
    write_ranks(tmp_path / "ranks.parquet", RunAnswers(provenance, ("a", "b", "b"), ranks))
    with pytest.raises(RecordError, match="twice"):
        read_ranks(tmp_path / "ranks.parquet")


def test_a_run_on_other_pictures_is_no_reference(provenance, ranks):
    record = make_record(provenance, ranks)
    other = DataCard(queries=3, references=3, gallery_sha256="b" * 64)
    elsewhere = make_record(provenance.model_copy(update={"data": other}), ranks)
    with pytest.raises(RecordError, match="not of the same suite and pictures"):
        summarise(record, reference=elsewhere)


@pytest.mark.parametrize("name", ["", "../x", "=cmd()", "<script>", "A", "a b", "x" * 65])
def test_hostile_model_names_are_refused(name):
    with pytest.raises(ValidationError):
        ModelCard(name=name)


def test_what_was_found_how_surely_and_how_far_off_survives_its_file(provenance, ranks, tmp_path):
    cells = {
        cell: Answers(
            each.ranks,
            np.array(["a", "c", "b"], dtype=object),
            np.array([0.25, 0.5, 0], np.float32),
            np.array([0.0, 12.5, 30.0]),
        )
        for cell, each in ranks.items()
    }
    path = tmp_path / "ranks.parquet"
    write_ranks(path, RunAnswers(provenance, ("a", "b", "c"), cells))
    read = read_ranks(path)
    for cell, each in cells.items():
        assert read.cells[cell].found.tolist() == ["a", "c", "b"]
        assert read.cells[cell].margins.tolist() == [0.25, 0.5, 0]
        assert read.cells[cell].metres.tolist() == [0, 12.5, 30]
        assert read.cells[cell].hits.tolist() == (each.ranks == 1).tolist()
    metres = make_record(provenance, read.cells).cells[0].metres
    assert (metres.median, metres.within_5, metres.within_25) == (12.5, 1 / 3, 2 / 3)
    assert metres.p95 == pytest.approx(12.5 + 0.9 * 17.5)
    assert make_record(provenance, ranks).cells[0].metres is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metres": np.array([0, -1, 2.0])}, "metres is below 0"),
        ({"metres": np.array([0, np.nan, 2])}, "metres holds a number that is none"),
        ({"margins": np.array([0, np.inf, 2], np.float32)}, "margin holds a number that is none"),
        ({"found": np.array(["a", None, "b"], dtype=object)}, "found reference has no id"),
    ],
)
def test_forged_answers_are_refused(provenance, ranks, tmp_path, change, message):
    cells = {cell: replace(each, **change) for cell, each in ranks.items()}
    write_ranks(tmp_path / "ranks.parquet", RunAnswers(provenance, ("a", "b", "c"), cells))
    with pytest.raises(RecordError, match=message):
        read_ranks(tmp_path / "ranks.parquet")
