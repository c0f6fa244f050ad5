import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import normalize

from cvgl_bench.cli import main
from cvgl_bench.datasets.base import Position
from cvgl_bench.embedding_store import EmbeddingStore
from cvgl_bench.errors import DataError
from cvgl_bench.locating import Embedding, open_gallery
from cvgl_bench.nearest_tiles import answer, ranks_of
from cvgl_bench.own_pictures import check_photos
from cvgl_bench.ranking import TIE_TOLERANCE
from cvgl_bench.tile_positions import find_positions

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
MODEL = """
import torch
from torch.nn.functional import normalize


class Base:
    name, preprocessing, weights_sha256 = "own", "mean colour", ""

    def encode_aerial(self, images):
        return normalize(images.mean(dim=(2, 3)) - 0.5)

    def encode_ground(self, images):
        return self.encode_aerial(images)


class Told(Base):
    def encode_ground(self, images, fov_degrees):
        return normalize(torch.tensor([[fov_degrees, 1.0, 0.0]]).repeat(len(images), 1))


class Broken(Base):
    def encode_ground(self, images):
        return self.encode_aerial(images) * torch.nan


class Narrow(Base):
    def encode_ground(self, images):
        return normalize(self.encode_aerial(images)[:, :2])
"""


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def plain(path, colour, size=(40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a gallery of three colours, a photo of each, and models."""
    monkeypatch.chdir(tmp_path)
    for name, colour in COLOURS.items():
        plain(tmp_path / "tiles" / "deep" / f"{name}.png", colour)
        plain(tmp_path / "photos" / f"my-{name}.png", colour, (64, 48))
    (tmp_path / "own.py").write_text(MODEL)
    return tmp_path


def locate(*arguments, model="mean-color"):
    return run("locate", *arguments, "--gallery", "tiles", "--model", model, "--device", "cpu")


def found(*arguments, **options):
    result = locate(*arguments, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_each_photo_gets_its_most_similar_tiles(here):
    page = found("photos", "--top", "2")
    for photo in page["photos"]:
        name = photo["photo"].removeprefix("photos/my-")
        first, second = photo["answers"]
        assert first["tile"] == f"deep/{name}"
        assert first["score"] == pytest.approx(1, abs=1e-6)
        assert (first["rank"], second["rank"]) == (1, 2)
        assert first["score"] > second["score"]
        assert not first["tied"]


def test_a_table_a_photo_is_printed(here):
    result = locate("photos/my-red.png")
    assert result.exit_code == 0
    assert "mean-color: 1 photo among 3 tiles of tiles" in result.stdout
    assert re.search(r"\| +1 \| +1\.0000 \| deep/red\.png +\|", result.stdout)
    assert "latitude" not in result.stdout
    assert "nobody says where the tiles lie" in result.stderr


def test_a_table_of_positions_gives_coordinates_and_distances(here):
    (here / "places.csv").write_text(
        "\ufefflongitude,latitude,file,remark\n"
        "8.0,50.0,deep/red.png,a\n8.0,50.001,./deep/green.png,b\n0,0,deep/none.png,c\n"
    )
    result = locate("photos/my-red.png", "--positions", "places.csv", "--json")
    page = json.loads(result.stdout)
    lines = {line["tile"]: line for line in page["photos"][0]["answers"]}
    assert lines["deep/green.png"]["metres_from_best"] == pytest.approx(111.2, abs=0.2)
    assert lines["deep/red.png"]["latitude"] == 50
    assert lines["deep/blue.png"]["latitude"] is None
    assert "has the places of 2 of 3 tiles. 1 line of it is of no tile here." in result.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must begin with a line"),
        ("file,lat,lon\n", "must begin with a line"),
        ("file,latitude,longitude\nred.png,1,1\n", "a place for none of the tiles"),
        ("file,latitude,longitude\ndeep/red.png,91,1\n", "line 2: '91', '1' are no latitude"),
        ("file,latitude,longitude\ndeep/red.png,nan,1\n", "are no latitude"),
        ("file,latitude,longitude\ndeep/red.png,1\n", "2 fields where the first line has 3"),
        ("file,latitude,longitude\ndeep/red.png,1,1\ndeep/red.png,1,1\n", "listed twice"),
    ],
)
def test_a_wrong_table_of_positions_is_refused(text, sentence, here):
    (here / "places.csv").write_text(text)
    result = locate("photos", "--positions", "places.csv")
    assert result.exit_code == 1
    assert sentence in result.stderr


@settings(max_examples=100)
@given(
    rows=st.lists(
        st.lists(
            st.text(max_size=6) | st.sampled_from(["a.png", "1.5", "-0", '"', "\0"]), max_size=4
        ),
        max_size=4,
    )
)
def test_no_table_of_positions_brings_anything_but_a_sentence(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    lines = ["file,latitude,longitude", *(",".join(row) for row in rows)]
    (folder / "places.csv").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        places = find_positions(folder, ["a.png"], folder / "places.csv").places
    except DataError:
        return
    assert places[0].exists


def test_vigors_names_say_where_tiles_lie(tmp_path):
    names = [
        *("a/satellite_41.85_-87.64.png", "satellite_47.6133_-122.3456.png"),
        *("satellite_99.0_0.0.png", "satellite_1_2_3.png", "other.png"),
    ]
    assert find_positions(tmp_path, names).places == (
        Position(41.85, -87.64),
        Position(47.6133, -122.3456),
        None,
        None,
        None,
    )


def test_cvtowns_own_lists_say_where_tiles_lie(make_town_folder, monkeypatch):
    root = make_town_folder(3)
    page = json.loads(
        run(
            *("locate", root / "streetview", "--gallery", root / "bingmap", "--device", "cpu"),
            *("--cache", root.parent / "cache", "--model", "mean-color", "--json"),
        ).stdout
    )
    assert page["gallery"]["positions_known"] == 3
    line = next(x for x in page["photos"][0]["answers"] if x["tile"] == "19/0000002.jpg")
    assert (line["latitude"], line["longitude"]) == (41, -31)


def test_a_data_sets_folder_is_no_gallery(make_town_folder):
    root = make_town_folder(3)
    result = run("locate", root / "streetview", "--gallery", root, "--model", "mean-color")
    assert result.exit_code == 1
    assert "with street pictures beside the tiles. Give --gallery" in result.stderr


def test_equal_tiles_share_a_rank_and_it_is_said(here):
    shutil.copy(here / "tiles/deep/red.png", here / "tiles/another-red.png")
    result = locate("photos/my-red.png", "--top", "2")
    assert result.stdout.count("1= |") == 2
    assert "several tiles share the first rank" in result.stderr
    result = locate("photos", "--top", "1")
    assert "to 1 of 3 photos (first: photos/my-red.png), several tiles share" in result.stderr
    assert "more tiles than are shown share the last rank shown" in result.stderr


def test_a_model_that_says_nothing_is_told_of(here):
    result = locate("photos", model="constant")
    assert result.exit_code == 0
    assert "every tile is equally similar, so that the order says nothing" in result.stderr
    assert "gives all 3 photos the same embedding" in result.stderr
    assert "gives all 3 tiles the same embedding" in result.stderr


def test_a_good_model_is_told_nothing_of(here):
    (here / "places.csv").write_text(
        "file,latitude,longitude\n" + "".join(f"deep/{name}.png,1,1\n" for name in COLOURS)
    )
    result = locate("photos", "--positions", "places.csv")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("model", "sentence"),
    [("Broken", "returned a NaN or an infinity for image 0"), ("Narrow", "2 numbers for a photo")],
)
def test_embeddings_that_cannot_be_compared_are_refused(model, sentence, here):
    result = locate("photos", "--out", "out", model=f"own.py:{model}")
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not (here / "out").exists()


def test_the_field_of_view_reaches_a_model_that_asks(here):
    page = found("photos/my-red.png", "--fov-degrees", "2", model="own.py:Told")
    assert page["fov_degrees"] == 2
    told = normalize(torch.tensor([2.0, 1.0, 0.0]), dim=0)
    tile = normalize(torch.tensor(COLOURS["red"]) / 255 - 0.5, dim=0)
    score = {line["tile"]: line["score"] for line in page["photos"][0]["answers"]}
    assert score["deep/red.png"] == pytest.approx(float(told @ tile), abs=1e-6)


def test_what_the_field_of_view_means_is_said(here):
    plain(here / "wide.png", (9, 9, 200), (128, 32))
    assert "--fov-degrees 360 if it shows all" in locate("wide.png", model="own.py:Told").stderr
    assert "360" not in locate("wide.png", "--fov-degrees", "90", model="own.py:Told").stderr
    result = locate("photos", "--fov-degrees", "90")
    assert "mean-color is not told the field of view" in result.stderr


class Counting:
    name, preprocessing, weights_sha256 = "counting", "mean colour", ""

    def __init__(self):
        self.tiles = self.largest = 0

    def encode_aerial(self, images):
        self.tiles += len(images)
        self.largest = max(self.largest, len(images))
        return normalize(images.mean(dim=(2, 3)) - 0.5)

    def encode_ground(self, images):
        self.largest = max(self.largest, len(images))
        return normalize(images.mean(dim=(2, 3)) - 0.5)


def test_a_gallery_is_embedded_once(here):
    model, store, said = Counting(), EmbeddingStore(here / "kept"), []

    def rows():
        return Embedding(model, "cpu").gallery(open_gallery(here / "tiles"), store, said.append)

    first = rows()
    assert np.array_equal(rows(), first)
    assert model.tiles == 3
    plain(here / "tiles" / "new.png", (9, 99, 199))
    assert len(rows()) == 4
    assert model.tiles == 7
    for array in (here / "kept").glob("*.npy"):
        array.write_bytes(array.read_bytes()[:-4])
    assert not said
    rows()
    assert model.tiles == 11
    assert "It is made again." in said[0]


def test_an_evaluation_of_the_same_tiles_has_embedded_the_gallery(
    make_town_folder, suite_file, tmp_path
):
    root = make_town_folder(3)
    suite = suite_file(name="small-town-c", dataset="cvtown", split="val-small")
    shared = ("--model", "mean-color", "--device", "cpu", "--cache", tmp_path / "cache")
    result = run(
        *("evaluate", suite, "--data", root, "--on-the-fly", "--corruptions", "none", *shared),
        *("--out", tmp_path / "run", "--quiet"),
    )
    assert result.exit_code == 0, result.output
    before = sorted((tmp_path / "cache").iterdir())
    result = run("locate", root / "streetview", "--gallery", root / "bingmap", *shared)
    assert result.exit_code == 0, result.output
    assert sorted((tmp_path / "cache").iterdir()) == before


def test_large_pictures_go_through_the_model_a_few_at_a_time(here, monkeypatch):
    monkeypatch.setattr("cvgl_bench.locating._PIXELS_AT_ONCE", 2 * 64 * 48)
    model = Counting()
    photos = check_photos(sorted((here / "photos").iterdir()))
    assert len(Embedding(model, "cpu").photos(photos)) == 3
    assert model.largest == 2


def test_photos_that_a_camera_has_turned_are_embedded_upright(here):
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = np.zeros((48, 64, 3), np.uint8)
    halves[:24] = 255
    upright = Image.fromarray(halves)
    upright.save(here / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(here / "turned.png", exif=exif)
    one, two = found("upright.png", "turned.png", model="random")["photos"]
    assert one["answers"] == two["answers"]
    assert (one["width"], one["height"]) == (two["width"], two["height"]) == (64, 48)


def test_corrupted_pictures_show_how_the_answer_changes(here):
    (here / "own2.py").write_text(MODEL.replace("- 0.5", "- 0.2"))
    chosen = ("--corruptions", "fog,brightness", "--severities", "1,5", "--format", "png")
    assert run("corrupt", "photos/my-red.png", "--out", "worse", *chosen).exit_code == 0
    page = found("worse/my-red", model="own2.py:Base")
    (series,) = page["series"]
    assert [change["picture"] for change in series["changes"]] == [
        *("fog-1.png", "fog-5.png", "brightness-1.png", "brightness-5.png")
    ]
    lines = {photo["photo"].rpartition("/")[2]: photo["answers"] for photo in page["photos"]}
    assert lines["clean.png"][0]["tile"] == "deep/red.png"
    for change in series["changes"]:
        best = lines[change["picture"]][0]
        assert (change["tile"], change["score"]) == (best["tile"], best["score"])
        rank = {line["tile"]: line["rank"] for line in lines[change["picture"]]}
        assert change["first_rank"] == rank["deep/red.png"]
    assert series["kept"] == sum(change["first_rank"] == 1 for change in series["changes"])
    result = locate("worse", model="own2.py:Base")
    assert f"(first in {series['kept']} of 4 pictures)" in result.stdout
    assert "| brightness" in result.stdout
    # Of the corrupted ones there is no table of their own.
    assert "fog-5.png" not in result.stdout


def test_without_the_untouched_photo_there_is_no_change_to_show(here):
    run("corrupt", "photos/my-red.png", "--out", "worse", "--corruptions", "fog", "--no-sheet")
    page = found("worse/my-red/fog-1.jpg", "worse/my-red/fog-2.jpg")
    assert page["series"] == []
    assert len(page["photos"]) == 2


def test_answers_and_pictures_are_written(here):
    result = locate("photos", "--out", "out", "--top", "2")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((here / "out" / "answers.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert rows[0]["photo"] == "photos/my-blue.png"
    assert rows[0]["tile"] == "deep/blue.png"
    assert rows[0]["latitude"] == ""
    for name, colour in COLOURS.items():
        with Image.open(here / "out" / f"my-{name}.png") as panel:
            pixels = np.array(panel)
        # The photo and the first tile have the colour, and the second tile another.
        assert (pixels == colour).all(axis=-1).sum() == 64 * 48 + 40 * 40
    assert locate("photos", "--out", "out").exit_code == 0


def test_panels_of_corrupted_pictures_lie_in_a_folder_of_the_photo(here):
    few = ("--corruptions", "fog", "--severities", "1", "--no-sheet")
    run("corrupt", "photos", "--out", "worse", *few)
    assert locate("worse", "--out", "out").exit_code == 0
    assert len(list((here / "out").glob("my-*/*.png"))) == 6


def test_panels_do_not_overwrite_each_other_or_anything_else(here):
    plain(here / "more" / "my-red.png", COLOURS["red"])
    result = locate("photos", "more", "--out", "out")
    assert result.exit_code == 1
    assert "would both be out/my-red.png" in result.stderr
    (here / "letters").mkdir()
    (here / "letters" / "letter.txt").write_text("Dear Madam")
    result = locate("photos", "--out", "letters")
    assert result.exit_code == 1
    assert "is not empty and holds no answers" in result.stderr
    assert len(list((here / "letters").iterdir())) == 1


def test_broken_tiles_are_all_named(here):
    (here / "tiles" / "one.png").write_text("no picture")
    (here / "tiles" / "two.jpg").touch()
    result = locate("photos")
    assert result.exit_code == 1
    assert "2 of the 5 tiles cannot be used" in result.stderr


def test_a_truncated_tile_leaves_no_embeddings(here):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)).save(
        here / "tiles" / "cut.jpg"
    )
    data = (here / "tiles" / "cut.jpg").read_bytes()
    (here / "tiles" / "cut.jpg").write_bytes(data[: len(data) // 2])
    result = locate("photos")
    assert result.exit_code == 1
    assert "tiles/cut.jpg" in result.stderr
    assert not list((here / "runs" / "embeddings").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.jpg",), "there is no file or folder 'nowhere.jpg'"),
        (("own.py",), "neither JPEG nor PNG"),
        (("photos", "--model", "mean-colour"), "Did you mean 'mean-color'?"),
        (("photos", "--gallery", "photoz"), "there is no folder 'photoz' of tiles"),
        (("photos", "--positions", "nowhere.csv"), "nowhere.csv cannot be read"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(arguments, sentence, here):
    options = dict(zip(("--gallery", "--model"), ("tiles", "mean-color"), strict=True))
    rest = [each for pair in options.items() if pair[0] not in arguments for each in pair]
    result = run("locate", *arguments, *rest, "--device", "cpu")
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.3, 0.3 + TIE_TOLERANCE / 4, 0.9]), min_size=1),
    st.integers(1, 6),
)
def test_ranks_and_ties_are_those_of_the_similarities(scores, top):
    found_scores = np.array(scores, np.float64)
    tiles = np.stack([found_scores, np.sqrt(1 - found_scores**2)], axis=1).astype(np.float32)
    photo = np.array([[1, 0]], np.float32)
    given_scores = tiles[:, 0].astype(np.float64)
    (one,) = answer(photo, tiles, top)
    order = sorted(range(len(scores)), key=lambda tile: (-given_scores[tile], tile))
    assert list(one.tiles) == order[:top]
    assert one.tied == sum(abs(given_scores - given_scores.max()) <= TIE_TOLERANCE)
    for tile, rank, shared in zip(one.tiles, one.ranks, one.shared, strict=True):
        near = abs(given_scores - given_scores[tile]) <= TIE_TOLERANCE
        assert rank == 1 + sum(given_scores > given_scores[tile] + TIE_TOLERANCE)
        assert shared == (sum(near) > 1)
        assert ranks_of(photo, tiles, tile) == [rank + sum(near) - 1]
    last = abs(given_scores - given_scores[one.tiles[-1]]) <= TIE_TOLERANCE
    assert one.cut == sum(last) - sum(last[list(one.tiles)])
    assert one.says_nothing == (len(scores) > 1 and np.ptp(given_scores) <= TIE_TOLERANCE)
