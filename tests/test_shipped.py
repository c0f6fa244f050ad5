"""The checkpoints that come with the package."""

import json
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from cvgl_bench.cli import main
from cvgl_bench.files import sha256_of_file
from cvgl_bench.models import load
from cvgl_bench.models.checkpoint import read_checkpoint
from cvgl_bench.record import read_record
from cvgl_bench.town.order import SIZES, Order
from cvgl_bench.town.world import write_town

torch.set_num_threads(1)

METHODS = ("sample4geo", "mrgeo", "singeo", "lrfr")
FOLDER = Path(str(files("cvgl_bench.models"))) / "checkpoints"
PAIRS = 20


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    root = tmp_path_factory.mktemp("town")
    write_town(Order(root, "val", PAIRS, size=SIZES["small"]))
    return root


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_is_small_whole_and_says_where_it_is_from(method):
    path = FOLDER / f"{method}.safetensors"
    assert path.stat().st_size < 10_000_000
    sums = dict(reversed(line.split()) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    assert sums[path.name] == sha256_of_file(path) == load(method).weights_sha256
    training = read_checkpoint(path).training
    assert training["recipe"]["config"]["method"] == method
    assert training["data"]["selected_on_test"] == "no"
    curve = pd.read_csv(FOLDER / f"{method}.csv")
    assert len(curve) == training["recipe"]["epochs"]
    looked = curve.dropna(subset="validation_r1").set_index("epoch")["validation_r1"]
    assert looked[training["epoch"]] == looked.max(), "the weights are the best of the curve"


@pytest.mark.parametrize("method", METHODS)
def test_evaluate_takes_a_methods_name_and_needs_no_weights(method, town, tmp_path):
    words = ["evaluate", "cvtown-c", "--model", method, "--data", str(town), "--on-the-fly"]
    words += ["--corruptions", "none", "--partial", "--out", str(tmp_path), "--quiet"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    record = read_record(tmp_path / "record.json")
    assert record.model.weights_sha256 == sha256_of_file(FOLDER / f"{method}.safetensors")
    # By chance, 1 of 20 is found; 7 or more have a probability of 3e-5.
    assert record.cells[0].r1 >= 7 / PAIRS


def test_a_layer_without_attention_is_a_wrong_command(town):
    words = ["evaluate", "cvtown-c", "--model", "mrgeo", "--data", str(town), "--on-the-fly"]
    done = CliRunner().invoke(main, [*words, "--layer", "network"])
    assert done.exit_code == 2
    assert "--layer is for the maps that --attention makes" in done.output


def test_evaluate_compares_attention_where_it_is_asked_to(town, tmp_path):
    words = ["evaluate", "cvtown-c", "--model", "mrgeo", "--data", str(town), "--on-the-fly"]
    words += ["--corruptions", "none", "--partial", "--out", str(tmp_path), "--attention", "3"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    page = json.loads((tmp_path / "attention.json").read_text())
    assert page["samples"] == 3
    for kind in ("heading", "fov", "tile"):
        assert 0 <= page[kind]["low"] <= page[kind]["score"] <= page[kind]["high"] <= 1
        assert len(page[kind]["by_condition"]) == 3
        assert (tmp_path / f"attention-{kind}.png").read_bytes().startswith(b"\x89PNG")
        assert f"attention, {kind}:" in done.output
