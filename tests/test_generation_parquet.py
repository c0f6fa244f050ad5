import io
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cvgl_bench import parquet_set, planning
from cvgl_bench.cli import main
from cvgl_bench.datasets import Dataset, load_dataset
from cvgl_bench.errors import DataError
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.manifest import read_page, read_set
from cvgl_bench.pictures import open_set
from cvgl_bench.suite import Cell
from cvgl_bench.units import WORK
from cvgl_bench.verification import Fault, repair, verify

NOISE = "parquet/full-gaussian_noise-5/part-00001.parquet"
CONTRAST = "parquet/full-contrast-1/part-00000.parquet"
CLEAN = "parquet/full-clean-0/part-00002.parquet"


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def suite(small_suite):
    return small_suite(pairs=5)


@pytest.fixture
def dataset(make_cvusa):
    return load_dataset("cvusa", make_cvusa(5), "val")


@pytest.fixture
def plan(suite, dataset, monkeypatch):
    monkeypatch.setattr(planning, "QUERIES_PER_PART", 2)
    return make_plan(suite, dataset, suite.cells, form="parquet")


@pytest.fixture
def made(plan, tmp_path):
    generate(plan, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def files(suite, dataset, tmp_path):
    """The same suite as a tree."""
    generate(make_plan(suite, dataset, suite.cells), tmp_path / "tree")
    return tmp_path / "tree"


def test_a_set_has_a_folder_a_cell_and_says_its_form(made):
    found = {name for name in tree(made) if name.startswith("parquet/")}
    cells = ["clean-0", "codec_only-0"]
    cells += [
        f"{name}-{severity}" for name in ("gaussian_noise", "contrast") for severity in (1, 5)
    ]
    assert found == {
        f"parquet/full-{cell}/part-{part:05d}.parquet" for cell in cells for part in range(3)
    }
    page = json.loads((made / "set.json").read_text())
    assert (page["format"], page["queries_per_part"]) == ("parquet", 2)


def test_the_manifest_and_every_pictures_bytes_are_the_trees(made, files):
    assert (made / "manifest.parquet").read_bytes() == (files / "manifest.parquet").read_bytes()
    assert (made / "headings.csv").read_bytes() == (files / "headings.csv").read_bytes()
    count = 0
    for part in made.glob("parquet/*/*.parquet"):
        for row in pq.read_table(part).to_pylist():
            assert row["image"]["bytes"] == (files / row["image"]["path"]).read_bytes()
            count += 1
    assert count == 30
    recorded = {row["path"]: row for row in read_set(files)[1].to_pylist()}
    for row in pq.read_table(made / NOISE).to_pylist():
        expected = recorded[row["image"]["path"]]
        assert {name: row[name] for name in parquet_set.COLUMNS} == {
            name: expected[name] for name in parquet_set.COLUMNS
        }


def test_a_trees_page_says_nothing_of_its_form(files):
    assert "format" not in json.loads((files / "set.json").read_text())
    assert read_page(files).format == "tree"


def test_workers_shards_and_copies_give_the_same_files(plan, made, tmp_path):
    generate(plan, tmp_path / "two", workers=2)
    assert tree(tmp_path / "two") == tree(made)
    parts = [tmp_path / "a", tmp_path / "b"]
    for number, part in enumerate(parts, start=1):
        assert generate(plan, part, shard=(number, 2)) is None
    shutil.copytree(parts[1], parts[0], dirs_exist_ok=True)
    assert generate(plan, parts[0]) is not None
    assert tree(parts[0]) == tree(made)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 cut short"])
def test_a_part_that_a_power_cut_took_is_made_anew(plan, made, tmp_path, content):
    out = tmp_path / "out"
    generate(plan, out, shard=(2, 3))
    assert (out / NOISE).is_file()
    (out / NOISE).unlink() if content is None else (out / NOISE).write_bytes(content)
    generate(plan, out)
    assert tree(out) == tree(made)


def test_a_run_that_fails_in_a_unit_leaves_none_of_its_parts(plan, made, dataset, tmp_path):
    out, victim = tmp_path / "out", dataset.pairs[3].ground
    whole = victim.read_bytes()
    victim.write_bytes(whole[:300])
    with pytest.raises(DataError, match="0000004"):
        generate(plan, out)
    assert not list(out.glob("parquet/*/part-00001.parquet"))
    assert not list((out / WORK / "scratch").iterdir())
    victim.write_bytes(whole)
    generate(plan, out)
    assert tree(out) == tree(made)


def test_a_disk_that_fills_up_is_one_sentence(plan, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match=r"cannot write .*No space left on device\."):
        generate(plan, tmp_path / "out")


def test_a_set_of_the_other_form_is_not_gone_on_with(plan, made, suite, dataset, tmp_path):
    other = make_plan(suite, dataset, suite.cells)
    with pytest.raises(DataError, match="already holds a set with --format parquet; tree was"):
        generate(other, made)
    generate(plan, tmp_path / "begun", shard=(1, 3))
    with pytest.raises(DataError, match="--format"):
        generate(other, tmp_path / "begun", shard=(1, 3))


def test_row_groups_bound_what_a_worker_holds(plan, made, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_set, "PENDING_BYTES", 1)
    generate(plan, tmp_path / "small")
    assert pq.ParquetFile(tmp_path / "small" / NOISE).num_row_groups == 2
    assert pq.ParquetFile(made / NOISE).num_row_groups == 1
    for name in (NOISE, CONTRAST, CLEAN):
        assert pq.read_table(tmp_path / "small" / name).equals(pq.read_table(made / name))
    assert verify(tmp_path / "small") == []


def test_the_bytes_waiting_in_a_unit_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_set, "PENDING_BYTES", 1 << 20)
    cells = [Cell(view="full", corruption="fog", severity=s) for s in (1, 2)]
    row = dict.fromkeys(parquet_set.COLUMNS, "x") | {"path": "x"}
    row |= {"severity": 1, "heading_degrees": 0.0, "fov_degrees": 360.0}
    tracemalloc.start()
    with parquet_set.open_parts(tmp_path, cells, 0, tmp_path / "scratch") as put:
        for number in range(400):
            put(row, bytes([number % 256]) * 100_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10e6  # of 40 MB that were put
    assert parquet_set.is_whole(tmp_path / parquet_set.part_path(cells[1], 0), 200)


def test_an_untouched_set_has_no_fault(made):
    told = []
    assert verify(made, told.append) == []
    assert sum(told) == 30


def test_every_kind_of_fault_is_found_and_mended(made, suite, dataset):
    before = tree(made)
    (made / NOISE).unlink()
    (made / CLEAN).write_bytes(before[CLEAN][:-50])
    (made / CONTRAST).write_bytes(before[CONTRAST.replace("00000", "00001")])
    (made / "headings.csv").unlink()
    (made / "parquet/mine.parquet").write_bytes(b"mine")
    faults = verify(made)
    assert faults == [
        Fault("missing", "headings.csv"),
        Fault("truncated", CLEAN),
        Fault("missing", NOISE),
        Fault("extra", "parquet/mine.parquet"),
    ]
    repair(made, suite, dataset, faults)
    assert verify(made) == [Fault("altered", CONTRAST), Fault("extra", "parquet/mine.parquet")]
    assert repair(made, suite, dataset, verify(made)) == [CONTRAST]
    (made / "parquet/mine.parquet").unlink()
    assert verify(made) == []
    assert tree(made) == before


@pytest.mark.parametrize("column", ["image", "heading_degrees", "seed"])
def test_one_changed_value_is_found(made, column):
    table = pq.read_table(made / NOISE)
    rows = table.to_pylist()
    if column == "image":
        rows[1]["image"]["bytes"] = rows[0]["image"]["bytes"]
    else:
        rows[1][column] = 1.5 if column == "heading_degrees" else "0"
    pq.write_table(table.from_pylist(rows, schema=parquet_set.SCHEMA), made / NOISE)
    assert verify(made) == [Fault("altered", NOISE)]


def test_repair_refuses_the_data_in_another_order(made, suite, dataset):
    (made / NOISE).unlink()
    turned = Dataset(dataset.name, dataset.pairs[::-1])
    with pytest.raises(DataError, match="in their order"):
        repair(made, suite, turned, verify(made))


def test_an_evaluation_gets_the_pictures_of_the_tree(made, files, suite, dataset):
    parts, single = open_set(made, suite, dataset), open_set(files, suite, dataset)
    assert parts.manifest_sha256 == single.manifest_sha256
    for cell in suite.cells:
        for ours, theirs in zip(parts.images(cell), single.images(cell), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("fault", ["missing", "swapped", "cut", "fewer", "more"])
def test_an_evaluation_refuses_a_part_that_is_not_the_sets(made, suite, dataset, fault):
    cell = Cell(view="full", corruption="gaussian_noise", severity=5)
    other = (made / NOISE.replace("00001", "00000")).read_bytes()
    if fault == "missing":
        (made / NOISE).unlink()
    elif fault == "fewer":
        pq.write_table(pq.read_table(made / NOISE).slice(0, 1), made / NOISE)
    elif fault == "more":
        last = made / NOISE.replace("00001", "00002")
        pq.write_table(pa.concat_tables([pq.read_table(last)] * 2), last)
    else:
        (made / NOISE).write_bytes(other if fault == "swapped" else other[:-9])
    pictures = open_set(made, suite, dataset)
    with pytest.raises(DataError, match="gaussian_noise-5"):
        list(pictures.images(cell))


def test_a_command_makes_and_verifies_and_repairs_it(make_cvusa, suite_file, tmp_path):
    from click.testing import CliRunner

    root, out = make_cvusa(3), tmp_path / "out"
    words = ["generate", str(suite_file()), "--data", str(root), "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--format", "parquet"])
    assert result.exit_code == 0, result.output
    (out / CONTRAST).unlink()
    result = CliRunner().invoke(main, ["verify", str(out)])
    assert result.exit_code == 1
    assert f"missing: {CONTRAST}" in result.output
    mend = ["verify", str(out), "--repair", "--data", str(root)]
    mend += ["--suite", str(tmp_path / "small-c.toml")]
    assert CliRunner().invoke(main, mend).exit_code == 0
    assert CliRunner().invoke(main, ["verify", str(out)]).exit_code == 0


def test_duckdb_reads_it(made, files):
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(
        "select corruption, severity, count(*), sum(octet_length(image.bytes)) "
        f"from '{made}/parquet/*/*.parquet' group by all"
    ).fetchall()
    assert {(name, severity, count) for name, severity, count, _ in found} == {
        *(("clean", 0, 5), ("codec_only", 0, 5)),
        *((name, s, 5) for name in ("gaussian_noise", "contrast") for s in (1, 5)),
    }
    assert sum(int(row[3]) for row in found) == sum(
        len(data) for name, data in tree(files).items() if name.endswith(".jpg")
    )


HUGGING_FACE = """
import sys
from datasets import load_dataset

folder, cache = sys.argv[1:]
table = load_dataset(
    "parquet", data_files=f"{folder}/parquet/full-contrast-5/*.parquet", cache_dir=cache
)["train"]
for row in table:
    print(row["image_id"], row["corruption"], row["severity"], row["image"].size)
"""


def test_hugging_face_datasets_gives_pictures(made, tmp_path):
    pytest.importorskip("datasets")
    result = subprocess.run(
        [sys.executable, "-c", HUGGING_FACE, str(made), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [f"000000{n} contrast 5 (96, 32)" for n in range(1, 6)]


def test_the_schema_tells_hugging_face_of_pictures(made):
    row = pq.read_table(made / CLEAN).to_pylist()[0]
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (96, 32)
    words = json.loads(pq.read_schema(made / CLEAN).metadata[b"huggingface"])
    features = words["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert list(features) == pq.read_schema(made / CLEAN).names
    assert features["heading_degrees"] == {"dtype": "float64", "_type": "Value"}
    assert features["severity"] == {"dtype": "int8", "_type": "Value"}
