import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.datasets import load_dataset
from cvgl_bench.datasets.base import ID
from cvgl_bench.datasets.vigor import CITIES, SPLITS, read_labels, read_tiles
from cvgl_bench.errors import DataError

NAME = "abcDEF-_012,41.877949,-87.689396,.jpg"
TILE = "satellite_41.877971796211014_-87.68943505304125.png"
LINE = " ".join([NAME, *[f"{TILE} 23.0 -29.0"] * 4])


@pytest.mark.parametrize("layout", ["official", "sample4geo"])
@pytest.mark.parametrize("labels", ["original", "corrected"])
def test_both_layouts_and_both_label_versions_are_read_alike(make_vigor, layout, labels):
    root = make_vigor(layout=layout, labels=(labels,))
    mark = "" if labels == "original" else "-corrected"
    dataset = load_dataset("vigor", root, f"same-test{mark}")
    assert len(dataset.pairs) == 3 * len(CITIES)
    assert len(dataset.references) == 9 * len(CITIES)
    first = dataset.pairs[0]
    assert first.id == "Chi-pano_000000000000"
    assert (first.ground_position.latitude, first.ground_position.longitude) == (
        40.00002,
        -80.00003,
    )
    (own,) = dataset.gallery.true[first.id]
    tile = dataset.references[own]
    assert (tile.position.latitude, tile.position.longitude) == (40, -80)
    assert first.aerial == tile.picture
    assert first.aerial.is_file()
    others = dataset.gallery.semi_positive[first.id]
    assert len({own, *others}) == 4
    with pytest.raises(DataError, match=r"is missing, so .* is no VIGOR folder with"):
        load_dataset("vigor", root, "same-test-corrected" if not mark else "same-test")


def test_two_panoramas_share_a_tile_and_most_tiles_have_none(make_vigor):
    dataset = load_dataset("vigor", make_vigor(), "cross-test")
    assert {pair.ground.parent.parent.name for pair in dataset.pairs} == {"Chicago", "SanFrancisco"}
    true = [rows[0] for rows in dataset.gallery.true.values()]
    assert len(dataset.references) == 18
    assert (len(true), len(set(true))) == (8, 6)


def test_the_halves_of_a_city_are_its_whole(make_vigor):
    root = make_vigor()
    halves = [load_dataset("vigor", root, f"same-{part}") for part in ("train", "test")]
    ids = [{pair.id for pair in half.pairs} for half in halves]
    assert not ids[0] & ids[1]
    whole = [load_dataset("vigor", root, f"cross-{part}") for part in ("train", "test")]
    assert ids[0] | ids[1] == {pair.id for half in whole for pair in half.pairs}
    assert halves[0].references == halves[1].references


def test_corrected_lists_are_found_where_users_put_them(make_vigor):
    root = make_vigor(labels=("corrected",))
    for name in ("splits_corrected", "splits"):
        (root / "splits__corrected").rename(root / name)
        assert len(load_dataset("vigor", root, "cross-train-corrected").pairs) == 8
        (root / name).rename(root / "splits__corrected")


def test_the_town_in_vigors_layout_is_read(tmp_path):
    from dataclasses import replace

    from cvgl_bench.town import write_town
    from cvgl_bench.town.order import SIZES, Order

    size = replace(SIZES["small"], panorama=(12, 24), aerial=16)
    root = tmp_path / "town"
    assert write_town(Order(root, "val", 3, size=size, form="vigor")) == 0
    whole = load_dataset("vigor", root, "town-val")
    assert len(whole.pairs) == 3
    halves = [load_dataset("vigor", root, f"town-val-{part}") for part in ("train", "test")]
    assert [len(half.pairs) for half in halves] == [2, 1]
    assert halves[1].references == whole.references
    assert len(whole.references) > 4
    for pair in whole.pairs:
        (own,) = whole.gallery.true[pair.id]
        centre = whole.references[own].position
        assert abs(centre.latitude - pair.ground_position.latitude) < 0.001
    with pytest.raises(DataError, match="TestTown"):
        load_dataset("vigor", root, "town-test")


def test_missing_pictures_and_folders_are_named(make_vigor):
    root = make_vigor()
    next((root / "Chicago/satellite").iterdir()).unlink()
    with pytest.raises(DataError, match=r"1 of the 48 pictures that vigor lists are missing"):
        load_dataset("vigor", root, "same-test")
    (root / "Seattle/panorama").rename(root / "Seattle/panoramas")
    with pytest.raises(DataError, match="no pictures of Seattle: neither Seattle/panorama"):
        load_dataset("vigor", root, "same-test")
    (root / "splits/Seattle/satellite_list.txt").unlink()
    with pytest.raises(DataError, match=r"satellite_list\.txt is missing, the list"):
        load_dataset("vigor", root, "same-test")


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("same_area_balanced_test", lambda text: text + text, "lists the id .* twice"),
        (
            "same_area_balanced_test",
            lambda text: text.replace(".jpg ", ".jpg"),
            "line 1: a panorama",
        ),
        ("same_area_balanced_test", lambda text: "", "lists no pair|is in no label file"),
        ("same_area_balanced_test", lambda text: text.replace("Chi-", "../"), "name of a panorama"),
        ("satellite_list", lambda text: text.split("\n")[0], "which is not in .*satellite_list"),
        ("satellite_list", lambda text: text + text, "is there twice"),
        ("satellite_list", lambda text: text + "../../passwd.png", "is no name of a tile"),
        ("satellite_list", lambda text: text + "satellite_95.0_-80.0.png", "nowhere on the earth"),
    ],
)
def test_damaged_lists_are_refused(make_vigor, file, change, told):
    root = make_vigor()
    cities = ("Chicago",) if "lists no" not in told else CITIES
    for city in cities:
        path = root / "splits" / city / f"{file}.txt"
        path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=told):
        load_dataset("vigor", root, "same-test")


PIECES = [*"abAB01.,-_ /=\\\t\n\r\0", "satellite_", ".png", "..", "1e9", "nan", "inf"]
hostile = st.lists(st.sampled_from([*PIECES, "\u2028", "\ud800", TILE, NAME]), max_size=12).map(
    "".join
)


def read(tmp_path_factory, reader, text):
    """What a reader makes of a file with this text; the sentence if it refuses it."""
    path = tmp_path_factory.mktemp("lists") / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        return list(reader(path))
    except DataError as error:
        return str(error)


@settings(max_examples=100)
@given(st.one_of(hostile, st.binary(max_size=80)))
def test_no_text_becomes_a_path_out_of_the_folder(tmp_path_factory, text):
    for reader in (read_tiles, read_labels):
        found = read(tmp_path_factory, reader, text)
        if isinstance(found, str):
            assert "list.txt" in found
            continue
        for one in found:
            for name in [one] if isinstance(one, str) else [one.panorama, *one.tiles]:
                assert not {"/", "\\", "\0", " "} & set(name)
                assert not name.startswith(".")


@settings(max_examples=100)
@given(st.integers(0, 12), hostile)
def test_a_line_with_one_word_replaced_is_read_or_refused_by_number(tmp_path_factory, place, word):
    words = LINE.split(" ")
    words[place] = word
    found = read(tmp_path_factory, read_labels, "\n" + " ".join(words))
    if isinstance(found, str):
        assert "line " in found or "cannot be read" in found
        return
    for label in found:
        assert ID.fullmatch(label.id)
        assert len(label.tiles) == 4


def test_a_line_says_what_it_says(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text(f"{LINE}\r\n\r\n")
    (label,) = read_labels(path)
    assert label.id == "abcDEF-_012"
    assert (label.position.latitude, label.position.longitude) == (41.877949, -87.689396)
    assert label.tiles == (TILE,) * 4
    assert label.offsets == ((23.0, -29.0),) * 4


def test_every_split_of_a_real_city_says_its_labels():
    named = {split for split, wanted in SPLITS.items() if wanted.labels == "corrected"}
    assert named == {split for split in SPLITS if split.endswith("-corrected")}
    assert len(named) == 4
