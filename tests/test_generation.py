import csv
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from corruptions import corrupt, parameters
from corruptions.codecs import CODECS, PILLOW
from cvgl_bench import generation, planning, units
from cvgl_bench.codec import codec_name, decode
from cvgl_bench.datasets import Dataset, Pair, load_dataset
from cvgl_bench.errors import DataError, SuiteError
from cvgl_bench.files import sha256
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.manifest import read_set
from cvgl_bench.rendering import pixel_sha256
from cvgl_bench.seeding import generator
from cvgl_bench.severity import COLUMNS, CleanPicture
from cvgl_bench.units import WORK
from cvgl_bench.views import draw_heading


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def plan(make_cvusa, small_suite, monkeypatch):
    monkeypatch.setattr(planning, "UNIT_IMAGES", 12)  # two queries a unit
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
        "codec_only",
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
    assert len(undisturbed) == 5 * 6 + 3


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


def test_a_resume_renders_only_what_is_missing(plan, tmp_path, monkeypatch):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    rendered = []
    original = units.render

    def spy(suite, source, output):
        rendered.append(output.image_id)
        return original(suite, source, output)

    monkeypatch.setattr(units, "render", spy)
    generate(plan, out)
    assert set(rendered) == {"0000003", "0000004"}
    rendered.clear()
    assert generate(plan, out).images == 30
    assert rendered == []


def test_progress_counts_every_image_once(plan, tmp_path):
    told = []
    generate(plan, tmp_path / "out", shard=(1, 2), progress=told.append)
    generate(plan, tmp_path / "out", progress=told.append)
    assert sum(told) == 18 + 30
    generate(plan, tmp_path / "out", progress=told.append)
    assert told[-1] == 30


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
        else:
            control = row["corruption"] == "codec_only"
            made = {} if control else parameters(row["corruption"], row["severity"])
            assert json.loads(row["parameters"]) == made
            assert row["codec"] == codec_name("pillow", 75)
    assert len({row["seed"] for row in table}) == len(table)


def test_the_middle_query_is_measured_in_every_cell_against_its_clean_picture(plan, undisturbed):
    table = pq.read_table(io.BytesIO(undisturbed["manifest.parquet"])).to_pylist()
    measured = [row for row in table if row["ssim"] is not None]
    assert {row["image_id"] for row in measured} == {"0000003"}
    assert {Path(row["path"]).parent for row in measured} == {Path(c.folder) for c in plan.cells}
    source = np.array(Image.open(plan.dataset.pairs[2].ground))
    for row in measured:
        decoded = decode(undisturbed[row["path"]], "x")
        expected = CleanPicture(source).measure(decoded)
        assert {column: row[column] for column in COLUMNS} == expected
    others = [row for row in table if row["image_id"] != "0000003"]
    assert {row[name] for row in others for name in COLUMNS} == {None}


def test_every_row_has_the_hash_of_the_pixels_that_were_encoded(plan, undisturbed):
    table = pq.read_table(io.BytesIO(undisturbed["manifest.parquet"])).to_pylist()
    panoramas = {pair.id: np.array(Image.open(pair.ground)) for pair in plan.dataset.pairs}
    for row in table:
        pixels = panoramas[row["image_id"]]
        if row["severity"]:
            seed = int(row["seed"], 16)
            pixels = corrupt(pixels, row["corruption"], row["severity"], rng=generator(seed))
        assert row["pixel_sha256"] == pixel_sha256(pixels)


def test_the_page_holds_the_means_of_a_cells_measures(make_cvusa, small_suite, tmp_path):
    suite, dataset = small_suite(), load_dataset("cvusa", make_cvusa(3), "val")
    page = generate(make_plan(suite, dataset, suite.cells, measured=99), tmp_path / "out")
    assert page.measured_queries == 3
    assert [(m.corruption, m.severity) for m in page.measures] == [
        (cell.corruption, cell.severity) for cell in suite.cells
    ]
    _, manifest = read_set(tmp_path / "out")
    rows = [r for r in manifest.to_pylist() if (r["cell"], r["severity"]) == ("contrast", 5)]
    assert page.measures[-1].ssim == pytest.approx(np.mean([r["ssim"] for r in rows]), abs=1e-4)
    clean, control = page.measures[:2]
    assert (clean.ssim, clean.psnr_db) == (1, None)
    assert 0.5 < control.ssim < 1
    assert 20 < control.psnr_db < 60


def test_a_set_without_measures_says_so(plan, tmp_path):
    none = dataclasses.replace(plan, measured=0)
    page = generate(none, tmp_path / "none")
    assert (page.measured_queries, page.measures) == (0, ())
    with pytest.raises(DataError, match="0 of them measured"):
        generate(plan, tmp_path / "none")
    generate(none, tmp_path / "begun", shard=(1, 2))
    with pytest.raises(DataError, match="unfinished run"):
        generate(plan, tmp_path / "begun", shard=(2, 2))


def test_views_are_measured_against_the_clean_view(make_cvusa, small_suite, tmp_path):
    suite = small_suite(views=["fov90"])
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    page = generate(make_plan(suite, dataset, suite.cells), tmp_path / "views")
    assert page.measures[0].corruption == "clean"
    assert 0.5 < page.measures[0].ssim < 1
    assert all(measure.ssim < page.measures[0].ssim for measure in page.measures[1:])


@pytest.mark.parametrize(("queries", "measured"), [(5, 1), (4000, 4), (92802, 8)])
def test_few_queries_of_a_large_set_are_measured(small_suite, queries, measured):
    path = Path("x.jpg")
    dataset = Dataset("cvusa", tuple(Pair(str(i), path, path) for i in range(queries)))
    suite = small_suite(pairs=queries)
    plan = make_plan(suite, dataset, suite.cells)
    assert plan.measured == len(plan.measured_ids) == measured
    assert make_plan(suite, dataset, suite.cells, measured=10**9).measured == queries


def test_a_suite_whose_codec_is_not_installed_is_refused_before_the_work(
    make_cvusa, small_suite, monkeypatch
):
    codec_name.cache_clear()
    monkeypatch.setitem(sys.modules, "jpeglib", None)
    suite = small_suite(codec="ijg9d")
    with pytest.raises(DataError, match="needs the package jpeglib"):
        make_plan(suite, load_dataset("cvusa", make_cvusa(3), "val"), suite.cells)


def test_a_published_set_is_made_by_its_codec_and_says_with_which(
    make_cvusa, small_suite, tmp_path
):
    pytest.importorskip("jpeglib")
    suite = small_suite(profile="published", codec="ijg9d")
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    page = generate(make_plan(suite, dataset, suite.cells), tmp_path / "set")
    assert (page.profile, page.codec) == ("published", "ijg9d")
    _, manifest = read_set(tmp_path / "set")
    codec = CODECS["ijg9d"]
    for row in manifest.to_pylist():
        assert "jpeglib" in row["versions"]
        if row["cell"] == "codec_only":
            clean = codec.decode((tmp_path / "set/clean" / Path(row["path"]).name).read_bytes())
            assert (tmp_path / "set" / row["path"]).read_bytes() == codec.encode(clean, 75)
            assert row["codec"] == codec_name("ijg9d", 75)


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


def test_a_source_too_small_for_a_corruption_is_named(make_cvusa, small_suite, tmp_path):
    suite = small_suite(pairs=1)
    dataset = load_dataset("cvusa", make_cvusa(1, panorama=(8, 24)), "val")
    with pytest.raises(DataError, match="query 0000001, gaussian_noise 1"):
        generate(make_plan(suite, dataset, suite.cells), tmp_path / "out")


LOSSES = ("clean/0000001.jpg", "severity-1/digital/contrast/0000005.jpg")  # of units 1 and 3


def lose(out):
    """What a power cut can do to pictures that the disk was not waited for: none, or an empty one.

    The sign that their units are done, which was waited for, stays.
    """
    (out / LOSSES[0]).unlink()
    (out / LOSSES[1]).write_bytes(b"")


def test_pictures_that_a_power_cut_took_from_finished_units_are_made_anew(
    plan, undisturbed, tmp_path
):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    lose(out)
    assert generate(plan, out) is not None
    assert tree(out) == undisturbed


def test_a_set_is_not_called_whole_when_other_shards_lost_pictures(plan, undisturbed, tmp_path):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    lose(out)
    with pytest.raises(DataError, match=r"0000001\.jpg, made by an earlier run, is gone"):
        generate(plan, out, shard=(2, 2))
    assert not (out / "set.json").exists()
    assert len(list((out / WORK / "units").iterdir())) == 1
    generate(plan, out)
    assert tree(out) == undisturbed


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
    assert generate(plan, out).images == 30
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


def test_the_disk_is_waited_for_at_the_end_of_a_shard(plan, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(generation, "settle", lambda: seen.append(len(tree(tmp_path / "out"))))
    generate(plan, tmp_path / "out", shard=(1, 2))
    assert len(seen) == 1
    assert seen[0] > 18


def test_the_disk_is_waited_for_before_a_set_is_called_whole(plan, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        generation,
        "settle",
        lambda: seen.append(
            (len(tree(tmp_path / "out")) > 30, (tmp_path / "out/set.json").exists())
        ),
    )
    generate(plan, tmp_path / "out")
    assert seen == [(True, False)]


def test_pictures_that_are_made_again_have_the_same_pixels(plan):
    from cvgl_bench.rendering import plan_output, read_source, render

    pair, cell = plan.dataset.pairs[2], plan.cells[2]
    output = plan_output(plan.suite, "cvusa", pair, cell)
    one, two = (render(plan.suite, read_source(pair, PILLOW), output).pixels for _ in range(2))
    np.testing.assert_array_equal(one, two)
