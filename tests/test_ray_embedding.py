"""Embedding by the actors of a Ray cluster: the arrays and ranks of one process."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.embedding_identity import Sources, plan_units
from cvgl_bench.errors import CvglBenchError, DataError, ModelError, RecordError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.models import load
from cvgl_bench.ray_embedding import Encoder, ModelSource, RayEmbedding, _Work

CASES = ("Good", "DiesOnce", "Breaks", "Differs")
PAIRS = 3
CELLS = 6

MODEL = '''
import os, signal
from pathlib import Path
import torch

HERE = Path(__file__).parent

class Good:
    name, preprocessing, weights_sha256 = "own", "none", ""

    def encode_ground(self, images):
        with open(HERE / "processes", "a") as file:
            file.write(f"{os.getpid()}\\n")
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground

class DiesOnce(Good):
    """Is killed at the first picture of noise that comes to any process."""

    def encode_ground(self, images):
        if images.diff(dim=3).abs().mean() > 0.1:
            try:
                (HERE / "died").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return super().encode_ground(images)

class Breaks(Good):
    def encode_ground(self, images):
        return images.mean(dim=(2, 3)) * float("nan")

class Differs(Good):
    """Other numbers in every process."""

    def __init__(self):
        self.number = torch.tensor(os.getpid())
'''

SCRIPT = """
import sys
from cvgl_bench.ray_executor import import_ray

import_ray().init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset

for name in sys.argv[2:]:
    words = ["evaluate", *sys.argv[1].split("|"), "--model", f"model.py:{name}", "--out", name]
    words += ["--executor", "ray", "--on-the-fly", "--quiet"]
    try:
        main(words)
    except SystemExit as end:
        print(name, end.code, file=sys.stderr)
"""


def content(run):
    record = json.loads((run / "record.json").read_text())
    del record["environment"], record["date"]
    return record, {path.name: path.read_bytes() for path in (run / "embeddings").glob("*.npy")}


@pytest.mark.faults
def test_actors_give_the_run_of_one_process_also_when_one_is_killed(
    make_cvusa, small_suite, suite_file, tmp_path
):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cvgl-bench[ray]'")
    root, suite = make_cvusa(PAIRS), suite_file()
    (tmp_path / "model.py").write_text(MODEL)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"{suite}|--data|{root}", *CASES],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    errors = result.stderr
    assert "Good 0" in errors, errors
    assert "DiesOnce 0" in errors, errors
    assert (tmp_path / "died").exists()
    assert len(set((tmp_path / "processes").read_text().split())) >= 2
    adapter = load(f"{tmp_path / 'model.py'}:Good")
    evaluate(plan_evaluation(small_suite(), root, adapter), tmp_path / "here", device="cpu")
    for name in ("Good", "DiesOnce"):
        assert content(tmp_path / name) == content(tmp_path / "here")
    assert len(content(tmp_path / "here")[1]) == CELLS + 1
    assert "returned a NaN or an infinity for image 0" in errors
    assert "Breaks 1" in errors
    assert "is not what it is where this command runs: every node needs the same" in errors
    assert "Differs 1" in errors
    assert "Traceback" not in errors


@pytest.fixture(params=["rendered", "set"])
def work(request, make_cvusa, small_suite, tmp_path):
    suite, root, made = small_suite(), make_cvusa(PAIRS), None
    if request.param == "set":
        made = tmp_path / "set"
        generate(make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells), made)
    job = plan_evaluation(suite, root, load("mean-color"), set_folder=made)
    source = ModelSource("mean-color")
    return job, _Work(
        job.suite, job.dataset, job.pictures, job.cells, job.precision, source, 2, None
    )


def test_an_actor_embeds_what_one_process_embeds_also_after_a_journey(work, tmp_path):
    job, travels = work
    evaluate(job, tmp_path / "run", device="cpu", batch_size=2)
    actor = Encoder(pickle.loads(pickle.dumps(travels)), "cpu")
    sources = Sources(job)
    names = ["references.npy", *sorted(path.name for path in (tmp_path / "run").rglob("0*.npy"))]
    for unit, name in zip(plan_units(job, sources), names, strict=True):
        made = actor.embed((unit, sources.of(unit)))
        np.testing.assert_array_equal(made.rows, np.load(tmp_path / "run" / "embeddings" / name))
        assert made.environment["device"] == "cpu"
        assert (made.unit, made.batch_size) == (unit, 2)


def test_an_actor_refuses_another_model_a_changed_picture_and_too_little_memory(work):
    job, travels = work
    sources = Sources(job)
    gallery = plan_units(job, sources)[0]
    task = (gallery, sources.of(gallery))
    other = dataclasses.replace(travels, model=ModelSource("constant"))
    with pytest.raises(ModelError, match=r"constant on .* is not what it is where"):
        Encoder(other, "cpu").embed(task)
    small = dataclasses.replace(travels, max_memory=100)
    with pytest.raises(RecordError, match="need at least"):
        Encoder(small, "cpu").embed(task)
    job.dataset.pairs[1].aerial.write_bytes(job.dataset.pairs[0].aerial.read_bytes())
    with pytest.raises(DataError, match="has changed since this run began"):
        Encoder(travels, "cpu").embed(task)


def test_ray_that_is_not_installed_is_one_sentence(monkeypatch, make_cvusa, small_suite):
    monkeypatch.setitem(sys.modules, "ray", None)
    job = plan_evaluation(small_suite(), make_cvusa(PAIRS), load("mean-color"))
    cluster = RayEmbedding(ModelSource("mean-color"))
    with pytest.raises(CvglBenchError, match=r"pip install 'cvgl-bench\[ray\]'"):
        list(cluster.embed(job, [], batch_size=1, max_memory=None))


def test_options_of_a_cluster_without_one_are_refused(tmp_path, capsys):
    words = ["evaluate", "cvusa-c", "--model", "random", "--data", str(tmp_path), "--on-the-fly"]
    with pytest.raises(SystemExit):
        main([*words, "--workers", "2"])
    assert "--workers and --address are of a Ray cluster" in capsys.readouterr().err
