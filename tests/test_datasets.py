import json

import numpy as np
import pytest
from scipy.io import savemat

from cvgl_bench.datasets import DATASETS, load_dataset
from cvgl_bench.datasets.cvtown import AREAS, GENERATOR_VERSION, SPLITS
from cvgl_bench.errors import DataError


def test_cvusa_is_read_in_the_order_of_its_list(make_cvusa):
    root = make_cvusa(3)
    dataset = load_dataset("cvusa", root, "val")
    assert [pair.id for pair in dataset.pairs] == ["0000001", "0000002", "0000003"]
    second = dataset.pairs[1]
    assert second.ground == root / "streetview/panos/0000002.jpg"
    assert second.aerial == root / "bingmap/19/0000002.jpg"
    assert (second.ground_position.latitude, second.ground_position.longitude) == (41.5, -101.5)
    assert (second.aerial_position.latitude, second.aerial_position.longitude) == (41, -101)


def test_cvusa_without_locations_has_no_positions(make_cvusa):
    dataset = load_dataset("cvusa", make_cvusa(1, positions=False), "val")
    assert dataset.pairs[0].ground_position is None


def test_a_location_that_is_no_number_is_refused(make_cvusa):
    root = make_cvusa(2)
    (root / "split_locations/all.csv").write_text("1,2,3,4,0\n1,2,x,4,0\n")
    with pytest.raises(DataError, match=r"line 2: .*'0000002'"):
        load_dataset("cvusa", root, "val")


def test_missing_pictures_are_counted_and_the_first_is_named(make_cvusa):
    root = make_cvusa(3)
    (root / "streetview/panos/0000002.jpg").unlink()
    (root / "bingmap/19/0000003.jpg").unlink()
    with pytest.raises(DataError, match=r"2 of the 6 pictures.*0000002\.jpg"):
        load_dataset("cvusa", root, "val")


@pytest.mark.parametrize(
    "line",
    [
        "../../etc/passwd,streetview/panos/0000001.jpg",
        "/etc/passwd,streetview/panos/0000001.jpg",
        "bingmap/19/0000001.jpg,",
        r"bingmap/19/0000001.jpg,..\x.jpg",
        "bingmap/19/0000001.jpg",
        "bingmap/19/0000001.jpg,streetview/panos/=cmd|x.jpg",
    ],
)
def test_hostile_lists_are_refused(make_cvusa, line):
    root = make_cvusa(1, positions=False)
    (root / "splits/val-19zl.csv").write_text(line + "\n")
    with pytest.raises(DataError):
        load_dataset("cvusa", root, "val")


def test_a_doubled_id_is_refused(make_cvusa):
    root = make_cvusa(1)
    list_file = root / "splits/val-19zl.csv"
    list_file.write_text(list_file.read_text() * 2)
    with pytest.raises(DataError, match="twice"):
        load_dataset("cvusa", root, "val")


def test_an_empty_or_binary_list_is_refused(make_cvusa):
    root = make_cvusa(1)
    list_file = root / "splits/val-19zl.csv"
    list_file.write_text("")
    with pytest.raises(DataError, match="no pair"):
        load_dataset("cvusa", root, "val")
    list_file.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        load_dataset("cvusa", root, "val")


def test_cvtown_has_the_layout_of_cvusa_and_may_stand_in_for_it(make_town_folder):
    dataset = load_dataset("cvusa", make_town_folder(2), "val")
    assert [pair.id for pair in dataset.pairs] == ["0000001", "0000002"]


def write_cvact(root, ids, split="val"):
    folder = root / ("ANU_data_test" if split == "test" else "ANU_data_small")
    for name in ("streetview", "satview_polish"):
        (folder / name).mkdir(parents=True)
    for identity in ids:
        (folder / "streetview" / f"{identity}_grdView.jpg").write_bytes(b"x")
        (folder / "satview_polish" / f"{identity}_satView_polish.jpg").write_bytes(b"x")


def write_mat(root, ids, utm, *, val, test):
    def struct(**fields):
        return {name: np.array(value, dtype=np.float64)[:, None] for name, value in fields.items()}

    savemat(
        root / "ACT_data.mat",
        {
            "panoIds": np.array(ids, dtype=object)[:, None],
            "utm": np.array(utm),
            "trainSet": struct(trainInd=[1.0]),
            "valSet": struct(valInd=val),
            "valSetAll": struct(valInd=test),
        },
    )


def test_cvact_is_read_through_its_one_based_list_with_positions(tmp_path):
    ids = ["-0ccBRLlaa", "_1aRcbbbbb", "Zz9ccccccc"]
    utm = [[692000.0, 6090000.0], [692100.0, 6090000.0], [693000.0, 6091000.0]]
    write_mat(tmp_path, ids, utm, val=[3, 1], test=[2])
    write_cvact(tmp_path, [ids[2], ids[0]])
    dataset = load_dataset("cvact", tmp_path, "val")
    assert [pair.id for pair in dataset.pairs] == [ids[2], ids[0]]
    assert dataset.pairs[0].ground.name == "Zz9ccccccc_grdView.jpg"
    canberra = dataset.pairs[1].ground_position
    assert canberra.latitude == pytest.approx(-35.31, abs=0.05)
    assert canberra.longitude == pytest.approx(149.11, abs=0.05)


def test_cvact_test_split_lies_in_its_own_folder(tmp_path):
    write_mat(tmp_path, ["aaaa", "bbbb"], [[0.0, 0.0], [1.0, 1.0]], val=[1], test=[2])
    write_cvact(tmp_path, ["bbbb"], split="test")
    (pair,) = load_dataset("cvact", tmp_path, "test").pairs
    assert pair.ground.parent == tmp_path / "ANU_data_test/streetview"


def test_a_cvact_index_outside_its_list_is_refused(tmp_path):
    write_mat(tmp_path, ["aaaa", "bbbb"], [[0.0, 0.0], [1.0, 1.0]], val=[3], test=[1])
    with pytest.raises(DataError, match=r"outside 1\.\.2"):
        load_dataset("cvact", tmp_path, "val")


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_a_cvact_list_that_is_no_matlab_file_is_refused(tmp_path, content):
    (tmp_path / "ACT_data.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"ACT_data\.mat"):
        load_dataset("cvact", tmp_path, "val")


def test_a_split_of_a_suite_is_one_town_of_one_size(make_town_folder):
    root = make_town_folder(2)
    dataset = load_dataset("cvtown", root, "val-small")
    assert dataset.name == "cvtown"
    second = dataset.pairs[1]
    assert (second.ground_position.latitude, second.ground_position.longitude) == (41.5, -31.5)
    assert (second.aerial_position.latitude, second.aerial_position.longitude) == (41, -31)
    with pytest.raises(DataError, match=r"in size small, .* 'val' is the one .* in size cvusa"):
        load_dataset("cvtown", root, "val")
    for field, value in (("seed", 9), ("generator_version", GENERATOR_VERSION - 1)):
        page = json.loads((root / "val.json").read_text())
        (root / "val.json").write_text(json.dumps(page | {field: value}))
        with pytest.raises(DataError, match="the split 'val-small' is the one with seed 7"):
            load_dataset("cvtown", root, "val-small")
        if field == "seed":
            assert len(load_dataset("cvtown", root, "any-val").pairs) == 2
    with pytest.raises(DataError, match="drawn by version"):
        load_dataset("cvtown", root, "any-val")


def test_every_split_names_an_area_and_says_how_to_make_it(tmp_path):
    assert {wanted.area for wanted in SPLITS.values()} == set(AREAS)
    for split, wanted in SPLITS.items():
        with pytest.raises(DataError, match=f"cvgl-bench town --out .* --split {wanted.area}"):
            load_dataset("cvtown", tmp_path, split)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("val.json", "[]", "not what cvgl-bench town wrote"),
        ("val.json", "{}", "not what cvgl-bench town wrote"),
        ("splits/val-19zl.csv", "", "lists 0 pairs where 2 were made"),
        ("splits/val-19zl.csv", "a\nb\n", "two paths were expected"),
        ("splits/val-19zl.csv", "../a.jpg,b.jpg\nc,d\n", "not inside"),
        ("split_locations/val.csv", "0000001,1,2,3,4\n", "line 1: its header is not"),
        ("split_locations/val.csv", "{header}0000001,1,2,3,x\n", "line 2: could not convert"),
        ("split_locations/val.csv", "{header}0000001,1,2\n", "line 2: not enough values"),
        ("split_locations/val.csv", "{header}0000001,1,2,3,4\n", "'0000002' has no position"),
        (
            "split_locations/val.csv",
            "{header}0000001,nan,2,3,4\n",
            "line 2: there is no such place",
        ),
        (
            "split_locations/val.csv",
            "{header}0000001,1,inf,3,4\n",
            "line 2: there is no such place",
        ),
        ("split_locations/val.csv", "{header}" + 2 * "0000001,1,2,3,4\n", "is listed twice"),
        ("splits/val-19zl.csv", "a/1.jpg,b/2.jpg\nc,d\n", "are of different places"),
        ("val.json", "[" * 100_000, "not what cvgl-bench town wrote"),
    ],
)
def test_a_damaged_town_is_refused(make_town_folder, file, text, told):
    root = make_town_folder(2)
    header = (root / "split_locations/val.csv").read_text().splitlines()[0] + "\n"
    (root / file).write_text(text.replace("{header}", header))
    with pytest.raises(DataError, match=told):
        load_dataset("cvtown", root, "val-small")


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_folder_is_none_of_them(name, tmp_path):
    split = next(iter(DATASETS[name].SPLITS))
    with pytest.raises(DataError, match="no "):
        load_dataset(name, tmp_path, split)
    with pytest.raises(DataError, match="no folder"):
        load_dataset(name, tmp_path / "absent", split)


def test_unknown_names_and_splits_get_the_nearest(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'cvusa'"):
        load_dataset("cvuas", tmp_path, "val")
    with pytest.raises(DataError, match="unknown split of cvusa 'test'"):
        load_dataset("cvusa", tmp_path, "test")


@pytest.mark.parametrize("latitude", ["91", "nan", "-90.5"])
def test_a_place_that_is_nowhere_is_refused(make_cvusa, latitude):
    root = make_cvusa(2)
    path = root / "split_locations" / "all.csv"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first, ",".join([latitude, *rest[0].split(",")[1:]])]))
    with pytest.raises(DataError, match="nowhere on the earth"):
        load_dataset("cvusa", root, "val")
