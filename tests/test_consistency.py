import datetime
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.consistency import (
    BASE,
    consistency_table,
    decision_agreement,
    embedding_agreement,
)
from cvgl_bench.errors import ModelError, RecordError
from cvgl_bench.ranks_file import RunAnswers, read_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance
from cvgl_bench.scoring import (
    INDEX,
    REFERENCES,
    CellFile,
    EmbeddingsIndex,
    score,
    write_index,
)
from cvgl_bench.statistics import resampled
from cvgl_bench.suite import Cell

TURNED = Cell(view="heading90", corruption="clean", severity=0)
FOGGY = Cell(view="full", corruption="contrast", severity=5)


def answers(ranks, found=None):
    names = None if found is None else np.array(found, dtype=object)
    return Answers(np.array(ranks), names)


def units(rng, count, width):
    rows = rng.normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def provenance(small_suite):
    def make(queries, references, name="some"):
        suite = small_suite(pairs=queries)
        return Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=queries, references=references),
            date=datetime.date(2026, 1, 2),
        )

    return make


@pytest.fixture
def folder(tmp_path, provenance):
    """A function that writes embeddings, by cell, and returns their folder."""

    def write(references, cells, name="some"):
        place = tmp_path / name
        place.mkdir()
        np.save(place / REFERENCES, references)
        files = []
        for number, (cell, rows) in enumerate(cells.items()):
            np.save(place / f"{number}.npy", rows)
            files.append(CellFile(cell=cell, file=f"{number}.npy"))
        count = len(next(iter(cells.values())))
        index = EmbeddingsIndex(
            provenance=provenance(count, len(references), name),
            query_ids=tuple(map(str, range(count))),
            reference_ids=tuple(map(str, range(len(references)))),
            files=tuple(files),
        )
        write_index(place, index)
        return place

    return write


def test_decisions_worked_out_by_hand():
    base = answers([1, 1, 2, 4, 8], ["a", "b", "x", "y", "z"])
    other = answers([1, 4, 1, 4, 2], ["a", "x", "c", "y", "w"])
    found = decision_agreement(base, other)
    assert found.same_found.tolist() == [1, 0, 0, 1, 0]
    assert found.lost.tolist() == [0, 1, 0, 0, 0]
    assert found.gained.tolist() == [0, 0, 1, 0, 0]
    assert found.flipped.tolist() == [0, 1, 1, 0, 0]
    assert found.rank_shift.tolist() == [0, 2, -1, 0, -2]
    assert found.medians == {"rank_drift": 1}


def test_what_is_not_known_of_the_found_references_is_not_made_up():
    assert decision_agreement(answers([1]), answers([1], ["a"])).same_found is None


ranks = st.lists(st.integers(1, 9), min_size=3, max_size=3)


@given(one=ranks, other=ranks)
@settings(max_examples=30)
def test_lost_and_gained_add_up_to_flips_and_change_places_with_the_cells(one, other):
    there = decision_agreement(answers(one), answers(other))
    back = decision_agreement(answers(other), answers(one))
    np.testing.assert_array_equal(there.flipped, there.lost + there.gained)
    np.testing.assert_array_equal(there.lost, back.gained)
    np.testing.assert_allclose(there.rank_shift, -back.rank_shift)
    recalls = [np.mean(np.array(each) == 1) for each in (one, other)]
    assert there.gained.mean() - there.lost.mean() == pytest.approx(recalls[1] - recalls[0])
    itself = decision_agreement(answers(one, "abc"), answers(one, "abc"))
    assert itself.same_found.all()
    assert not itself.flipped.any()
    assert not itself.rank_shift.any()


def test_cells_of_other_counts_are_refused():
    with pytest.raises(RecordError, match=r"2 and 1 queries"):
        decision_agreement(answers([1, 1]), answers([1]))


@pytest.mark.parametrize("block_bytes", [1, 400, 1 << 20])
@pytest.mark.parametrize(("references", "width"), [(30, 5), (6, 12)])
def test_embeddings_agree_with_cosines_and_correlations_one_by_one(
    folder, references, width, block_bytes
):
    rng = np.random.default_rng(3)
    gallery = units(rng, references, width)
    cells = {cell: units(rng, 6, width) for cell in (BASE, TURNED, FOGGY)}
    place = folder(gallery, cells)
    found = embedding_agreement(place, block_bytes=block_bytes)
    assert list(found) == [TURNED, FOGGY]
    for cell, each in found.items():
        for row in range(6):
            one, two = (cells[own][row].astype(np.float64) for own in (BASE, cell))
            cosine = one @ two / math.sqrt((one @ one) * (two @ two))
            assert each.cosine_drift[row] == pytest.approx(1 - cosine, abs=1e-12)
            rows = [gallery.astype(np.float64) @ own for own in (one, two)]
            expected = np.corrcoef(*rows)[0, 1]
            assert each.row_agreement[row] == pytest.approx(expected, abs=1e-9)


def test_a_model_agrees_with_itself_fully(folder):
    rng = np.random.default_rng(4)
    rows = units(rng, 40, 8)
    place = folder(units(rng, 50, 8), {BASE: rows, TURNED: rows, FOGGY: -rows})
    found = embedding_agreement(place)
    np.testing.assert_allclose(found[TURNED].cosine_drift, 0, atol=1e-12)
    np.testing.assert_allclose(found[TURNED].row_agreement, 1, atol=1e-12)
    np.testing.assert_allclose(found[FOGGY].cosine_drift, 2, atol=1e-12)
    np.testing.assert_allclose(found[FOGGY].row_agreement, -1, atol=1e-12)


def test_equal_similarities_correlate_with_nothing(folder):
    rng = np.random.default_rng(5)
    gallery = np.repeat(units(rng, 1, 4), 7, axis=0)
    place = folder(gallery, {BASE: units(rng, 3, 4), TURNED: units(rng, 3, 4)})
    assert np.isnan(embedding_agreement(place)[TURNED].row_agreement).all()
    score(place, place)
    table = consistency_table(read_ranks(place / "ranks.parquet"), place)
    assert table[["row_agreement", "row_agreement_low", "row_agreement_high"]].isna().all(axis=None)
    assert table["cosine_drift_low"].notna().all()


def test_a_table_has_every_cell_with_intervals_where_there_are_means(folder, tmp_path):
    rng = np.random.default_rng(6)
    gallery = units(rng, 40, 6)
    near = {cell: gallery + rng.normal(size=gallery.shape) * 0.4 for cell in (BASE, TURNED, FOGGY)}
    cells = {
        cell: (x / np.linalg.norm(x, axis=1)[:, None]).astype("f4") for cell, x in near.items()
    }
    place = folder(gallery, cells)
    score(place, tmp_path)
    run = read_ranks(tmp_path / "ranks.parquet")
    table = consistency_table(run, place)
    assert table["view"].tolist() == ["heading90", "full"]
    assert table["severity"].tolist() == [0, 5]
    means = ["same_found", "flipped", "lost", "gained", "rank_shift"]
    for name in [*means, "cosine_drift", "row_agreement"]:
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    assert {"rank_drift", "cosine_drift_median"} <= {*table.columns}
    own = decision_agreement(run.cells[BASE], run.cells[FOGGY])
    assert table["lost"][1] == own.lost.mean()
    low, high = resampled(own.lost[None], lambda recalls: recalls)
    assert (table["lost_low"][1], table["lost_high"][1]) == pytest.approx((low[0], high[0]))
    assert "cosine_drift" not in consistency_table(run, base=TURNED)


def test_ranks_without_found_references_give_a_table_without_that_column(provenance):
    cells = {BASE: answers([1, 2, 1]), TURNED: answers([1, 1, 3])}
    table = consistency_table(RunAnswers(provenance(3, 5), ("a", "b", "c"), cells))
    assert "same_found" not in table
    assert table["flipped"][0] == pytest.approx(2 / 3)


def test_what_cannot_be_compared_is_refused_in_a_sentence(folder, provenance):
    rng = np.random.default_rng(7)
    rows = units(rng, 3, 4)
    place = folder(rows, {BASE: rows})
    alone = RunAnswers(provenance(3, 3), ("0", "1", "2"), {BASE: answers([1, 1, 1])})
    with pytest.raises(RecordError, match=r"no cell but clean to compare"):
        consistency_table(alone)
    with pytest.raises(RecordError, match=r"no cell clean \(heading90\)"):
        consistency_table(alone, base=TURNED)
    both = RunAnswers(alone.provenance, alone.ids, {**alone.cells, TURNED: answers([1, 2, 1])})
    with pytest.raises(RecordError, match=r"index.json has no cell clean \(heading90\)"):
        consistency_table(both, place)
    other = folder(rows, {BASE: rows, TURNED: rows}, name="another")
    with pytest.raises(RecordError, match=r"embeddings of another for 3 queries"):
        consistency_table(both, other)
    wide = folder(rows, {BASE: rows, TURNED: units(rng, 3, 5)}, name="wide")
    with pytest.raises(ModelError, match=r"queries of 5 dimensions, references of 4"):
        embedding_agreement(wide)
    (place / INDEX).unlink()
    with pytest.raises(RecordError, match=r"no finished embeddings"):
        embedding_agreement(place)
