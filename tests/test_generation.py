import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from corruptions import parameters
from cvgl_bench import generation
from cvgl_bench.codec import decode
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import CvglBenchError, DataError, SuiteError
from cvgl_bench.files import sha256
from cvgl_bench.generation import WORK, generate, make_plan
from cvgl_bench.manifest import read_set
from cvgl_bench.rendering import pixel_sha256
from cvgl_bench.views import draw_heading


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def plan(make_cvusa, small_suite, monkeypatch):
    monkeypatch.setattr(generation, "UNIT_IMAGES", 10)  # two queries a unit
    root = make_cvusa(5)
    suite = small_suite(pairs=5)
    return make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells)


@pytest.fixture
def undisturbed(plan, tmp_path):
    generate(plan, tmp_path / "undisturbed")
    return tree(tmp_path / "undisturbed")


def test_a_set_has_the_published_tree_and_its_papers(undisturbed):
    folders = {"/".join(name.split("/")[:-1]) for name in undisturbed}
    assert folders == {
        "",
        "clean",
        "severity-1/noise/gaussian_noise",
        "severity-5/noise/gaussian_noise",
        "severity-1/digital/contrast",
        "severity-5/digital/contrast",
    }
    assert {name for name in undisturbed if "/" not in name} == {
        "manifest.parquet",
        "set.json",
        "headings.csv",
    }
    assert len(undisturbed) == 5 * 5 + 3


def test_two_workers_give_the_bytes_of_one(plan, undisturbed, tmp_path):
    generate(plan, tmp_path / "two", workers=2)
    assert tree(tmp_path / "two") == undisturbed


def test_shards_in_one_folder_give_the_bytes_of_one_run(plan, undisturbed, tmp_path):
    out = tmp_path / "shards"
    assert generate(plan, out, shard=(2, 2)) is None
    assert not (out / "set.json").exists()
    assert generate(plan, out, shard=(1, 2)) is not None
    assert tree(out) == undisturbed


def test_shards_made_apart_are_merged_by_copying_and_running_again(plan, undisturbed, tmp_path):
    parts = [tmp_path / "a", tmp_path / "b"]
    for number, part in enumerate(parts, start=1):
        assert generate(plan, part, shard=(number, 2)) is None
    shutil.copytree(parts[1], parts[0], dirs_exist_ok=True)
    assert generate(plan, parts[0]) is not None
    assert tree(parts[0]) == undisturbed


def test_a_run_killed_after_its_last_file_is_tidied_up_by_the_next(plan, undisturbed, tmp_path):
    out = tmp_path / "out"
    generate(plan, out)
    (out / WORK / "scratch").mkdir(parents=True)
    (out / WORK / "scratch" / ".writing-left-over").write_bytes(b"half")
    generate(plan, out)
    assert tree(out) == undisturbed


def test_more_shards_than_units_do_no_harm(plan, undisturbed, tmp_path):
    out = tmp_path / "many"
    pages = [generate(plan, out, shard=(number, 7)) for number in range(1, 8)]
    assert pages[-1] is not None
    assert tree(out) == undisturbed


def test_kill_9_in_the_middle_then_resume_gives_the_bytes_of_one_run(
    make_cvusa, suite_file, tmp_path
):
    root = make_cvusa(35, panorama=(64, 352))
    suite = suite_file(
        pairs=35, severities=[1, 2, 3, 4, 5], corruptions=["fog", "snow", "zoom_blur", "contrast"]
    )
    cut, whole = tmp_path / "cut", tmp_path / "whole"

    def command(out):
        options = ["generate", str(suite), "--data", str(root), "--out", str(out), "--workers", "2"]
        return [sys.executable, "-c", "from cvgl_bench.cli import main; main()", *options]

    process = subprocess.Popen(command(cut), stderr=subprocess.DEVNULL, start_new_session=True)
    units = cut / WORK / "units"
    deadline = time.monotonic() + 120
    while not (units.is_dir() and any(units.iterdir())):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / "set.json").exists()
    assert any(cut.glob("severity-*"))
    (cut / WORK / "scratch" / ".writing-left-over").write_bytes(b"half")
    subprocess.run(command(cut), check=True, capture_output=True)
    subprocess.run(command(whole), check=True, capture_output=True)
    assert tree(cut) == tree(whole)


def test_workers_end_when_their_driver_is_killed(make_cvusa, suite_file, tmp_path):
    root = make_cvusa(40, panorama=(64, 352))
    suite = suite_file(pairs=40, corruptions=["fog", "snow", "zoom_blur"])
    out = tmp_path / "out"
    options = ["generate", str(suite), "--data", str(root), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from cvgl_bench.cli import main; main()", *options],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any(out.glob("severity-*")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "workers outlived their driver"
        time.sleep(0.05)


def test_a_resume_renders_only_what_is_missing(plan, tmp_path, monkeypatch):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    rendered = []
    original = generation.render

    def spy(suite, source, output):
        rendered.append(output.image_id)
        return original(suite, source, output)

    monkeypatch.setattr(generation, "render", spy)
    generate(plan, out)
    assert set(rendered) == {"0000003", "0000004"}
    rendered.clear()
    assert generate(plan, out).images == 25
    assert rendered == []


def test_progress_counts_every_image_once(plan, tmp_path):
    told = []
    generate(plan, tmp_path / "out", shard=(1, 2), progress=told.append)
    generate(plan, tmp_path / "out", progress=told.append)
    assert sum(told) == 15 + 25
    generate(plan, tmp_path / "out", progress=told.append)
    assert told[-1] == 25


def test_a_finished_or_begun_folder_is_not_reused_for_another_plan(plan, tmp_path, small_suite):
    generate(plan, tmp_path / "finished")
    generate(plan, tmp_path / "begun", shard=(1, 2))
    suite = small_suite(pairs=5, seed=6)
    other = make_plan(suite, plan.dataset, suite.cells)
    with pytest.raises(DataError, match="already holds another set"):
        generate(other, tmp_path / "finished")
    with pytest.raises(DataError, match="unfinished run"):
        generate(other, tmp_path / "begun")


def test_a_folder_with_other_things_in_it_is_refused_and_kept(plan, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="not empty"):
        generate(plan, tmp_path / "mine")
    assert tree(tmp_path / "mine") == {"thesis.tex": b"x"}
    with pytest.raises(DataError, match="is a file"):
        generate(plan, tmp_path / "mine" / "thesis.tex")


def test_the_manifest_describes_every_file(plan, undisturbed):
    table = pq.read_table(io.BytesIO(undisturbed["manifest.parquet"])).to_pylist()
    assert [row["path"] for row in table] == sorted(n for n in undisturbed if "/" in n)
    for row in table:
        data = undisturbed[row["path"]]
        assert row["file_sha256"] == sha256(data)
        assert row["bytes"] == len(data)
        assert (row["width"], row["height"]) == Image.open(io.BytesIO(data)).size
        if row["corruption"] == "clean":
            assert row["codec"] == "source file"
            assert row["file_sha256"] == row["source_sha256"]
            assert row["pixel_sha256"] == pixel_sha256(decode(data, "x"))
        else:
            made = parameters(row["corruption"], row["severity"])
            assert json.loads(row["parameters"]) == made
            assert row["codec"].endswith("jpeg q75 4:2:0")
    assert len({row["seed"] for row in table}) == len(table)


def test_clean_pictures_are_the_sources_byte_for_byte(plan, undisturbed):
    for pair in plan.dataset.pairs:
        assert undisturbed[f"clean/{pair.ground.name}"] == pair.ground.read_bytes()


def test_headings_are_stored_beside_the_set_and_used_by_its_views(
    make_cvusa, small_suite, tmp_path
):
    suite = small_suite()
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    plan = make_plan(suite, dataset, suite.select(views=["fov90", "heading90"], corruptions=[]))
    generate(plan, tmp_path / "views")
    rows = list(csv.DictReader((tmp_path / "views/headings.csv").read_text().splitlines()))
    assert [int(row["heading_degrees"]) for row in rows] == [
        draw_heading(suite.seed, "cvusa", pair.id) for pair in dataset.pairs
    ]
    _, manifest = read_set(tmp_path / "views")
    for row in manifest.to_pylist():
        expected = {r["image_id"]: float(r["heading_degrees"]) for r in rows}[row["image_id"]]
        assert row["heading_degrees"] == (expected if row["view"] == "fov90" else 90)
        assert row["path"].startswith(f"view-{row['view']}/clean/")
        assert row["width"] == (24 if row["view"] == "fov90" else 96)


def test_a_mixed_set_is_flat_with_its_draw_recorded(make_cvusa, small_suite, tmp_path):
    suite = small_suite(form="mixed", pairs=12)
    plan = make_plan(suite, load_dataset("cvusa", make_cvusa(12), "val"), suite.cells)
    generate(plan, tmp_path / "all")
    _, manifest = read_set(tmp_path / "all")
    rows = manifest.to_pylist()
    assert [row["path"] for row in rows] == [f"{number:07d}.jpg" for number in range(1, 13)]
    assert {row["cell"] for row in rows} == {"mixed"}
    draws = {(row["corruption"], row["severity"]) for row in rows}
    assert draws <= {(c, s) for c in suite.corruptions for s in suite.severities}
    assert len(draws) > 1


def test_other_counts_than_the_suites_need_partial_and_mark_the_set(
    make_cvusa, small_suite, tmp_path
):
    suite = small_suite(pairs=4)
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    with pytest.raises(SuiteError, match="--partial"):
        make_plan(suite, dataset, suite.cells)
    page = generate(make_plan(suite, dataset, suite.cells, partial=True), tmp_path / "out")
    assert page.partial
    limited = make_plan(small_suite(), dataset, small_suite().cells, limit=2)
    assert limited.partial
    assert len(limited.dataset.pairs) == 2


def test_a_truncated_source_stops_the_run_by_name_and_mending_it_lets_it_go_on(
    plan, undisturbed, tmp_path
):
    victim = plan.dataset.pairs[3].ground
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    for workers in (1, 2):
        with pytest.raises(DataError, match=r"0000004\.jpg cannot be decoded"):
            generate(plan, tmp_path / "out", workers=workers)
    victim.write_bytes(whole)
    generate(plan, tmp_path / "out")
    assert tree(tmp_path / "out") == undisturbed


def test_a_source_too_small_for_a_corruption_is_named(make_cvusa, small_suite, tmp_path):
    suite = small_suite(pairs=1)
    dataset = load_dataset("cvusa", make_cvusa(1, panorama=(8, 24)), "val")
    with pytest.raises(DataError, match="query 0000001, gaussian_noise 1"):
        generate(make_plan(suite, dataset, suite.cells), tmp_path / "out")


def test_a_picture_that_vanished_before_the_end_is_noticed_and_made_anew(
    plan, undisturbed, tmp_path
):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    (out / "clean/0000001.jpg").unlink()
    with pytest.raises(DataError, match=r"0000001\.jpg, made by an earlier run, is gone"):
        generate(plan, out)
    generate(plan, out)
    assert tree(out) == undisturbed


def test_two_runs_in_one_folder_end_with_the_bytes_of_one(make_cvusa, suite_file, tmp_path):
    root, suite = make_cvusa(12, panorama=(64, 352)), suite_file(pairs=12)
    out, alone = tmp_path / "out", tmp_path / "alone"

    def start(folder):
        options = ["generate", str(suite), "--data", str(root), "--out", str(folder)]
        return subprocess.Popen(
            [sys.executable, "-c", "from cvgl_bench.cli import main; main()", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    both = [start(out), start(out)]
    assert [process.wait() for process in both] == [0, 0]
    assert start(alone).wait() == 0
    assert tree(out) == tree(alone)


@pytest.mark.parametrize("step", ["opening", "finishing"])
def test_a_run_that_another_one_overtakes_ends_with_the_finished_set(
    plan, undisturbed, tmp_path, monkeypatch, step
):
    out, lock = tmp_path / "out", generation._lock

    def overtaken(folder, what):
        if what != step:
            return lock(folder, what)
        monkeypatch.setattr(generation, "_lock", lock)
        generate(plan, out)
        raise FileNotFoundError(2, "No such file or directory", f"{what}.lock")

    monkeypatch.setattr(generation, "_lock", overtaken)
    assert generate(plan, out).images == 25
    assert tree(out) == undisturbed


def test_a_write_survives_the_loss_of_its_scratch_folder(tmp_path, monkeypatch):
    from cvgl_bench import files

    lost = []

    def remove_once(descriptor):
        if not lost:
            lost.append(shutil.rmtree(tmp_path / "scratch"))

    monkeypatch.setattr(files.os, "fsync", remove_once)
    files.write_atomically(tmp_path / "x", b"whole", scratch=tmp_path / "scratch")
    assert (tmp_path / "x").read_bytes() == b"whole"


def test_nothing_to_make_is_refused(make_cvusa, small_suite):
    suite = small_suite(form="mixed")
    with pytest.raises(SuiteError, match="nothing is left"):
        make_plan(suite, load_dataset("cvusa", make_cvusa(3), "val"), suite.select(corruptions=[]))


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(plan, tmp_path, monkeypatch):
    from cvgl_bench import files

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*No space left on device"):
        generate(plan, tmp_path / "out")
    assert all(not data for data in tree(tmp_path / "out").values())


def test_a_dying_worker_is_reported_and_the_run_can_go_on(plan, undisturbed, tmp_path):
    from cvgl_bench.executors import run_local

    with pytest.raises(CvglBenchError, match="worker process died"):
        list(run_local(os._exit, [1, 1], workers=2))
    generate(plan, tmp_path / "out", workers=2)
    assert tree(tmp_path / "out") == undisturbed


def test_pictures_that_are_made_again_have_the_same_pixels(plan):
    from cvgl_bench.rendering import plan_output, read_source, render

    pair, cell = plan.dataset.pairs[2], plan.cells[1]
    output = plan_output(plan.suite, "cvusa", pair, cell)
    one, two = (render(plan.suite, read_source(pair), output).pixels for _ in range(2))
    np.testing.assert_array_equal(one, two)
