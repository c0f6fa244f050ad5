import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.evaluation import model_card
from cvgl_bench.models import load
from cvgl_bench.models.checkpoint import read_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.training.loop import Job, train
from cvgl_bench.training.recipes import LINEAR_END, PRESETS, Recipe, Sampling, find_recipe
from cvgl_bench.training.run import STATE, WEIGHTS, Run

METHODS = ("sample4geo", "mrgeo", "singeo", "lrfr")
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16], "kernel_sizes": 3, "ls_init_value": None}
OPTIONS = {"mrgeo": {"heads": 2}, "lrfr": {"groups": 4, "clusters": 4, "dims": 8}}


def tiny(method, **changes):
    recipe = find_recipe(method, "small")
    config = Config(
        method=method,
        backbone="convnext_atto",
        backbone_options=TINY,
        ground_size=(32, 96),
        aerial_size=(32, 32),
        options=OPTIONS.get(method, {}),
    )
    fields = {"epochs": 3, "batch_size": 4, "validate_every": 1, "precision": "fp32"}
    return replace(recipe, config=config, **fields | changes)


@pytest.fixture
def pairs(make_cvusa):
    return load_dataset("cvusa", make_cvusa(16, split="train"), "train").pairs


def job(folder, pairs, recipe, **options):
    return Job(Run(folder, recipe, {"split": "train"}), pairs[:12], pairs[12:], True, **options)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_is_evaluated_from_what_was_written(method, pairs, tmp_path):
    state = train(job(tmp_path, pairs, tiny(method, precision="bf16")))
    assert state.epoch == 3
    curve = pd.read_csv(tmp_path / "curves.csv")
    assert [*curve["epoch"]] == [1, 2, 3]
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    model = load(method, tmp_path / WEIGHTS)
    embedded = model.encode_ground(torch.rand(2, 3, 32, 96))
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("method", ["sample4geo", "singeo", "lrfr"])
def test_a_training_that_was_killed_ends_with_the_same_weights(method, pairs, tmp_path):
    recipe = tiny(method, sampling=Sampling(nearest=2, drawn=1, among=5, refresh_epochs=2))
    whole = train(job(tmp_path / "whole", pairs, recipe))

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path / "broken", pairs, recipe), stop)
    resumed = train(job(tmp_path / "broken", pairs, recipe))
    assert resumed.network.keys() == whole.network.keys()
    for name, tensor in whole.network.items():
        assert torch.equal(tensor, resumed.network[name]), name
    written = [load_file(tmp_path / folder / WEIGHTS) for folder in ("whole", "broken")]
    for name, tensor in written[0].items():
        assert torch.equal(tensor, written[1][name]), name
    losses = [[row["loss"] for row in state.rows] for state in (whole, resumed)]
    assert losses[0] == losses[1]


def test_a_finished_training_is_not_repeated(pairs, tmp_path):
    recipe = tiny("sample4geo", epochs=1)
    train(job(tmp_path, pairs, recipe))
    rows = []
    train(job(tmp_path, pairs, recipe), rows.append)
    assert rows == []


def test_keeping_pictures_in_memory_changes_no_weight(pairs, tmp_path):
    recipe = tiny("sample4geo", epochs=1)
    kept = train(job(tmp_path / "kept", pairs, recipe))
    read = train(job(tmp_path / "read", pairs, recipe, memory_bytes=0, workers=0))
    for name, tensor in kept.network.items():
        assert torch.equal(tensor, read.network[name])


def test_the_weights_that_are_kept_are_the_best_on_validation(pairs, tmp_path):
    state = train(job(tmp_path, pairs, tiny("sample4geo", epochs=4)))
    scores = [row["validation_r1"] for row in state.rows]
    assert state.best == max(scores)
    about = read_checkpoint(tmp_path / WEIGHTS).training
    latest = max(epoch for epoch, score in enumerate(scores, start=1) if score == max(scores))
    assert about["epoch"] == latest


def test_another_training_in_the_folder_is_refused(pairs, tmp_path):
    train(job(tmp_path, pairs, tiny("sample4geo", epochs=1)))
    with pytest.raises(DataError, match="holds another training: its epochs is 1, not 2"):
        train(job(tmp_path, pairs, tiny("sample4geo", epochs=2)))


def test_a_damaged_state_is_told(pairs, tmp_path):
    recipe = tiny("sample4geo", epochs=1)
    train(job(tmp_path, pairs, recipe))
    (tmp_path / STATE).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ModelError, match="damaged; delete it"):
        train(job(tmp_path, pairs, recipe))


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_state(pairs, tmp_path):
    recipe = tiny("sample4geo", epochs=3, learning_rate=1e30, warm_up_epochs=0.0)
    with pytest.raises(ModelError, match=r"the loss became (nan|inf) in epoch"):
        train(job(tmp_path, pairs, recipe))
    if (tmp_path / STATE).exists():
        kept = torch.load(tmp_path / STATE, weights_only=True)["network"]
        assert all(tensor.isfinite().all() for tensor in kept.values())


def test_too_few_pairs_for_a_batch_are_refused(pairs, tmp_path):
    with pytest.raises(DataError, match="12 pairs to train on do not fill a batch of 16"):
        train(job(tmp_path, pairs, tiny("sample4geo", batch_size=16)))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_recipe_for_every_method(preset):
    assert set(PRESETS[preset]) == set(METHODS)
    for method, recipe in PRESETS[preset].items():
        assert isinstance(recipe, Recipe)
        assert recipe.method == method
        assert (recipe.loss == "dual") == (recipe.curriculum is not None)


def test_the_rate_rises_and_falls_to_the_schedules_end():
    recipe = tiny("sample4geo", epochs=10, learning_rate=2.0, warm_up_epochs=1.0)
    shares = [(step + 1) / 100 for step in range(100)]
    rates = [recipe.rate_at(share) for share in shares]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    line = replace(recipe, schedule="linear", warm_up_epochs=0.0)
    assert line.rate_at(1.0) == pytest.approx(2.0 * LINEAR_END)
    assert line.rate_at(0.5) == pytest.approx(2.0 * (1 - 0.5 * (1 - LINEAR_END)))


def run(*words):
    return CliRunner().invoke(main, ["train", *map(str, words)])


def test_unknown_methods_and_presets_are_told(make_cvusa):
    root = make_cvusa(6, split="train")
    result = run("sample5geo", "--data", root, "--dataset", "cvusa")
    assert result.exit_code == 1
    assert "Did you mean 'sample4geo'" in result.output


def test_pairs_held_out_are_never_trained_on(make_cvusa):
    result = run("mrgeo", "--data", make_cvusa(6, split="train"), "--dataset", "cvusa")
    assert result.exit_code == 1
    assert "6 pairs are too few to hold 2000 out" in result.output


def test_the_training_split_is_refused_as_validation(make_cvusa, tmp_path):
    words = ("--data", make_cvusa(6, split="train"), "--dataset", "cvusa", "--validation", "train")
    result = run("mrgeo", *words, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "share pairs" in result.output
    assert not (tmp_path / "run").exists()


TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_training import job, tiny
from cvgl_bench.datasets import load_dataset
from cvgl_bench.training.loop import train
from cvgl_bench.training.recipes import Sampling
pairs = load_dataset("cvusa", Path({data!r}), "train").pairs
for method in {methods!r}:
    sampling = Sampling(nearest=2, drawn=1, among=5, refresh_epochs=1)
    recipe = tiny(method, epochs={epochs}, sampling=sampling)
    told = train(job(Path({out!r}) / method, pairs, recipe), lambda row: print(row, flush=True))
"""


def script(root, out, epochs, methods=("sample4geo",)):
    tests = str(Path(__file__).parent)
    return TRAIN.format(tests=tests, data=str(root), out=str(out), epochs=epochs, methods=methods)


@pytest.mark.slow
def test_kill_dash_nine_and_resume_give_the_weights_of_an_unbroken_run(make_cvusa, tmp_path):
    root = make_cvusa(16, split="train")
    whole = [sys.executable, "-c", script(root, tmp_path / "whole", 12)]
    subprocess.run(whole, check=True, capture_output=True)
    words = [sys.executable, "-c", script(root, tmp_path / "broken", 12)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    subprocess.run(words, check=True, capture_output=True)
    files = [tmp_path / folder / "sample4geo" / WEIGHTS for folder in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_two_processes_take_the_steps_that_one_takes(make_cvusa, tmp_path):
    root = make_cvusa(16, split="train")
    for processes in (1, 2):
        path = tmp_path / f"{processes}.py"
        path.write_text(script(root, tmp_path / str(processes), 2, METHODS))
        words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        subprocess.run([sys.executable, *words, str(path)], check=True, capture_output=True)
    for method in METHODS:
        one, two = (
            torch.load(tmp_path / folder / method / STATE, weights_only=True) for folder in "12"
        )
        assert two["epoch"] == 2
        if method == "lrfr":
            # Its batch norm and dropout see a process's own part of the batch.
            continue
        for name, tensor in one["network"].items():
            assert torch.allclose(tensor, two["network"][name], atol=1e-4), (method, name)


def test_weights_that_find_nothing_are_kept_all_the_same(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("cvgl_bench.training.loop.recall", lambda *_, **__: 0.0)
    state = train(job(tmp_path, pairs, tiny("sample4geo", epochs=2)))
    assert state.best == 0.0
    assert read_checkpoint(tmp_path / WEIGHTS).training["epoch"] == 2


def test_what_a_kill_left_half_written_is_cleared_away(pairs, tmp_path):
    (tmp_path / ".writing-abc").write_bytes(b"half")
    train(job(tmp_path, pairs, tiny("sample4geo", epochs=1)))
    assert not (tmp_path / ".writing-abc").exists()


def test_places_without_positions_are_told_before_anything_is_made(make_cvusa, tmp_path):
    root = make_cvusa(16, split="train", positions=False)
    pairs = load_dataset("cvusa", root, "train").pairs
    sampling = Sampling(nearest=2, drawn=1, among=5, refresh_epochs=1)
    with pytest.raises(DataError, match=r"no position of 12 of 12 places.*--no-map"):
        train(job(tmp_path / "run", pairs, tiny("sample4geo", sampling=sampling)))
    assert not (tmp_path / "run").exists()
    from_chance = replace(sampling, start="random")
    assert train(job(tmp_path / "run", pairs, tiny("sample4geo", sampling=from_chance))).epoch == 3


@pytest.mark.parametrize(("option", "split"), [("--split", "val"), ("--validation", "val")])
def test_what_is_tested_on_is_neither_trained_nor_chosen_on(option, split, make_cvusa, tmp_path):
    words = ("--data", make_cvusa(6, split="train"), "--dataset", "cvusa", option, split)
    result = run("mrgeo", *words, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "is tested on" in result.output


def test_choosing_on_the_test_split_stands_in_the_record(make_cvusa, tmp_path):
    root = make_cvusa(16, split="train", positions=False)
    make_cvusa(16, split="val", positions=False)
    words = ("--data", root, "--dataset", "cvusa", "--validation", "val", "--select-on-test")
    for folder in ("streetview/panos", "bingmap/19"):
        for path in (root / folder).iterdir():
            path.with_name(f"9{path.name}").write_bytes(path.read_bytes())
    lines = (root / "splits" / "val-19zl.csv").read_text()
    (root / "splits" / "val-19zl.csv").write_text(
        lines.replace("bingmap/19/", "bingmap/19/9").replace("panos/", "panos/9")
    )
    more = ("--epochs", 1, "--batch-size", 8, "--cpu", "--out", tmp_path / "run", "--no-neighbours")
    result = run("sample4geo", *words, *more)
    assert result.exit_code == 0, result.output
    model = load("sample4geo", tmp_path / "run" / WEIGHTS)
    assert model_card(model).remarks == (
        "these weights were chosen by their R@1 on 'val', a split that is tested on"
    )


def test_a_training_from_before_a_recipe_had_a_field_goes_on_with_its_default(tmp_path):
    recipe = PRESETS["small"]["mrgeo"]
    Run(tmp_path, recipe, {"trained_on": "x"}).open()
    page = json.loads((tmp_path / "training.json").read_text())
    del page["recipe"]["all_negatives"]
    (tmp_path / "training.json").write_text(json.dumps(page))
    assert Run(tmp_path, recipe, {"trained_on": "x"}).open().epoch == 0
    with pytest.raises(DataError, match=r"its all_negatives is 0\.0, not 0\.4"):
        Run(tmp_path, replace(recipe, all_negatives=0.4), {"trained_on": "x"}).open()
