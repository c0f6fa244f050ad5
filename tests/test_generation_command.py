import math

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench import planning, pricing
from cvgl_bench.cli import main
from cvgl_bench.cli.options import Shard
from cvgl_bench.datasets import load_dataset
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.pricing import Estimate, estimate, report

NAMES = [f"SLURM_ARRAY_TASK_{what}" for what in ("ID", "MIN", "COUNT", "STEP")]


@pytest.fixture
def array_task(monkeypatch):
    """A function that makes this process the task of a SLURM array."""

    def be(**values):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for what, value in values.items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{what}", str(value))

    return be


@given(first=st.integers(0, 50), step=st.integers(1, 9), count=st.integers(1, 40))
def test_the_tasks_of_an_evenly_spaced_array_are_the_shards_each_once(first, step, count):
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for number in range(first, first + step * count, step):
            for name, value in zip(NAMES, (number, first, count, step), strict=True):
                patch.setenv(name, str(value))
            found.append(Shard().convert("slurm", None, None))
    assert found == [(index, count) for index in range(1, count + 1)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "SLURM_ARRAY_TASK_ID is not set"),
        ({"ID": 3, "MIN": 1}, "SLURM_ARRAY_TASK_COUNT is not set"),
        ({"ID": "x", "MIN": 1, "COUNT": 2}, "SLURM_ARRAY_TASK_ID is x"),
        ({"ID": 17, "MIN": 5, "COUNT": 2, "STEP": 1}, "not evenly spaced"),
        ({"ID": 4, "MIN": 1, "COUNT": 4, "STEP": 2}, "not evenly spaced"),
    ],
)
def test_a_process_that_is_no_task_of_an_even_array_is_refused(array_task, values, words):
    array_task(**values)
    with pytest.raises(click.BadParameter, match=words):
        Shard().convert("slurm", None, None)


def test_array_tasks_make_the_set_together(array_task, make_cvusa, suite_file, monkeypatch):
    monkeypatch.setattr(planning, "UNIT_IMAGES", 6)
    root, suite = make_cvusa(3), suite_file()
    out = root.parent / "out"
    words = ["generate", str(suite), "--data", str(root), "--out", str(out), "--shard", "slurm"]
    said = []
    for number in (10, 12):
        array_task(ID=number, MIN=10, COUNT=2, STEP=2)
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        said.append(result.output)
    assert "shard 1/2 is done" in said[0]
    assert "18 images of small-c version 1, profile standard, complete" in said[1]


def test_a_dry_run_says_what_it_takes_and_writes_nothing(make_cvusa, suite_file, tmp_path):
    root, suite = make_cvusa(3), suite_file()
    before = sorted(tmp_path.rglob("*"))
    words = ["generate", str(suite), "--data", str(root), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*words, "--dry-run", "--calibrate", "1", "--workers", "3"])
    assert result.exit_code == 0, result.output
    assert "3 queries, 6 cells, 18 images" in result.output
    for words in ("core-hours", "--workers 3:", "--workers 16:", "--executor ray", "are free"):
        assert words in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_the_estimate_of_bytes_is_what_the_set_takes(make_cvusa, small_suite, tmp_path):
    suite, root = small_suite(pairs=6), make_cvusa(6)
    plan = make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells)
    found = estimate(plan, 60)
    assert (found.images, found.calibrated) == (36, 36)
    generate(plan, tmp_path / "out")
    pictures = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.jpg"))
    assert found.bytes == pictures + 36 * pricing.ROW_BYTES
    assert found.core_seconds > 0


def test_a_calibration_ends_when_its_time_is_over(make_cvusa, small_suite, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(pricing.time, "monotonic", lambda: next(clock))
    suite, root = small_suite(pairs=40), make_cvusa(40)
    plan = make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells)
    found = estimate(plan, 10)
    assert found.calibrated == 3 * 6
    assert found.images == 40 * 6


@given(hours=st.floats(0.01, 1e5), workers=st.integers(1, 200))
def test_shards_for_an_hour_each_are_enough_and_no_more(hours, workers):
    needed = pricing._shards(hours / workers, 10**9)
    count = int(needed.split()[0])
    assert count >= hours / workers
    assert count == max(1, math.ceil(hours / workers))


def test_a_disk_that_is_too_small_is_said(make_cvusa, small_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "UNIT_IMAGES", 6)  # three units: more workers have no work
    suite, root = small_suite(), make_cvusa(3)
    plan = make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells)
    usage = pricing.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(pricing.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    large = Estimate(images=1_400_000, bytes=90 * 10**9, core_seconds=36_000.0, calibrated=80)
    text = report(plan, large, tmp_path / "not/yet", workers=2)
    assert "90.0 GB" in text
    assert "10.00 core-hours" in text
    assert "--workers 2: 5.0 h" in text
    assert "--workers 16: 3.3 h" in text
    assert "too little" in text


def test_an_address_without_ray_is_refused(make_cvusa, suite_file):
    root = make_cvusa(3)
    words = ["generate", str(suite_file()), "--data", str(root), "--out", str(root / "x")]
    result = CliRunner().invoke(main, [*words, "--address", "auto"])
    assert result.exit_code == 2
    assert "--address is of a Ray cluster; add --executor ray." in result.output
