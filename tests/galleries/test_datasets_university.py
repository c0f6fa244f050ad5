import shutil
from pathlib import Path

import pytest

from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError


def test_every_drone_picture_asks_for_its_building(make_university):
    dataset = load_dataset("university", make_university(), "d2s")
    assert [pair.id for pair in dataset.pairs[:4]] == [
        "0001_image-01",
        "0001_image-02",
        "0001_image-03",
        "0002_image-01",
    ]
    assert dataset.pairs[3].file_name == "0002_image-01.jpeg"
    assert [one.id for one in dataset.references] == [f"{n:04d}_{n:04d}" for n in (1, 2, 3, 4)]
    assert dataset.gallery.true["0002_image-01"] == (1,)
    assert (dataset.query_side, dataset.panoramas) == ("ground", False)
    assert dataset.gallery.semi_positive is None


def test_a_satellite_picture_asks_for_any_drone_picture_of_its_building(make_university):
    dataset = load_dataset("university", make_university(), "s2d")
    assert [pair.id for pair in dataset.pairs] == ["0001_0001", "0002_0002", "0003_0003"]
    assert len(dataset.references) == 4 * 3
    assert dataset.gallery.true["0003_0003"] == (6, 7, 8)
    assert dataset.query_side == "aerial"
    assert dataset.pairs[2].ground.parts[-3:] == ("query_satellite", "0003", "0003.jpg")


def test_the_training_buildings_are_others(make_university):
    root = make_university()
    training = load_dataset("university", root, "train")
    assert len(training.pairs) == 6
    assert {pair.id[:4] for pair in training.pairs} == {"1000", "1001"}


def test_hidden_and_other_files_are_no_pictures(make_university):
    root = make_university()
    before = load_dataset("university", root, "s2d")
    folder = root / "test/gallery_drone/0001"
    for name in (".DS_Store", "._image-01.jpeg", "notes.txt"):
        (folder / name).write_bytes(b"x")
    (root / "test/gallery_drone/.cache").mkdir()
    assert load_dataset("university", root, "s2d") == before


def test_a_query_without_a_reference_is_refused(make_university):
    root = make_university()
    shutil.rmtree(root / "test/gallery_satellite/0002")
    with pytest.raises(DataError, match="no picture of the building 0002, which test/query_drone"):
        load_dataset("university", root, "d2s")


@pytest.mark.parametrize("name", ["a b", "..x", "é", "=cmd", "x" * 33])
def test_a_building_with_an_unusable_name_is_refused(make_university, name):
    root = make_university()
    (root / "test/query_drone" / name).mkdir()
    if name.startswith("."):
        assert len(load_dataset("university", root, "d2s").pairs) == 9
        return
    with pytest.raises(DataError, match="is no name of a building"):
        load_dataset("university", root, "d2s")


def test_two_files_of_one_name_are_refused(make_university):
    root = make_university()
    folder = root / "test/query_drone/0001"
    shutil.copy(folder / "image-01.jpeg", folder / "image-01.png")
    with pytest.raises(DataError, match="lists the id '0001_image-01' twice"):
        load_dataset("university", root, "d2s")


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match="no University-1652 folder"):
        load_dataset("university", tmp_path, "d2s")
    for side in ("query_drone", "gallery_satellite"):
        (tmp_path / "test" / side).mkdir(parents=True)
    with pytest.raises(DataError, match="lists no pair"):
        load_dataset("university", tmp_path, "d2s")


def test_the_order_of_folders_on_the_disk_decides_nothing(make_university, monkeypatch):
    root = make_university()
    before = load_dataset("university", root, "s2d")
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(listed(self), reverse=True))
    assert load_dataset("university", root, "s2d") == before
