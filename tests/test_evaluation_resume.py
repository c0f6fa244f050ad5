"""An evaluation that is stopped, by whatever, goes on where it was."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cvgl_bench import embedding_identity, folder_lock
from cvgl_bench.cli import main
from cvgl_bench.embedding_run import Scale
from cvgl_bench.errors import CvglBenchError, DataError, ModelError, RecordError
from cvgl_bench.evaluation import evaluate, plan_evaluation
from cvgl_bench.folder_lock import alone_in
from cvgl_bench.ranks_file import read_ranks
from cvgl_bench.record import read_record

PAIRS = 4
CELLS = 6

MODEL = '''
import os, time
import torch

class Slow:
    """Counts its pictures in a file, and stands still when STALL of them were seen."""

    name, preprocessing, weights_sha256 = "slow", "none", ""

    def encode_ground(self, images):
        with open(os.environ["SEEN"], "a") as file:
            file.write("x" * len(images))
        stall = int(os.environ.get("STALL", 10**9))
        while os.path.getsize(os.environ["SEEN"]) >= stall:
            time.sleep(0.02)
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground
'''


class Colors:
    """Every picture's mean colour, of four parts; keeps how many pictures it saw."""

    name = "colors"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self):
        self.seen = []

    def encode_ground(self, images):
        self.seen.append(len(images))
        parts = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground


class Stopping(Colors):
    """The same, until it has seen so many batches: then something happens."""

    def __init__(self, after, happens):
        super().__init__()
        self.after, self.happens = after, happens

    def encode_ground(self, images):
        if len(self.seen) == self.after:
            self.after = None
            self.happens()
        return super().encode_ground(images)

    encode_aerial = encode_ground


@pytest.fixture
def town(make_cvusa, small_suite):
    return small_suite(pairs=PAIRS), make_cvusa(PAIRS)


def job_of(town, adapter, **options):
    return plan_evaluation(*town, adapter, **options)


def arrays(run):
    return {path.name: path.read_bytes() for path in (run / "embeddings").glob("*.npy")}


def assert_same_run(one, other):
    """All but date and environment is equal, to the bit."""
    records = [read_record(run / "record.json") for run in (one, other)]
    changing = {"environment": {}, "date": records[0].date}
    assert len({record.model_copy(update=changing).model_dump_json() for record in records}) == 1
    assert arrays(one) == arrays(other)
    assert len(arrays(one)) == CELLS + 1
    cells = [read_ranks(run / "ranks.parquet").cells for run in (one, other)]
    for cell, answers in cells[0].items():
        np.testing.assert_array_equal(answers.ranks, cells[1][cell].ranks)
    assert sorted(path.name for path in one.iterdir()) == sorted(p.name for p in other.iterdir())


def stop(town, out, after, error, **options):
    """Let an evaluation end in an error after so many batches."""

    def happens():
        raise error

    with pytest.raises(type(error)):
        evaluate(job_of(town, Stopping(after, happens)), out, **options)


class Commands:
    """`cvgl-bench evaluate` with a model that counts its pictures, here or in a process."""

    def __init__(self, root, suite, folder, monkeypatch):
        (folder / "slow.py").write_text(MODEL)
        self.seen = folder / "seen"
        self.folder = folder
        self.words = ["evaluate", suite, "--model", f"{folder / 'slow.py'}:Slow", "--data", root]
        self.words += ["--on-the-fly", "--batch-size", 2, "--no-cost", "--quiet", "--out"]
        monkeypatch.setenv("SEEN", str(self.seen))

    def until(self, name, stall):
        """Start one in a process, and wait until it has seen so many pictures."""
        words = [str(word) for word in (*self.words, self.folder / name)]
        process = subprocess.Popen(
            [sys.executable, "-c", "from cvgl_bench.cli import main; main()", *words],
            env={**os.environ, "STALL": str(stall)},
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not self.seen.is_file() or self.seen.stat().st_size < stall:
            assert process.poll() is None, "the run ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def here(self, name):
        """Run one here; returns how many pictures it saw, and what it said."""
        self.seen.write_text("")
        result = CliRunner().invoke(main, [str(word) for word in (*self.words, self.folder / name)])
        assert result.exit_code == 0, result.output
        return len(self.seen.read_text()), result.output


@pytest.fixture
def commands(make_cvusa, suite_file, tmp_path, monkeypatch):
    return Commands(make_cvusa(PAIRS), suite_file(pairs=PAIRS), tmp_path, monkeypatch)


@pytest.mark.slow
def test_kill_9_in_the_middle_then_resume_embeds_the_rest_and_gives_the_same_run(
    commands, tmp_path
):
    # Tiles, two whole cells, and half of a third.
    with commands.until("cut", 3 * PAIRS + 2) as process:
        process.kill()
    assert not (tmp_path / "cut" / "record.json").exists()
    seen, said = commands.here("cut")
    assert seen == (CELLS - 2) * PAIRS
    assert f"3 of {CELLS + 1} arrays of embeddings are there from an earlier try" in said
    assert commands.here("whole")[0] == (CELLS + 1) * PAIRS
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_without_a_traceback_and_the_next_run_goes_on(commands, tmp_path):
    with commands.until("run", 2 * PAIRS + 2) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"cvgl-bench: stopped. {tmp_path / 'run'} keeps what was finished" in errors
    assert "Traceback" not in errors
    assert commands.here("run")[0] == (CELLS - 1) * PAIRS


@pytest.mark.parametrize("done", range(0, CELLS + 1, 2))
def test_a_run_that_failed_anywhere_embeds_no_finished_array_again(town, tmp_path, done):
    stop(town, tmp_path / "cut", done, ModelError("stopped"))
    model = Stopping(None, None)
    told = []
    evaluate(job_of(town, model), tmp_path / "cut", progress=told.append)
    assert len(model.seen) == CELLS + 1 - done
    assert sum(told) == (CELLS + 1) * PAIRS
    evaluate(job_of(town, Stopping(None, None)), tmp_path / "whole")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_a_kill_between_scoring_and_tidying_up_is_mended(town, tmp_path, monkeypatch):
    evaluate(job_of(town, Colors()), tmp_path / "whole")

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("cvgl_bench.evaluation_folder.score", killed)
        with pytest.raises(SystemExit):
            evaluate(job_of(town, Colors()), tmp_path / "cut")
    model = Colors()
    evaluate(job_of(town, model), tmp_path / "cut")
    assert model.seen == []
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_the_time_a_picture_took_is_that_of_all_tries(town, tmp_path):
    stop(town, tmp_path / "run", 4, ModelError("stopped"))
    record = evaluate(job_of(town, Stopping(None, None)), tmp_path / "run")
    assert 0 < float(record.environment["ground_ms_per_image"]) < 1000
    assert "cells_from_cache" not in record.environment


def test_another_models_or_suites_unfinished_run_is_refused(town, small_suite, tmp_path):
    stop(town, tmp_path / "run", 2, ModelError("stopped"))
    other = Colors()
    other.name = "other"
    heavier = Colors()
    heavier.weights_sha256 = "a" * 64
    suite = small_suite(pairs=PAIRS, seed=8)
    for job in (job_of(town, other), job_of(town, heavier), job_of((suite, town[1]), Colors())):
        with pytest.raises(RecordError, match=r"unfinished run of colors.*another --out"):
            evaluate(job, tmp_path / "run")


def test_a_run_that_failed_at_once_does_not_keep_its_folder_from_another_model(town, tmp_path):
    stop(town, tmp_path / "run", 0, ModelError("stopped"))
    other = Colors()
    other.name = "other"
    assert evaluate(job_of(town, other), tmp_path / "run").model.name == "other"


def test_other_numbers_in_a_network_are_another_model_whatever_it_says_of_its_weights(
    town, tmp_path
):
    class Network(torch.nn.Module):
        name, preprocessing, weights_sha256 = "network", "none", "b" * 64

        def __init__(self, fails=False):
            super().__init__()
            torch.manual_seed(1)
            self.layer = torch.nn.Linear(3, 8)
            self.fails = fails
            self.seen = []

        def encode_ground(self, images):
            if self.fails:
                raise ModelError("stopped")
            self.seen.append(len(images))
            return torch.nn.functional.normalize(self.layer(images.mean(dim=(2, 3))), dim=1)

        def encode_aerial(self, images):
            self.seen.append(len(images))
            return torch.nn.functional.normalize(self.layer(images.mean(dim=(2, 3))), dim=1)

    for change, embedded in ((0, CELLS), (0.5, CELLS + 1)):
        out = tmp_path / str(change)
        with pytest.raises(ModelError):
            evaluate(job_of(town, Network(fails=True)), out)
        model = Network()
        with torch.no_grad():
            model.layer.bias += change
        evaluate(job_of(town, model), out)
        assert len(model.seen) == embedded


def test_a_model_that_nothing_tells_from_others_starts_anew_and_says_so(
    town, tmp_path, monkeypatch
):
    monkeypatch.setattr(embedding_identity, "_code", lambda adapter: {})
    told = []
    scale = Scale(tell=told.append)
    stop(town, tmp_path / "run", 4, ModelError("stopped"), scale=scale)
    assert "colors names no weights and its code is in no file" in told[0]
    model = Stopping(None, None)
    evaluate(job_of(town, model), tmp_path / "run", scale=scale)
    assert len(model.seen) == CELLS + 1


def test_a_model_made_in_an_interpreter_has_no_code_to_know_it_by():
    space = {}
    exec("class Typed: name = preprocessing = weights_sha256 = ''", space)
    assert embedding_identity.model_identity(space["Typed"]()) is None
    named = space["Typed"]()
    named.weights_sha256 = "c" * 64
    assert embedding_identity.model_identity(named)["weights_sha256"] == "c" * 64
    assert list(embedding_identity.model_identity(Stopping(0, None))["code"]) == [
        "Stopping",
        "Colors",
    ]


def test_a_picture_that_changed_between_two_tries_is_noticed(town, tmp_path):
    _, root = town
    victim = root / "streetview/panos/0000002.jpg"
    stop(town, tmp_path / "run", 4, ModelError("stopped"))
    with Image.open(victim) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(victim)
    model = Stopping(None, None)
    told = []
    evaluate(job_of(town, model), tmp_path / "run", scale=Scale(tell=told.append))
    assert len(model.seen) == CELLS, "the gallery alone was still good"
    assert "3 arrays in" in told[0]
    assert "are of other cells, pictures or code" in told[0]
    evaluate(job_of(town, Stopping(None, None)), tmp_path / "whole")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("side", ["streetview/panos", "bingmap/19"])
def test_a_truncated_or_missing_picture_stops_a_resumed_run_with_its_name(town, tmp_path, side):
    _, root = town
    victim = root / side / "0000003.jpg"
    stop(town, tmp_path / "run", 4, ModelError("stopped"))
    job = job_of(town, Stopping(None, None))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"0000003\.jpg.*"):
        evaluate(job, tmp_path / "run")
    victim.unlink()
    with pytest.raises(DataError, match=r"cannot read .*0000003\.jpg"):
        evaluate(job, tmp_path / "run")
    victim.write_bytes(whole)
    model = Stopping(None, None)
    evaluate(job_of(town, model), tmp_path / "run")
    assert len(model.seen) == CELLS + 1 - 4


@pytest.mark.parametrize(("side", "after"), [("streetview/panos", 3), ("bingmap/19", 0)])
def test_a_picture_that_changes_while_it_is_embedded_stops_the_run(town, tmp_path, side, after):
    _, root = town
    victim = root / side / "0000004.jpg"

    def change():
        victim.write_bytes(victim.read_bytes() + b"\0")

    model = Stopping(after, change)
    with pytest.raises(DataError, match=r"0000004\.jpg has changed since this run began"):
        evaluate(job_of(town, model), tmp_path / "run", batch_size=1)
    assert not (tmp_path / "run" / "record.json").exists()


def test_an_array_that_was_damaged_on_the_disk_is_named_and_made_again(town, tmp_path):
    stop(town, tmp_path / "run", 4, ModelError("stopped"))
    folder = tmp_path / "run" / "embeddings.unfinished"
    victim = sorted(folder.glob("*.npy"))[1]
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    victim.write_bytes(data)
    told = []
    model = Stopping(None, None)
    evaluate(job_of(town, model), tmp_path / "run", scale=Scale(tell=told.append))
    assert len(model.seen) == CELLS + 1 - 3
    assert f"{victim} is damaged" in told[0]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(town, tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Wide(Stopping):
        def encode_ground(self, images):
            return super().encode_ground(images).repeat(1, 4000) / 4000**0.5

        encode_aerial = encode_ground

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (PAIRS * 12 * 4000, hard))

    try:
        with pytest.raises(DataError, match=r"cannot write .*\.npy: File too large"):
            evaluate(job_of(town, Wide(3, fill)), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    folder = tmp_path / "run" / "embeddings.unfinished"
    assert len(list(folder.glob("*.npy"))) == len(list(folder.glob("*[0-9a-f].json"))) == 3
    assert list(folder.glob(".writing-*")) == []
    model = Wide(None, None)
    evaluate(job_of(town, model), tmp_path / "run")
    assert len(model.seen) == CELLS + 1 - 3


def test_a_second_evaluation_in_the_folder_is_refused_at_once(town, tmp_path):
    refused = []

    def meanwhile():
        with pytest.raises(RecordError, match="another evaluation is running in") as caught:
            evaluate(job_of(town, Colors()), tmp_path / "run")
        refused.append(caught.value)

    evaluate(job_of(town, Stopping(3, meanwhile)), tmp_path / "run")
    assert len(refused) == 1


def test_shards_of_a_folder_run_side_by_side_but_not_twice_nor_beside_the_whole(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(folder_lock, "_SECONDS", 0.1)
    with contextlib.ExitStack() as held:
        held.enter_context(alone_in(tmp_path, (1, 3)))
        held.enter_context(alone_in(tmp_path, (2, 3)))
        for shard in ((1, 3), (1, 1)):
            with pytest.raises(RecordError, match="another evaluation"), alone_in(tmp_path, shard):
                pass
    with alone_in(tmp_path), pytest.raises(RecordError), alone_in(tmp_path, (3, 3)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_more_cells_are_added_to_an_unfinished_run_without_its_cells_being_embedded_again(
    town, tmp_path
):
    suite, _ = town
    few = suite.select(severities=[1])

    def fails():
        raise ModelError("stopped")

    with pytest.raises(CvglBenchError):
        evaluate(job_of(town, Stopping(len(few), fails), cells=few), tmp_path / "run")
    model = Stopping(None, None)
    evaluate(job_of(town, model), tmp_path / "run")
    assert len(model.seen) == CELLS + 1 - len(few)
