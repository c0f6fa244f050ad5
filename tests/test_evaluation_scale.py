"""An evaluation with a cache, a bound on memory, or in shards."""

import itertools
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cvgl_bench import embedding_identity
from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.embedding_run import Scale
from cvgl_bench.errors import ModelError, RecordError
from cvgl_bench.evaluation import evaluate, evaluate_shard, plan_evaluation
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.record import read_record
from cvgl_bench.scoring import Resources, score

PAIRS = 4
CELLS = 6
ARRAYS = CELLS + 1


class Colors:
    """Every picture's mean colour, of four parts; keeps how many pictures it saw."""

    name = "colors"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self, room=99):
        self.seen = []
        self.room = room

    def encode_ground(self, images):
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.seen.append(len(images))
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground


@pytest.fixture
def town(make_cvusa, small_suite):
    return small_suite(pairs=PAIRS), make_cvusa(PAIRS)


@pytest.fixture
def whole(town, tmp_path):
    """An undisturbed run."""
    evaluate(plan_evaluation(*town, Colors()), tmp_path / "whole")
    return tmp_path / "whole"


def content(run):
    """A run but for its date and environment."""
    record = json.loads((run / "record.json").read_text())
    del record["environment"], record["date"]
    arrays = {path.name: path.read_bytes() for path in (run / "embeddings").glob("*.npy")}
    return record, arrays, sorted(path.name for path in run.iterdir())


def test_a_second_run_takes_all_from_the_cache_and_is_the_same(town, whole, tmp_path):
    told = []
    scale = Scale(cache=tmp_path / "cache", tell=told.append)
    evaluate(plan_evaluation(*town, Colors()), tmp_path / "first", scale=scale)
    assert told == []
    model = Colors()
    record = evaluate(plan_evaluation(*town, model), tmp_path / "second", scale=scale)
    assert model.seen == []
    assert told == [f"7 of 7 arrays of embeddings are taken from {tmp_path / 'cache'}."]
    assert content(tmp_path / "first") == content(tmp_path / "second") == content(whole)
    assert record.environment["cells_from_cache"] == "6 of 6"
    assert "ground_ms_per_image" not in record.environment


def test_more_cells_and_views_need_only_what_is_new(town, tmp_path):
    suite, _ = town
    scale = Scale(cache=tmp_path / "cache")
    few = suite.select(severities=[1])
    evaluate(plan_evaluation(*town, Colors(), cells=few), tmp_path / "few", scale=scale)
    model = Colors()
    many = suite.select(views=["full", "fov90"])
    record = evaluate(plan_evaluation(*town, model, cells=many), tmp_path / "many", scale=scale)
    assert len(model.seen) == len(many) - len(few)
    assert record.environment["cells_from_cache"] == f"{len(few)} of {len(many)}"
    assert 0 < float(record.environment["ground_ms_per_image"]) < 1000


def test_the_pictures_of_a_set_are_known_again_in_a_larger_set(town, tmp_path):
    suite, root = town
    dataset = load_dataset("cvusa", root, "val")
    scale = Scale(cache=tmp_path / "cache")
    seen = []
    for name, severities in (("small", [1]), ("large", [1, 5])):
        made = tmp_path / name
        generate(make_plan(suite, dataset, suite.select(severities=severities)), made)
        model = Colors()
        job = plan_evaluation(*town, model, set_folder=made)
        evaluate(job, tmp_path / f"run-{name}", scale=scale)
        seen.append(len(model.seen))
    assert seen == [1 + 4, 2]


def test_other_weights_words_code_or_pictures_are_not_taken_from_the_cache(
    town, tmp_path, monkeypatch
):
    scale = Scale(cache=tmp_path / "cache")
    numbers = itertools.count()

    def embedded(model):
        job = plan_evaluation(*town, model)
        evaluate(job, tmp_path / str(next(numbers)), scale=scale)
        return len(model.seen)

    assert embedded(Colors()) == ARRAYS
    assert embedded(Colors()) == 0
    worded, heavy = Colors(), Colors()
    worded.preprocessing = "resized"
    heavy.weights_sha256 = "a" * 64
    assert embedded(worded) == ARRAYS
    assert embedded(heavy) == ARRAYS
    picture = town[1] / "bingmap/19/0000001.jpg"
    picture.write_bytes((town[1] / "bingmap/19/0000002.jpg").read_bytes())
    assert embedded(Colors()) == 1
    code = embedding_identity._code
    monkeypatch.setattr(embedding_identity, "_code", lambda model: code(model) | {"More": "x"})
    assert embedded(Colors()) == ARRAYS


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"npy is damaged \(it is not"),
        (lambda path: path.unlink(), r"npy is damaged \(.*No such file"),
        (lambda path: path.with_suffix(".json").write_text("{}"), r"json is damaged: identity"),
        (lambda path: np.save(path, np.zeros((PAIRS, 12), np.float32)), r"npy is damaged"),
    ],
)
def test_a_damaged_array_of_the_cache_is_named_and_made_again(town, whole, tmp_path, harm, message):
    cache = tmp_path / "cache"
    scale = Scale(cache=cache)
    evaluate(plan_evaluation(*town, Colors()), tmp_path / "first", scale=scale)
    # A second name of the same file would be harmed with it.
    shutil.rmtree(tmp_path / "first")
    harm(sorted(cache.glob("*.npy"))[2])
    for embedded in (1, 0):
        told = []
        model = Colors()
        scale = Scale(cache=cache, tell=told.append)
        evaluate(plan_evaluation(*town, model), tmp_path / "again", scale=scale)
        assert len(model.seen) == embedded
        assert content(tmp_path / "again") == content(whole)
        if embedded:
            assert len(told) == 2
            assert re.search(message, told[0])


def test_an_array_that_is_whole_but_not_of_unit_length_is_not_taken(town, tmp_path):
    cache = tmp_path / "cache"
    evaluate(plan_evaluation(*town, Colors()), tmp_path / "first", scale=Scale(cache=cache))
    victim = sorted(cache.glob("*.npy"))[0]
    rows = np.load(victim)
    victim.unlink()
    np.save(victim, rows * 2)
    page = json.loads(victim.with_suffix(".json").read_text())
    page["sha256"] = embedding_identity.sha256_of_file(victim)
    victim.with_suffix(".json").write_text(json.dumps(page))
    told = []
    scale = Scale(cache=cache, tell=told.append)
    model = Colors()
    evaluate(plan_evaluation(*town, model), tmp_path / "again", scale=scale)
    assert len(model.seen) == 1
    assert "must have unit length, one has 2" in told[0]


def test_several_runs_may_fill_one_cache_at_once(town, whole, tmp_path):
    scale = Scale(cache=tmp_path / "cache")

    def run(number):
        out = tmp_path / f"run-{number}"
        evaluate(plan_evaluation(*town, Colors()), out, scale=scale)
        return content(out)

    with ThreadPoolExecutor(3) as several:
        assert all(each == content(whole) for each in several.map(run, range(3)))
    assert len(list((tmp_path / "cache").glob("*.npy"))) == ARRAYS
    assert list((tmp_path / "cache").glob(".writing-*")) == []


def test_a_bound_on_memory_is_refused_after_the_first_batch_with_the_size_that_would_do(
    town, tmp_path
):
    model = Colors()
    job = plan_evaluation(*town, model)
    with pytest.raises(RecordError, match=r"4 queries and 4 references of 12 numbers need"):
        evaluate(job, tmp_path / "run", scale=Scale(max_memory=1000), batch_size=1)
    assert model.seen == [1]
    evaluate(job, tmp_path / "run", scale=Scale(max_memory=2 << 20))


@pytest.mark.parametrize("width", [1, 12, 1024])
def test_the_bound_that_is_named_is_one_that_does(width):
    with pytest.raises(RecordError) as refused:
        Resources(max_memory=0).for_ranking(8884, 8884, width)
    named = int(str(refused.value).partition("least ")[2].partition(" ")[0])
    assert Resources(max_memory=named << 20).for_ranking(8884, 8884, width) > 0


def test_the_bound_reaches_the_scoring(town, tmp_path, monkeypatch):
    given = []

    def spy(source, out, resources, cost):
        given.append(resources)
        return score(source, out, resources, cost)

    monkeypatch.setattr("cvgl_bench.evaluation_folder.score", spy)
    job = plan_evaluation(*town, Colors())
    evaluate(job, tmp_path / "run", device="cpu", scale=Scale(max_memory=3 << 20))
    assert given == [Resources(max_memory=3 << 20, device="cpu")]


def test_the_size_that_went_is_kept_for_all_cells_and_said_at_the_end(town, whole, tmp_path):
    told = []
    model = Colors(room=1)
    evaluate(plan_evaluation(*town, model), tmp_path / "run", scale=Scale(tell=told.append))
    assert model.seen == [1] * PAIRS * ARRAYS
    assert told == [
        "memory was too short for 32 pictures at a time; 1 went. --batch-size 1 starts with that."
    ]
    assert (
        read_record(tmp_path / "run/record.json").cells == read_record(whole / "record.json").cells
    )


@pytest.mark.parametrize("count", [2, 3, 12])
def test_shards_in_any_order_give_the_run_of_one_process(town, whole, tmp_path, count):
    seen, records = 0, []
    for number in (count, *range(1, count)):
        model = Colors()
        job = plan_evaluation(*town, model)
        records.append(evaluate_shard(job, tmp_path / "run", (number, count)))
        seen += len(model.seen)
    assert records[:-1] == [None] * (count - 1) or count > ARRAYS
    assert seen == ARRAYS
    assert content(tmp_path / "run") == content(whole)
    late = Colors()
    again = evaluate_shard(plan_evaluation(*town, late), tmp_path / "run", (1, count))
    assert late.seen == []
    assert again == read_record(tmp_path / "run/record.json")
    assert content(tmp_path / "run") == content(whole)


def test_shards_at_the_same_time_give_the_run_of_one_process(town, whole, tmp_path):
    def shard(number):
        job = plan_evaluation(*town, Colors())
        return evaluate_shard(job, tmp_path / "run", (number, 4))

    with ThreadPoolExecutor(4) as several:
        records = [record for record in several.map(shard, range(1, 5)) if record is not None]
    assert len(records) >= 1
    assert {each.ranks_sha256 for each in records} == {
        read_record(whole / "record.json").ranks_sha256
    }
    assert content(tmp_path / "run") == content(whole)


def test_shards_of_several_folders_are_copied_together_and_scored_by_the_plain_command(
    town, whole, tmp_path
):
    for number in (1, 2, 3):
        job = plan_evaluation(*town, Colors())
        assert evaluate_shard(job, tmp_path / f"part-{number}", (number, 3)) is None
        parts = tmp_path / f"part-{number}" / "embeddings.unfinished"
        shutil.copytree(parts, tmp_path / "run" / "embeddings.unfinished", dirs_exist_ok=True)
    model = Colors()
    evaluate(plan_evaluation(*town, model), tmp_path / "run")
    assert model.seen == []
    assert content(tmp_path / "run") == content(whole)


def test_a_shard_over_an_older_run_of_other_pictures_does_not_take_its_record(town, tmp_path):
    evaluate(plan_evaluation(*town, Colors()), tmp_path / "run")
    picture = town[1] / "bingmap/19/0000001.jpg"
    picture.write_bytes((town[1] / "bingmap/19/0000002.jpg").read_bytes())
    model = Colors()
    assert evaluate_shard(plan_evaluation(*town, model), tmp_path / "run", (1, 2)) is None
    assert len(model.seen) == 4


def test_encoders_of_different_widths_are_refused_whichever_shard_finds_out(town, tmp_path):
    class Uneven(Colors):
        def encode_aerial(self, images):
            return super().encode_ground(images)[:, :1].sign()

    def shard(number):
        return evaluate_shard(plan_evaluation(*town, Uneven()), tmp_path / "run", (number, 7))

    assert [shard(number) for number in range(2, 8)] == [None] * 6
    with pytest.raises(ModelError, match="12 numbers for a ground picture and 1 for an aerial"):
        shard(1)


def test_a_model_that_nothing_tells_from_others_cannot_be_sharded(town, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_identity, "_code", lambda model: {})
    with pytest.raises(ModelError, match="no shard could find another's work"):
        evaluate_shard(plan_evaluation(*town, Colors()), tmp_path / "run", (1, 2))


def test_the_command_takes_shards_a_cache_and_a_bound(make_cvusa, suite_file, tmp_path):
    options = ["--model", "mean-color", "--data", make_cvusa(PAIRS), "--on-the-fly", "--quiet"]
    options += ["--cache", tmp_path / "cache", "--out", tmp_path / "run", "--max-memory"]

    def run(*more):
        words = ["evaluate", suite_file(pairs=PAIRS), *options, *more]
        return CliRunner().invoke(main, [str(word) for word in words])

    first = run("1G", "--shard", "1/2")
    assert (first.exit_code, "shard 1/2 is done" in first.output) == (0, True)
    assert not (tmp_path / "run/record.json").exists()
    second = run("1G", "--shard", "2/2")
    assert (second.exit_code, "written: " in second.output) == (0, True)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == ARRAYS
    again = run("1G")
    assert "7 of 7 arrays of embeddings are taken from" in again.output
    few = run("1K")
    assert few.exit_code == 1
    assert "need at least 2 MiB of --max-memory" in few.output
