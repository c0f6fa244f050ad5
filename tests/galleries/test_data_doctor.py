"""What `cvgl-bench doctor data` says of whole and of broken folders."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

from cvgl_bench.cli import main
from cvgl_bench.data_doctor import examine_data
from cvgl_bench.data_doctor.known import KNOWN, PINNED
from cvgl_bench.datasets import DATASETS
from cvgl_bench.suite import load_suite, suite_names


def failed(root, **options):
    """The findings that failed, by what was checked."""
    return {one.check: one for one in examine_data(root, **options) if one.passed is False}


@pytest.fixture
def cvusa(make_cvusa, monkeypatch):
    """A whole CVUSA of two pairs."""
    monkeypatch.setitem(PINNED, ("cvusa", "val"), (2, 2))
    return make_cvusa(2, panorama=(224, 1232), tile=750)


@pytest.fixture
def vigor(make_vigor, monkeypatch):
    """A whole VIGOR of few and small pictures."""
    sizes = {"same-train": (4, 36), "same-test": (12, 36)}
    for split, counts in (sizes | {"cross-train": (8, 18), "cross-test": (8, 18)}).items():
        monkeypatch.setitem(PINNED, ("vigor", split), counts)
    fields = vars(KNOWN["vigor"]) | {"query": (64, 32), "reference": (24, 24)}
    monkeypatch.setitem(KNOWN, "vigor", type(KNOWN["vigor"])(**fields))
    return make_vigor(labels=("original", "corrected"))


@pytest.fixture
def university(make_university, monkeypatch):
    """A whole University-1652 of few buildings."""
    for split, counts in {"train": (6, 2), "d2s": (9, 4), "s2d": (3, 12)}.items():
        monkeypatch.setitem(PINNED, ("university", split), counts)
    return make_university()


@pytest.fixture
def cvact(tmp_path, monkeypatch):
    """A whole CVACT of two pairs to validate on, without its test split."""
    root = tmp_path / "CVACT"
    ids = ["-0ccBRLlaa", "_1aRcbbbbb"]
    for folder, name, size in (
        ("streetview", "grdView", (1664, 832)),
        ("satview_polish", "satView_polish", (1200, 1200)),
    ):
        (root / "ANU_data_small" / folder).mkdir(parents=True)
        for identity in ids:
            path = root / "ANU_data_small" / folder / f"{identity}_{name}.jpg"
            Image.new("RGB", size, (90, 120, 60)).save(path)
    column = np.array([[1.0], [2.0]])
    indices = {"trainSet": "trainInd", "valSet": "valInd", "valSetAll": "valInd"}
    fields = {struct: {field: column} for struct, field in indices.items()}
    names = np.array(ids, dtype=object)[:, None]
    savemat(root / "ACT_data.mat", {"panoIds": names, "utm": np.ones((2, 2)) * 1e5, **fields})
    for split in ("train", "val"):
        monkeypatch.setitem(PINNED, ("cvact", split), (2, 2))
    return root


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", ["cvusa", "cvact", "vigor", "university"])
def test_a_whole_folder_passes(request, name, quick):
    root = request.getfixturevalue(name)
    found = list(examine_data(root, quick=quick))
    assert [one for one in found if one.passed is False] == []
    assert found[0].detail.startswith(KNOWN[name].title)
    assert {"ground pictures: whole", "aerial pictures: size"} <= {one.check for one in found}
    assert not any(one.fix for one in found)


def test_what_may_be_missing_is_told_and_fails_nothing(cvact, cvusa):
    notes = {one.check: one.detail for one in examine_data(cvact) if one.passed is None}
    assert notes == {
        "test: lists": "ANU_data_test is not there; only cvact-test-c-all needs it",
    }
    (cvusa / "split_locations/all.csv").unlink()
    notes = {one.check: one.detail for one in examine_data(cvusa) if one.passed is None}
    assert "only training needs it" in notes["train: lists"]
    assert "errors in metres are left out" in notes["val: positions"]
    assert failed(cvusa, split="train")["train: lists"].detail.startswith(f"{cvusa}/splits/train")


def test_both_versions_of_labels_are_told_apart(vigor):
    details = {one.check: one.detail for one in examine_data(vigor, split="same-test")}
    assert "original: Chicago 0.1140, NewYork 0.1140" in details["label version in splits"]
    assert "NewYork 0.1130" in details["label version in splits__corrected"]


def test_sample4geos_layout_is_recognised(make_vigor):
    first = next(iter(examine_data(make_vigor(layout="sample4geo"))))
    assert (first.passed, first.detail) == (True, "VIGOR, Sample4Geo's layout")


def test_a_town_is_looked_at_with_its_own_sizes(tmp_path):
    from dataclasses import replace

    from cvgl_bench.town import write_town
    from cvgl_bench.town.order import SIZES, Order

    size = replace(SIZES["small"], panorama=(12, 24), aerial=16)
    for form in ("pairs", "vigor"):
        root = tmp_path / form
        assert write_town(Order(root, "val", 2, size=size, form=form)) == 0
        found = list(examine_data(root))
        assert [one.detail for one in found if one.passed is False] == []
        details = {one.check: one.detail for one in found}
        assert details["ground pictures: size"] == "24 x 12 (2)"
        if form == "pairs":
            assert "cvtown-c has 100, and any number" in details["val-small: counts"]
        else:
            assert "CVTown in the official layout" in details["folder"]
    page = json.loads((tmp_path / "pairs/val.json").read_text())
    (tmp_path / "pairs/val.json").write_text(json.dumps(page | {"generator_version": 1}))
    (found,) = failed(tmp_path / "pairs").values()
    assert "drawn by version 1" in found.detail


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path, size):
    Image.open(path).resize(size).save(path)


def sixteen_bit(path):
    Image.fromarray(np.zeros((24, 24), np.uint16)).save(path, "PNG")


def palette(path):
    Image.open(path).convert("P").save(path, "PNG")


PANORAMA, TILE = "streetview/panos/0000002.jpg", "bingmap/19/0000001.jpg"
LIST = "splits/val-19zl.csv"
# What is done to a whole CVUSA: the check that fails then, what it says, what to do.
BROKEN = {
    "a picture is missing": (
        lambda root: (root / PANORAMA).unlink(),
        "val: pictures there",
        r"1 of 4 that the lists name are missing \(first: .*0000002\.jpg\)",
        "get them. CVUSA is free on request",
    ),
    "pictures are missing and their archive is there": (
        lambda root: ((root / PANORAMA).unlink(), (root / "streetview.zip").write_bytes(b"PK")),
        "val: pictures there",
        "1 of 4",
        "unpack streetview.zip",
    ),
    "a picture is cut off": (
        lambda root: truncate(root / TILE),
        "aerial pictures: whole",
        r"0000001\.jpg is cut off or damaged \([0-9,]+ bytes\)",
        "get it again",
    ),
    "a picture is a web page": (
        lambda root: (root / PANORAMA).write_bytes(b"\n<!DOCTYPE html><title>quota</title>"),
        "ground pictures: whole",
        r"0000002\.jpg is a web page: its download failed",
        "get it again",
    ),
    "a picture is a pointer of Git LFS": (
        lambda root: (root / PANORAMA).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "ground pictures: whole",
        "is a pointer of Git LFS",
        "git lfs pull",
    ),
    "a picture is empty": (
        lambda root: (root / PANORAMA).write_bytes(b""),
        "ground pictures: whole",
        r"0000002\.jpg is empty",
        "get it again",
    ),
    "a picture is zeros after a power cut": (
        lambda root: (root / PANORAMA).write_bytes(bytes(5000)),
        "ground pictures: whole",
        "holds zeros where a picture begins",
        "get it again",
    ),
    "the panoramas are a smaller copy": (
        lambda root: resize(root / PANORAMA, (616, 112)),
        "ground pictures: size",
        r"1 of 2 are not 1232 x 224 pixels as the data set's are: .*616 x 112 \(1\)",
        "not a resized or polar copy",
    ),
    "a picture has a palette": (
        lambda root: palette(root / TILE),
        "aerial pictures: whole",
        r"0000001\.jpg is a picture of kind P; only 8-bit RGB and grey",
        "get the data set's own files",
    ),
    "a picture has 16 bits": (
        lambda root: sixteen_bit(root / TILE),
        "aerial pictures: whole",
        "is a picture of kind .*16",
        "get the data set's own files",
    ),
    "the list is shorter": (
        lambda root: (root / LIST).write_text((root / LIST).read_text().split("\n")[0]),
        "val: counts",
        "1 queries, 1 references; the split has 2 queries and 2 references",
        "complete it",
    ),
    "the list is missing": (
        lambda root: (root / LIST).unlink(),
        "val: lists",
        r"val-19zl\.csv is missing, so .* is no CVUSA folder",
        "CVUSA is free on request",
    ),
    "the list leads out of the folder": (
        lambda root: (root / LIST).write_text("../../etc/passwd,b.jpg\n"),
        "val: lists",
        "which is not inside",
        "CVUSA is free on request",
    ),
    "the list has an id twice": (
        lambda root: (root / LIST).write_text((root / LIST).read_text() * 2),
        "val: pictures there",
        "lists the id '0000001' twice",
        "get the lists again",
    ),
    "panoramas and tiles are swapped": (
        lambda root: (
            (root / "bingmap/19").rename(root / "x"),
            (root / "streetview/panos").rename(root / "bingmap/19"),
            (root / "x").rename(root / "streetview/panos"),
        ),
        "ground pictures: size",
        "2 of 2 are not 1232 x 224 pixels",
        "get the originals",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("quick", [False, True])
def test_a_fault_is_named_and_mended(cvusa, fault, quick):
    harm, check, detail, fix = BROKEN[fault]
    harm(cvusa)
    found = failed(cvusa, quick=quick)
    assert check in found
    assert one_sentence(found[check].detail)
    assert re.search(detail, found[check].detail)
    assert fix in found[check].fix


def one_sentence(text):
    return "\n" not in text and 0 < len(text) < 400


# What is done to whole folders of several kinds, and the folder that is given then.
MISPLACED = {
    "a level too high": (
        lambda roots: roots["cvusa"].rename(above(roots["cvusa"]) / "CVUSA").parent,
        "is a level too high: CVUSA lies in",
        "give .*/CVUSA$",
    ),
    "two levels too high": (
        lambda roots: roots["vigor"].rename(above(roots["vigor"], "x") / "VIGOR").parent.parent,
        "is a level too high: VIGOR lies in",
        "give .*/VIGOR$",
    ),
    "a level too low": (
        lambda roots: roots["cvusa"] / "bingmap",
        "is a level too low: it is a part of CVUSA in",
        "give .*/cvusa$",
    ),
    "two levels too low": (
        lambda roots: roots["university"] / "test/query_drone",
        "is a level too low: it is a part of University-1652 in",
        "give .*/University-Release$",
    ),
    "several in one folder": (
        lambda roots: roots["cvusa"].parent,
        "holds several: CVACT in CVACT, University-1652 in University-Release, VIGOR in",
        "give one of them",
    ),
    "nothing there": (
        lambda roots: roots["cvusa"].parent / "absent",
        "there is no folder .*/absent, and .* holds CVACT, University-Release, VIGOR",
        "give the one",
    ),
    "an archive": (
        lambda roots: written(roots["cvusa"].parent / "VIGOR.tar.gz", b"x"),
        "is a file and no folder",
        "unpack it",
    ),
    "archives in a folder": (
        lambda roots: written(roots["cvusa"].parent / "new/Chicago.tar.gz", b"x").parent,
        r"holds archives and no pictures \(Chicago.tar.gz, 1 in all\)",
        "unpack them",
    ),
    "an empty folder": (
        lambda roots: above(roots["cvusa"]),
        "is empty",
        "unpack the data set into it",
    ),
    "a folder of something else": (
        lambda roots: written(roots["cvusa"].parent / "music/songs/a.mp3", b"x").parent.parent,
        "is not a data set that is known: it holds songs",
        "docs/data.md",
    ),
    "two data sets mixed": (
        lambda roots: shutil.copytree(roots["cvact"], roots["cvusa"], dirs_exist_ok=True),
        "has marks of CVUSA and CVACT",
        "--dataset cvusa or --dataset cvact",
    ),
    "TransGeo's place of CVACT's list": (
        lambda roots: moved(roots["cvact"], "ACT_data.mat", "ANU_data_small/ACT_data.mat"),
        r"the list ACT_data\.mat of CVACT lies in .*/ANU_data_small, as TransGeo has it",
        "cp .*/ANU_data_small/ACT_data.mat .*/CVACT/$",
    ),
    "TransGeo's folder of CVACT": (
        lambda roots: (
            moved(roots["cvact"], "ACT_data.mat", "ANU_data_small/ACT_data.mat") / "ANU_data_small"
        ),
        "is CVACT's ANU_data_small with the list in it, as TransGeo has it",
        "cp .* and then give .*/CVACT$",
    ),
}


def above(folder, *inner):
    made = (folder.parent / f"above-{folder.name}").joinpath(*inner)
    made.mkdir(parents=True, exist_ok=True)
    return made


def written(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def moved(root, one, other):
    (root / one).rename(root / other)
    return root


@pytest.fixture
def roots(cvusa, cvact, vigor, university):
    """Four whole data sets in one folder."""
    return {"cvusa": cvusa, "cvact": cvact, "vigor": vigor, "university": university}


@pytest.mark.parametrize("fault", MISPLACED)
def test_another_folder_than_the_data_sets_is_recognised(roots, fault):
    place, detail, fix = MISPLACED[fault]
    (found,) = examine_data(place(roots))
    assert found.passed is False
    assert one_sentence(found.detail)
    assert re.search(detail, found.detail)
    assert re.search(fix, found.fix)


def test_mixed_data_sets_can_be_told_apart_by_name(roots):
    shutil.copytree(roots["cvact"], roots["cvusa"], dirs_exist_ok=True)
    assert failed(roots["cvusa"], dataset="cvusa", split="val") == {}
    assert failed(roots["cvusa"], dataset="cvact", split="val") == {}
    (found,) = examine_data(roots["cvact"], "university")
    assert "is not University-1652: it holds ANU_data_small; it has marks of CVACT" in found.detail
    assert found.fix == "give --dataset cvact"


def test_corrected_labels_under_the_originals_names_are_noticed(vigor):
    shutil.rmtree(vigor / "splits")
    (vigor / "splits__corrected").rename(vigor / "splits")
    for path in (vigor / "splits").rglob("*__corrected.txt"):
        path.rename(path.with_name(path.name.replace("__corrected", "")))
    (found,) = failed(vigor).values()
    assert found.check == "label version in splits"
    assert "are named as the original labels are, and hold others: Chicago 0.1110" in found.detail
    assert "splits__corrected" in found.fix
    assert "same-test-corrected" in found.fix


def test_labels_of_nobodys_resolution_are_noticed(vigor):
    for path in (vigor / "splits/Seattle").glob("*d.txt"):
        lines = [line.split() for line in path.read_text().splitlines()]
        for words in lines:
            words[2::3] = [str(2 * float(word)) for word in words[2::3]]
        path.write_text("\n".join(map(" ".join, lines)))
    (found,) = failed(vigor, split="cross-test").values()
    assert "the labels of Seattle are not the original ones: " in found.detail


def test_a_vigor_whose_city_is_missing_is_named(vigor):
    shutil.rmtree(vigor / "SanFrancisco")
    found = failed(vigor)
    assert found["cross-test: lists"].detail.startswith(f"{vigor} has no pictures of SanFrancisco")
    assert "cross-train: lists" not in found


def test_a_university_whose_gallery_lacks_a_building_is_named(university):
    shutil.rmtree(university / "test/gallery_satellite/0002")
    (found,) = failed(university).values()
    assert found.check == "d2s: lists"
    assert "no picture of the building 0002" in found.detail


def test_extra_files_are_named_and_fail_nothing(university):
    (university / "test/query_drone/0001/Thumbs.db").write_bytes(b"x")
    found = {one.check: one for one in examine_data(university)}
    assert found["extra files"].passed is None
    assert "1 that no list names" in found["extra files"].detail
    assert "Thumbs.db" in found["extra files"].detail
    assert failed(university) == {}


def test_a_file_that_may_not_be_read_is_named(cvusa, monkeypatch):
    opened = Path.open

    def refuse(self, *arguments, **options):
        if self == cvusa / PANORAMA:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    found = failed(cvusa)["ground pictures: whole"]
    assert "0000002.jpg cannot be read (Permission denied)" in found.detail
    assert found.fix == "give yourself the right to read it"


def test_pins_are_those_of_the_suites():
    for suite in map(load_suite, suite_names()):
        if suite.dataset != "cvtown":
            counts = suite.pairs, suite.references or suite.pairs
            assert PINNED[suite.dataset, suite.split] == counts
    assert KNOWN.keys() == DATASETS.keys()
    for name, known in KNOWN.items():
        assert set(known.splits) <= DATASETS[name].SPLITS.keys()


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", "data", *map(str, arguments)])


def test_the_command_prints_a_line_a_check_and_what_to_do(cvusa):
    whole = run(cvusa)
    assert whole.exit_code == 0
    assert "none of 9 checks failed" in whole.output
    (cvusa / PANORAMA).write_bytes(b"")
    broken = run(cvusa, "--quick", "--split", "val")
    assert broken.exit_code == 1
    lines = broken.output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAILED"))
    assert lines[at].split()[1:4] == ["ground", "pictures:", "whole"]
    assert lines[at + 1].split(": ", 1)[0].strip() == "to do"


def test_json_is_one_document(cvusa):
    (cvusa / TILE).unlink()
    result = run(cvusa, "--json")
    assert result.exit_code == 1
    page = json.loads(result.stdout)
    assert page["failed"] == 1
    assert page["dataset"] is None
    (found,) = [one for one in page["findings"] if one["passed"] is False]
    assert found["check"] == "val: pictures there"
    assert found["fix"]


def test_names_that_a_terminal_would_obey_are_shown_plainly(university):
    name = "a\x1b[31m\nb\udcff.jpg"
    (university / "test/query_drone/0001" / name).write_bytes(b"x")
    result = run(university)
    assert result.exit_code == 1
    assert "names no file" in result.output
    assert "\x1b" not in result.output
    assert json.loads(run(university, "--json").stdout)["failed"] >= 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "cvuas"], "Did you mean 'cvusa'"),
        (["--split", "test"], "unknown split of cvusa 'test'"),
        (["--dataset", "cvusa", "--split", "vall"], "Did you mean 'val'"),
    ],
)
def test_unknown_names_get_the_nearest(cvusa, arguments, told):
    result = run(cvusa, *arguments)
    assert result.exit_code == 1
    assert told in result.output
