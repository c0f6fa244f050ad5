import json

import numpy as np
import pytest
import torch

from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError, ModelError, RecordError, SuiteError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.models import load
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.record import read_record
from cvgl_bench.runs import read_run
from cvgl_bench.scoring import Resources, score
from cvgl_bench.suite import Cell
from cvgl_bench.summary import summarise


class Colors:
    """Every picture's mean colour, of four parts: finds a tile that looks like its panorama."""

    name = "colors"
    preprocessing = "none"
    weights_sha256 = ""

    def encode_ground(self, images):
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground


class BrokenInNoise(Colors):
    name = "broken-in-noise"

    def encode_ground(self, images):
        rows = super().encode_ground(images)
        rough = (images.diff(dim=3).abs().mean(dim=(1, 2, 3)) > 0.2)[:, None]
        return torch.where(rough, torch.nan, rows)


@pytest.fixture
def world(make_cvusa, small_suite, tmp_path):
    """A data set whose tiles are squeezed panoramas, its suite, and a generated set."""
    from PIL import Image

    root = make_cvusa(6)
    for path in (root / "bingmap/19").iterdir():
        with Image.open(root / "streetview/panos" / path.name) as panorama:
            panorama.resize((40, 40), Image.Resampling.BOX).save(path, quality=95)
    suite = small_suite(pairs=6)
    dataset = load_dataset("cvusa", root, "val")
    generate(make_plan(suite, dataset, suite.cells), tmp_path / "set")
    return suite, root, tmp_path / "set"


def test_a_model_that_can_see_is_scored_above_the_floors(world, tmp_path):
    suite, root, made = world
    job = plan_evaluation(suite, root, Colors(), set_folder=made)
    told = []
    record = evaluate(job, tmp_path / "run", device="cpu", progress=told.append)
    assert summarise(record).r1_clean == 1
    assert sum(told) == 6 + 6 * 6
    assert [score.cell for score in record.cells] == list(suite.cells)
    assert read_record(tmp_path / "run/record.json") == record
    assert record.not_comparable == ()
    assert record.lacking == []


def test_pictures_rendered_on_the_fly_give_the_ranks_of_the_set(world, tmp_path):
    suite, root, made = world
    records = [
        evaluate(plan_evaluation(suite, root, Colors(), set_folder=folder), tmp_path / name)
        for name, folder in (("disk", made), ("fly", None))
    ]
    assert records[0].ranks_sha256 == records[1].ranks_sha256
    assert records[0].data.manifest_sha256 != ""
    assert records[1].data.manifest_sha256 == ""


def test_a_turned_panorama_is_another_picture_and_a_turn_of_zero_is_not(world, tmp_path):
    suite, root, _ = world
    cells = suite.select(views=["full", "heading180"], corruptions=[])
    job = plan_evaluation(suite, root, Colors(), cells=cells)
    record = evaluate(job, tmp_path / "run", device="cpu")
    turned = summarise(record, "heading180").r1_clean
    assert summarise(record).r1_clean == 1
    assert turned < 1


def test_a_model_that_wants_it_is_told_the_field_of_view_of_every_view(world, tmp_path):
    class Told(Colors):
        def __init__(self):
            self.told = []

        def encode_ground(self, images, fov_degrees):
            self.told.append((fov_degrees, images.shape[3]))
            return super().encode_ground(images)

    suite, root, _ = world
    views = ["full", "fov90", "fov70-heading45", "heading180"]
    adapter = Told()
    adapter.encode_aerial = Colors().encode_aerial
    cells = suite.select(views=views, corruptions=[])
    evaluate(plan_evaluation(suite, root, adapter, cells=cells), tmp_path / "run", device="cpu")
    assert set(adapter.told) == {(360, 96), (90, 24), (70, 19)}


def test_a_constant_model_scores_zero_and_is_marked(world, tmp_path):
    suite, root, made = world
    job = plan_evaluation(suite, root, load("constant"), set_folder=made)
    record = evaluate(job, tmp_path / "run", device="cpu")
    assert {score.r1 for score in record.cells} == {0}
    assert record.degenerate == "every reference embedding is the same"


def test_a_model_that_gives_nan_is_refused_and_leaves_no_record(world, tmp_path):
    suite, root, made = world
    job = plan_evaluation(suite, root, BrokenInNoise(), set_folder=made)
    with pytest.raises(ModelError, match="NaN"):
        evaluate(job, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "record.json").exists()
    with pytest.raises(RecordError, match="no finished embeddings"):
        score(tmp_path / "run" / "embeddings.unfinished", tmp_path / "run")


def test_a_run_that_fails_leaves_the_earlier_run_whole(world, tmp_path, monkeypatch):
    suite, root, made = world
    job = plan_evaluation(suite, root, Colors(), set_folder=made)
    record = evaluate(job, tmp_path / "run")
    before = sorted((tmp_path / "run").rglob("*"))
    monkeypatch.setattr(Colors, "encode_ground", lambda self, images: images.mean(dim=(2, 3)))
    with pytest.raises(ModelError, match="length"):
        evaluate(job, tmp_path / "run")
    assert score(tmp_path / "run" / "embeddings", tmp_path / "again") == record
    assert set(before) <= set((tmp_path / "run").rglob("*"))


def test_a_part_of_a_run_does_not_replace_the_whole(world, tmp_path):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    part = plan_evaluation(suite, root, Colors(), cells=suite.select(corruptions=[]))
    with pytest.raises(RecordError, match="with 6 cells and 6 queries"):
        evaluate(part, tmp_path / "run")


def test_data_that_the_set_was_not_made_from_is_refused(world, make_cvusa):
    suite, _, made = world
    other = make_cvusa(6, name="other", panorama=(32, 104))
    with pytest.raises(DataError, match="not the panorama that"):
        plan_evaluation(suite, other, Colors(), set_folder=made)


def test_encoders_of_different_widths_are_refused_at_the_first_cell(world, tmp_path):
    suite, root, made = world

    class Uneven(Colors):
        def encode_aerial(self, images):
            return super().encode_ground(images)[:, :1].sign()

    with pytest.raises(ModelError, match="12 numbers for a ground picture and 1"):
        evaluate(plan_evaluation(suite, root, Uneven(), set_folder=made), tmp_path / "run")


def test_the_random_floor_scores_within_chance(make_cvusa, small_suite, tmp_path):
    suite = small_suite(pairs=200, corruptions=["contrast"], severities=[1, 2, 3, 4, 5])
    root = make_cvusa(200, panorama=(16, 32), tile=8)
    record = evaluate(plan_evaluation(suite, root, load("random")), tmp_path / "run")
    hits = sum(round(score.r1 * 200) for score in record.cells)
    # 7 cells of 200 queries at 1 in 200: 7 expected; over 22 has probability 1e-6.
    assert hits <= 22
    assert all(score.r10 < 0.2 for score in record.cells)


def test_scoring_the_kept_embeddings_or_ranks_again_gives_the_same_record(world, tmp_path):
    suite, root, made = world
    run = tmp_path / "run"
    record = evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), run)
    assert score(run / "embeddings", tmp_path / "again") == record
    assert score(run / "ranks.parquet", tmp_path / "ranks") == record


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "references.npy").write_bytes(b"x"), "no readable array"),
        (lambda f: (f / "references.npy").unlink(), "no readable array"),
        (lambda f: np.save(f / "references.npy", np.zeros((5, 12), np.float32)), "6 rows"),
        (lambda f: np.save(f / "references.npy", np.zeros((6, 12), np.int32)), "int32"),
        (lambda f: np.save(f / "references.npy", np.full((6, 12), np.nan)), "NaN"),
        (lambda f: np.save(f / "references.npy", np.eye(6, 13)), "12 dimensions"),
        (lambda f: (f / "index.json").write_text("{}"), "Field required"),
        (lambda f: (f / "index.json").unlink(), "no finished embeddings"),
    ],
)
def test_spoilt_embeddings_are_refused(world, tmp_path, harm, message):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    harm(tmp_path / "run" / "embeddings")
    with pytest.raises((ModelError, RecordError), match=message):
        score(tmp_path / "run" / "embeddings", tmp_path / "again")
    assert not (tmp_path / "again" / "record.json").exists()


def test_pickled_arrays_are_never_loaded(world, tmp_path):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    folder = tmp_path / "run" / "embeddings"
    np.save(folder / "references.npy", np.array([object()] * 6), allow_pickle=True)
    with pytest.raises(RecordError, match="no readable array"):
        score(folder, tmp_path / "again")


def test_an_index_that_points_out_of_its_folder_is_refused(world, tmp_path):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    index = tmp_path / "run/embeddings/index.json"
    index.write_text(index.read_text().replace("000-full", "../000-full"))
    with pytest.raises(RecordError, match="outside its folder"):
        score(index.parent, tmp_path / "again")


def test_an_altered_picture_stops_the_evaluation(world, tmp_path):
    suite, root, made = world
    victim = made / "severity-5/noise/gaussian_noise/0000003.jpg"
    victim.write_bytes((made / "clean/0000003.jpg").read_bytes())
    job = plan_evaluation(suite, root, Colors(), set_folder=made)
    with pytest.raises(DataError, match=r"0000003\.jpg is not what the set.*--repair"):
        evaluate(job, tmp_path / "run")


def test_a_set_of_another_suite_or_other_data_is_refused(world, small_suite, make_cvusa):
    suite, root, made = world
    with pytest.raises(SuiteError, match="fingerprint"):
        plan_evaluation(small_suite(pairs=6, seed=9), root, Colors(), set_folder=made)
    other = small_suite(name="small-c-published", pairs=6, profile="published")
    message = r"\(profile standard\), not of small-c-published \(profile published\)"
    with pytest.raises(SuiteError, match=message):
        plan_evaluation(other, root, Colors(), set_folder=made)
    other = make_cvusa(5, name="other")
    with pytest.raises(DataError, match="of which the data has 5"):
        plan_evaluation(suite, other, Colors(), set_folder=made, partial=True)


def test_an_unfinished_set_is_refused(world, tmp_path):
    suite, root, made = world
    (made / "set.json").unlink()
    with pytest.raises(DataError, match="no finished set"):
        plan_evaluation(suite, root, Colors(), set_folder=made)


def test_a_partial_gallery_is_refused_or_marked(make_cvusa, small_suite, tmp_path):
    suite, root = small_suite(pairs=7), make_cvusa(6)
    with pytest.raises(SuiteError, match="--partial"):
        plan_evaluation(suite, root, Colors())
    record = evaluate(plan_evaluation(suite, root, Colors(), partial=True), tmp_path / "run")
    assert record.not_comparable == (
        "6 queries where small-c has 7",
        "6 references where small-c has 7",
    )


def test_a_run_of_a_set_with_fewer_queries_follows_from_its_ranks(
    make_cvusa, small_suite, tmp_path
):
    root, suite = make_cvusa(5), small_suite(pairs=5)
    dataset = load_dataset("cvusa", root, "val")
    generate(make_plan(suite, dataset, suite.cells, limit=2), tmp_path / "set")
    job = plan_evaluation(suite, root, Colors(), set_folder=tmp_path / "set", partial=True)
    evaluate(job, tmp_path / "run")
    assert read_run(tmp_path / "run").record.data.queries == 2


def test_fewer_queries_meet_the_whole_gallery(world, tmp_path):
    suite, root, _ = world
    dataset = load_dataset("cvusa", root, "val")
    generate(make_plan(suite, dataset, suite.cells, limit=2), tmp_path / "few")
    job = plan_evaluation(suite, root, Colors(), set_folder=tmp_path / "few", partial=True)
    record = evaluate(job, tmp_path / "run")
    assert (record.data.queries, record.data.references) == (2, 6)
    assert record.not_comparable == ("2 queries where small-c has 6",)


def test_a_mixed_set_is_scored_with_the_data_sets_clean_pictures(world, small_suite, tmp_path):
    _, root, _ = world
    suite = small_suite(form="mixed", pairs=6)
    dataset = load_dataset("cvusa", root, "val")
    generate(make_plan(suite, dataset, suite.cells), tmp_path / "all")
    job = plan_evaluation(suite, root, Colors(), set_folder=tmp_path / "all")
    record = evaluate(job, tmp_path / "run")
    assert [str(score.cell) for score in record.cells] == ["clean", "mixed"]
    assert summarise(record).r1_clean == 1
    assert summarise(record).r1_cor is not None


def test_a_cell_that_the_set_lacks_is_refused(world):
    suite, root, made = world
    cells = suite.select(views=["fov90"])
    with pytest.raises(DataError, match="has no gaussian_noise 1 \\(fov90\\)"):
        plan_evaluation(suite, root, Colors(), set_folder=made, cells=cells)


def test_another_models_run_is_not_overwritten(world, tmp_path):
    suite, root, made = world
    job = plan_evaluation(suite, root, Colors(), set_folder=made)
    evaluate(job, tmp_path / "run")
    evaluate(job, tmp_path / "run")
    other = plan_evaluation(suite, root, load("constant"), set_folder=made)
    with pytest.raises(RecordError, match="holds the run of colors"):
        evaluate(other, tmp_path / "run")


@pytest.mark.parametrize("attribute", [("name", "../../x"), ("weights_sha256", "abc")])
def test_a_model_that_cannot_be_recorded_is_refused_before_the_work(world, attribute):
    suite, root, made = world
    model = Colors()
    setattr(model, *attribute)
    with pytest.raises(ModelError, match="cannot be recorded"):
        plan_evaluation(suite, root, model, set_folder=made)


def test_embeddings_made_elsewhere_need_a_short_index_and_are_marked_if_too_few(tmp_path):
    np.save(tmp_path / "references.npy", np.eye(3, dtype=np.float16))
    np.save(tmp_path / "clean.npy", np.eye(3, dtype=np.float16)[[0, 2]])
    index = {
        "provenance": {
            "suite": "cvusa-c",
            "date": "2026-01-31",
            "model": {"name": "mine"},
            "data": {"queries": 2, "references": 3},
        },
        "query_ids": ["a", "c"],
        "reference_ids": ["a", "b", "c"],
        "files": [
            {"cell": {"view": "full", "corruption": "clean", "severity": 0}, "file": "clean.npy"}
        ],
    }
    (tmp_path / "index.json").write_text(json.dumps(index))
    record = score(tmp_path, tmp_path / "run")
    assert [cell.r1 for cell in record.cells] == [1]
    assert record.fingerprint == record.suite.fingerprint
    assert record.not_comparable[0] == "2 queries where cvusa-c has 8,884"
    assert record.status == "unverified"
    for name, value in (("query_ids", ["a", "a"]), ("files", index["files"] * 2)):
        (tmp_path / "index.json").write_text(json.dumps(index | {name: value}))
        with pytest.raises(RecordError, match="twice"):
            score(tmp_path, tmp_path / "run")
    index["provenance"]["suite"] = "../../etc/cvusa-c.toml"
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(RecordError, match="suite"):
        score(tmp_path, tmp_path / "run")


def test_a_record_says_how_long_a_ground_picture_took(world, tmp_path):
    suite, root, made = world
    record = evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    assert 0 < float(record.environment["ground_ms_per_image"]) < 1000


def test_memory_is_bounded_where_a_bound_is_given(world, tmp_path):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    folder = tmp_path / "run" / "embeddings"
    wide = score(folder, tmp_path / "wide")
    assert score(folder, tmp_path / "narrow", Resources(max_memory=2 << 20)).cells == wide.cells
    with pytest.raises(RecordError, match=r"need at least 2 MiB of --max-memory"):
        score(folder, tmp_path / "none", Resources(max_memory=10))


def test_a_run_keeps_the_five_references_that_came_first(world, tmp_path):
    suite, root, made = world
    evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    folder = tmp_path / "run"
    index = json.loads((folder / "embeddings" / "index.json").read_text())
    references = np.load(folder / "embeddings" / "references.npy").astype(np.float64)
    cells = read_ranks(folder / "ranks.parquet").cells
    for item in index["files"]:
        answers = cells[Cell.model_validate(item["cell"])]
        queries = np.load(folder / "embeddings" / item["file"]).astype(np.float64)
        similar = queries @ references.T
        for query, (found, others) in enumerate(
            zip(answers.found, answers.runners_up, strict=True)
        ):
            rows = [index["reference_ids"].index(name) for name in (found, *others)]
            best = -np.sort(-similar[query])[:5]
            assert similar[query, rows] == pytest.approx(best, abs=2e-6)
            assert len(set(rows)) == 5


def test_positions_give_errors_in_metres_and_none_gives_none(world, tmp_path):
    suite, root, made = world
    record = evaluate(plan_evaluation(suite, root, Colors(), set_folder=made), tmp_path / "run")
    metres = record.cells[0].metres
    assert metres.median > 1000, "the fake tiles lie half a degree from their panoramas"
    assert metres.within_50 == 0
