import json

import pytest

from corruptions.codecs import PILLOW
from cvgl_bench.datasets import Dataset, load_dataset
from cvgl_bench.errors import DataError
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.manifest import read_set
from cvgl_bench.verification import Fault, repair, verify

NOISE = "severity-5/noise/gaussian_noise/0000002.jpg"
CONTRAST = "severity-1/digital/contrast/0000001.jpg"
CLEAN = "clean/0000003.jpg"


@pytest.fixture
def made(make_cvusa, small_suite, tmp_path):
    suite = small_suite()
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    generate(make_plan(suite, dataset, suite.cells), tmp_path / "set")
    return tmp_path / "set", suite, dataset


def test_an_untouched_set_has_no_fault(made):
    told = []
    assert verify(made[0], told.append) == []
    assert sum(told) == 18


def test_every_kind_of_fault_is_found_and_all_but_extra_files_are_mended(made):
    out, suite, dataset = made
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / NOISE).unlink()
    (out / CLEAN).write_bytes(before[out / CLEAN][:200])
    (out / CONTRAST).write_bytes(before[out / "severity-1/digital/contrast/0000002.jpg"])
    (out / "headings.csv").write_text("image_id,heading_degrees\n")
    (out / "clean" / "0000009.jpg").write_bytes(b"mine")
    faults = verify(out)
    assert faults == [
        Fault("truncated", CLEAN),
        Fault("extra", "clean/0000009.jpg"),
        Fault("altered", "headings.csv"),
        Fault("altered", CONTRAST),
        Fault("missing", NOISE),
    ]
    written = repair(out, suite, dataset, faults)
    assert sorted(written) == sorted([CLEAN, "headings.csv", CONTRAST, NOISE])
    assert verify(out) == [Fault("extra", "clean/0000009.jpg")]
    assert {path: path.read_bytes() for path in before} == before


def test_one_changed_byte_is_found(made):
    data = bytearray((made[0] / NOISE).read_bytes())
    data[-10] ^= 1
    (made[0] / NOISE).write_bytes(bytes(data))
    assert [fault.path for fault in verify(made[0])] == [NOISE]


def test_a_mixed_set_is_mended_too(make_cvusa, small_suite, tmp_path):
    suite = small_suite(form="mixed")
    dataset = load_dataset("cvusa", make_cvusa(3), "val")
    out = tmp_path / "all"
    generate(make_plan(suite, dataset, suite.cells), out)
    before = (out / "0000002.jpg").read_bytes()
    (out / "0000002.jpg").unlink()
    repair(out, suite, dataset, verify(out))
    assert (out / "0000002.jpg").read_bytes() == before


def test_repair_refuses_another_source(made):
    out, suite, dataset = made
    (out / NOISE).unlink()
    dataset.pairs[1].ground.write_bytes(dataset.pairs[0].ground.read_bytes())
    with pytest.raises(DataError, match="not the one that the set was made from"):
        repair(out, suite, dataset, verify(out))
    assert not (out / NOISE).exists()


def test_repair_refuses_another_suite_and_other_bytes(made, small_suite, monkeypatch):
    out, suite, dataset = made
    (out / NOISE).unlink()
    with pytest.raises(DataError, match="another definition"):
        repair(out, small_suite(seed=9), dataset, verify(out))
    monkeypatch.setattr(type(PILLOW), "encode", lambda self, image, quality: b"other codec")
    with pytest.raises(DataError, match="other bytes than the manifest"):
        repair(out, suite, dataset, verify(out))
    assert not (out / NOISE).exists()


def test_headings_are_not_made_from_other_queries(made):
    out, suite, dataset = made
    (out / "headings.csv").unlink()
    with pytest.raises(DataError, match="in their order"):
        repair(out, suite, Dataset(dataset.name, dataset.pairs[:2]), verify(out))
    assert not (out / "headings.csv").exists()


def test_a_page_that_promises_more_than_the_manifest_has_is_refused(made):
    page = json.loads((made[0] / "set.json").read_text())
    page["cells"].append({"view": "full", "corruption": "fog", "severity": 1})
    (made[0] / "set.json").write_text(json.dumps(page))
    with pytest.raises(DataError, match="lists others"):
        verify(made[0])


def test_measures_that_the_manifest_does_not_give_are_refused(made):
    page = json.loads((made[0] / "set.json").read_text())
    page["measures"][-1]["ssim"] = 0.9999
    (made[0] / "set.json").write_text(json.dumps(page))
    with pytest.raises(DataError, match="lists others"):
        verify(made[0])


def test_measured_queries_are_mended_like_the_others(made):
    out, suite, dataset = made
    before = (out / NOISE).read_bytes()
    assert read_set(out)[0].measured_queries == 1
    (out / NOISE).unlink()
    assert repair(out, suite, dataset, verify(out)) == [NOISE]
    assert (out / NOISE).read_bytes() == before


@pytest.mark.parametrize("name", ["set.json", "manifest.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"PAR1"])
def test_a_set_without_its_papers_is_refused(made, name, content):
    out = made[0]
    (out / name).unlink() if content is None else (out / name).write_bytes(content)
    with pytest.raises(DataError):
        verify(out)
