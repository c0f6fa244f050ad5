import importlib
import multiprocessing
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench.errors import CvglBenchError, DataError
from cvgl_bench.executors import RETRIES, Lost, run_local, run_on


class FakeCrew:
    """A crew of `slots` that loses a task as often as `losses` says, and answers the others."""

    def __init__(self, slots, losses):
        self.slots, self.losses, self.queue = slots, dict(losses), []
        self.most, self.starts, self.closed = 0, [], False

    def start(self, number, task):
        self.queue.append((number, task))
        self.starts.append(number)
        self.most = max(self.most, len(self.queue))

    def next(self):
        number, task = self.queue.pop(0)
        if self.losses.get(number, 0):
            self.losses[number] -= 1
            return number, Lost("was killed by SIGKILL")
        if isinstance(task, Exception):
            raise task
        return number, task

    def close(self):
        self.closed = True


def test_a_lost_task_is_given_out_again_and_none_is_dropped(caplog):
    crew = FakeCrew(2, {1: RETRIES, 4: 1})
    assert sorted(run_on(crew, list("abcdef"))) == list("abcdef")
    assert crew.starts.count(1) == 1 + RETRIES
    assert crew.most == 2
    assert crew.closed
    assert "task 2 of 6 goes to another worker: its own was killed by SIGKILL." in caplog.text


@given(losses=st.lists(st.integers(0, RETRIES), min_size=1, max_size=12), slots=st.integers(1, 5))
def test_every_task_is_done_once_whatever_is_lost_on_the_way(losses, slots):
    crew = FakeCrew(slots, enumerate([0, *losses]))
    done = []
    try:
        done.extend(run_on(crew, list(range(len(losses) + 1))))
    except CvglBenchError:  # nothing got through for long: no task is done twice then either
        assert len(crew.starts) > RETRIES * slots
        assert len(set(done)) == len(done)
    else:
        assert sorted(done) == list(range(len(losses) + 1))
        assert [crew.starts.count(n + 1) for n in range(len(losses))] == [n + 1 for n in losses]
    assert crew.most <= slots
    assert crew.closed


def test_a_task_that_kills_every_worker_is_named_after_all_others_are_done():
    crew, done = FakeCrew(2, {0: 99}), []
    with pytest.raises(CvglBenchError, match="unit a was given up: its worker was killed by SIG"):
        done.extend(run_on(crew, list("abcd"), lambda task: f"unit {task}"))
    assert crew.starts.count(0) == 1 + RETRIES
    assert crew.starts[-RETRIES:] == [0] * RETRIES
    assert crew.closed


def test_a_run_in_which_nothing_gets_through_ends_soon():
    crew = FakeCrew(2, dict.fromkeys(range(1000), 99))
    with pytest.raises(CvglBenchError, match="given up"):
        list(run_on(crew, list(range(1000))))
    assert len(crew.starts) <= (RETRIES + 1) * 2 + 1


def test_an_error_of_the_data_is_not_tried_again():
    crew = FakeCrew(1, {})
    with pytest.raises(DataError, match="is no picture"):
        list(run_on(crew, [DataError("x is no picture."), "b"]))
    assert crew.starts == [0]
    assert crew.closed


DYING = """
import os, signal
from pathlib import Path
from cvgl_bench.errors import DataError

def die_once(task):
    folder, name, deaths = task
    seen = len(list(Path(folder).glob(f"{name}-*")))
    if seen < deaths:
        (Path(folder) / f"{name}-{seen}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "bad":
        raise DataError("bad is no picture.")
    if name == "bug":
        raise ZeroDivisionError
    return name
"""


@pytest.fixture
def die_once(tmp_path, monkeypatch):
    """A function that kills its process as often as a task says; workers can import it."""
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "dying", raising=False)
    return importlib.import_module("dying").die_once


def test_killed_workers_are_replaced_and_their_tasks_done(die_once, tmp_path, caplog):
    tasks = [(str(tmp_path), name, 2 if name == "c" else 0) for name in "abcde"]
    assert sorted(run_local(die_once, tasks, workers=2, describe=lambda t: t[1])) == list("abcde")
    assert caplog.text.count("c goes to another worker: its own was killed by SIGKILL") == 2
    assert multiprocessing.active_children() == []


def test_a_task_that_always_kills_its_worker_is_named(die_once, tmp_path):
    tasks = [(str(tmp_path), name, 99 if name == "b" else 0) for name in "abc"]
    done = []
    with pytest.raises(CvglBenchError, match=r"b was given up: .* by SIGKILL, after 4 tries"):
        done.extend(run_local(die_once, tasks, workers=2, describe=lambda task: task[1]))
    assert len(list(tmp_path.glob("b-*"))) == 1 + RETRIES
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("bad", DataError, "bad is no picture"), ("bug", RuntimeError, "die_once(?s:.*)ZeroDivision")],
)
def test_an_error_in_a_worker_comes_out_as_what_it_is(die_once, tmp_path, name, error, words):
    with pytest.raises(error, match=words):
        list(run_local(die_once, [(str(tmp_path), n, 0) for n in ("a", name)], workers=2))
    assert multiprocessing.active_children() == []


def test_ray_that_is_not_installed_is_one_sentence(monkeypatch):
    from cvgl_bench.ray_executor import run_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CvglBenchError, match=r"pip install 'cvgl-bench\[ray\]'"):
        list(run_ray(str, [1]))


RAY_SCRIPT = """
import sys
from cvgl_bench.errors import CvglBenchError
from cvgl_bench.ray_executor import import_ray, run_ray
from dying import die_once

def run(*deaths):
    tasks = [(sys.argv[1], name, count) for name, count in deaths]
    try:
        done = sorted(run_ray(die_once, tasks, workers=2, describe=lambda task: task[1]))
        print("done:", *done)
    except CvglBenchError as error:
        print("error:", error)

import_ray().init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
run(("a", 0), ("b", 2), ("c", 0))
run(("d", 0), ("e", 99))
run(("f", 0), ("bad", 0))
"""


@pytest.mark.faults
def test_tasks_of_killed_ray_workers_are_done_or_named(die_once, tmp_path):
    pytest.importorskip("ray")
    result = subprocess.run(
        [sys.executable, "-c", RAY_SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    said = [line for line in result.stdout.splitlines() if line.startswith(("done:", "error:"))]
    assert said[0] == "done: a b c"
    assert said[1].startswith("error: e was given up: its worker was lost (")
    assert "after 4 tries" in said[1]
    assert said[2:] == ["error: bad is no picture."]
    assert len(list(tmp_path.glob("e-*"))) == 1 + RETRIES


def test_a_ray_cluster_that_is_not_there_is_one_sentence():
    pytest.importorskip("ray")
    script = (
        "from cvgl_bench.ray_executor import run_ray\n"
        "from cvgl_bench.errors import CvglBenchError\n"
        "try:\n    list(run_ray(str, [1], address='auto'))\n"
        "except CvglBenchError as error:\n    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "there is no Ray cluster to join at auto" in result.stdout
