import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Geod

from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError
from cvgl_bench.seeding import generator
from cvgl_bench.town import vigor
from cvgl_bench.town.layout import CAMERAS, MARGIN_METRES, SIDE_METRES, build_district
from cvgl_bench.town.order import SIZES, TILE_METRES, Order, PictureSize
from cvgl_bench.town.pairs import MOST_ERROR_METRES, position_error
from cvgl_bench.town.regions import (
    MOST_PAIRS,
    coordinates,
    pair_id,
)
from cvgl_bench.town.world import FORMS, write_town

TINY = PictureSize("tiny", (14, 77), (-32.6, 32.6), 32)
TWO_DISTRICTS = CAMERAS + 2
GLOBE = Geod(ellps="WGS84")


def order(root, area="val", pairs=3, **changes):
    return Order(root, area, pairs, **{"seed": 5, "size": TINY} | changes)


def digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def metres_between(first, second):
    """Distances on the globe of (latitude, longitude) pairs, (N, 2) each."""
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    return GLOBE.inv(first[:, 1], first[:, 0], second[:, 1], second[:, 0])[2]


@pytest.fixture(scope="module")
def district():
    return build_district(5, 0, split="val")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two districts of the area val, made by one worker."""
    root = tmp_path_factory.mktemp("town") / "set"
    assert write_town(order(root, pairs=TWO_DISTRICTS)) == 0
    return root


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The first of the two districts, before the second is made."""
    root = tmp_path_factory.mktemp("half") / "set"
    write_town(order(root, pairs=TWO_DISTRICTS), shard=(1, 2))
    return root


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A few panoramas in VIGOR's form."""
    root = tmp_path_factory.mktemp("grid") / "set"
    assert write_town(order(root, pairs=5, form="vigor")) == 0
    return root


# The form pairs.


def test_a_written_area_has_cvusas_layout(written):
    with (written / "splits/val-19zl.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[5] == [
        "bingmap/19/1000006.jpg",
        "streetview/panos/1000006.jpg",
        "streetview/annotations/1000006.png",
    ]
    assert len(rows) == TWO_DISTRICTS
    for aerial, ground, _ in rows:
        for path, size in ((aerial, (32, 32)), (ground, (77, 14))):
            with Image.open(written / path) as picture:
                assert picture.size == size
    page = json.loads((written / "val.json").read_text())
    assert (page["name"], page["seed"], page["pairs"]) == ("cvtown", 5, TWO_DISTRICTS)
    assert (page["aerial_metres_per_pixel"], page["style"]) == (2.4, "temperate")
    assert {path.name for path in written.iterdir()} == {
        "bingmap",
        "split_locations",
        "splits",
        "streetview",
        "val.json",
    }


def test_both_positions_are_written(written, district):
    """The panorama's is the camera's, the tile's a few metres off."""
    table = pd.read_csv(written / "split_locations/val.csv", dtype={"id": str}).iloc[:CAMERAS]
    ground = table[["ground_latitude", "ground_longitude"]].to_numpy()
    aerial = table[["aerial_latitude", "aerial_longitude"]].to_numpy()
    assert table.id[0] == "1000001"
    np.testing.assert_allclose(ground, coordinates("val", district.cameras), atol=1e-9)
    errors = metres_between(ground, aerial)
    assert 0.5 < np.median(errors) < 3.5
    assert errors.max() <= MOST_ERROR_METRES + 0.001


def test_tiles_stay_in_their_district(district):
    reach = TILE_METRES / 2 + MOST_ERROR_METRES
    assert reach <= MARGIN_METRES <= district.cameras.min()
    assert district.cameras.max() <= SIDE_METRES - MARGIN_METRES


def test_no_two_places_of_an_area_are_near(written):
    table = pd.read_csv(written / "split_locations/val.csv")
    places = table[["ground_latitude", "ground_longitude"]].to_numpy()
    first, second = np.triu_indices(len(places), 1)
    assert metres_between(places[first], places[second]).min() > 20


def test_a_position_error_is_normal_and_cut():
    errors = np.array([position_error(generator(k)) for k in range(3000)])
    assert np.hypot(*errors.T).max() <= MOST_ERROR_METRES
    np.testing.assert_allclose(errors.std(axis=0), 1.42, atol=0.08)
    np.testing.assert_allclose(errors.mean(axis=0), 0, atol=0.1)


def test_a_pair_is_the_same_whatever_the_number_of_pairs(written, tmp_path):
    write_town(order(tmp_path / "set", pairs=2))
    few, many = digests(tmp_path / "set"), digests(written)
    pictures = {name for name in few if name.endswith(".jpg")}
    assert len(pictures) == 4
    assert {name: few[name] for name in pictures} == {name: many[name] for name in pictures}
    for name in ("splits/val-19zl.csv", "split_locations/val.csv"):
        assert (written / name).read_text().startswith((tmp_path / "set" / name).read_text())


def test_areas_and_seeds_are_different_towns(tmp_path):
    roots = [tmp_path / name for name in ("val", "test", "other")]
    for root, area, seed in zip(roots, ("val", "test", "val"), (5, 5, 6), strict=True):
        write_town(order(root, area, pairs=1, seed=seed))
    pictures = [sorted(digests(root / "bingmap").values()) for root in roots]
    assert len({*map(tuple, pictures)}) == 3


# Workers, shards, kills.


def test_workers_change_no_byte(written, tmp_path):
    write_town(order(tmp_path / "set", pairs=TWO_DISTRICTS), workers=2)
    assert digests(tmp_path / "set") == digests(written)


def test_shards_change_no_byte(written, tmp_path):
    """In one folder, and made apart, then copied together."""
    one, apart, joined = (tmp_path / name for name in ("one", "apart", "joined"))
    wanted = order(one, pairs=TWO_DISTRICTS)
    assert write_town(wanted, shard=(2, 2)) == 1
    assert not (one / "val.json").exists()
    with pytest.raises(DataError, match="no finished 'val'"):
        load_dataset("cvtown", one, "any-val")
    shutil.copytree(one, joined)
    assert write_town(wanted, shard=(1, 2)) == 0
    assert digests(one) == digests(written)
    assert write_town(replace(wanted, root=apart), shard=(1, 2)) == 1
    shutil.copytree(apart, joined, dirs_exist_ok=True)
    assert write_town(replace(wanted, root=joined), shard=(2, 2)) == 0
    assert digests(joined) == digests(written)


def test_more_shards_than_districts_leave_some_nothing_to_do(tmp_path):
    wanted = order(tmp_path / "set", pairs=1)
    assert write_town(wanted, shard=(3, 3)) == 1
    assert write_town(wanted, shard=(1, 3)) == 0


def test_shards_of_other_towns_do_not_go_together(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_town(order(first, pairs=TWO_DISTRICTS), shard=(2, 2))
    write_town(order(second, pairs=TWO_DISTRICTS + 1), shard=(1, 2))
    shutil.copytree(first, second, dirs_exist_ok=True)
    with pytest.raises(DataError, match="do not go together"):
        write_town(order(second, pairs=TWO_DISTRICTS))


def test_a_killed_run_goes_on_where_it_was(written, tmp_path):
    root = tmp_path / "set"
    code = (
        "import pathlib\n"
        "from cvgl_bench.town.order import Order, PictureSize\n"
        "from cvgl_bench.town.world import write_town\n"
        f"size = PictureSize('tiny', {TINY.panorama}, {TINY.elevation_degrees}, {TINY.aerial})\n"
        f"write_town(Order(pathlib.Path({str(root)!r}), 'val', {TWO_DISTRICTS}, 5, size))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    first = root / ".unfinished/val/parts/00000.json"
    deadline = time.monotonic() + 300
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "val.json").exists()
    done = [root / path for path in json.loads(first.read_text())["pictures"]]
    times = {path: path.stat().st_mtime_ns for path in done}
    write_town(order(root, pairs=TWO_DISTRICTS))
    assert digests(root) == digests(written)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def damaged(part, field, value):
    page = json.loads(part.read_text())
    page[field] = value
    part.write_text(json.dumps(page))


DAMAGES = {
    "empty": lambda part: part.write_bytes(b""),
    "cut": lambda part: part.write_bytes(part.read_bytes()[:-9]),
    "deep": lambda part: part.write_text("[" * 100_000),
    "no lines": lambda part: damaged(part, "lines", {}),
    "sizes short": lambda part: damaged(part, "sizes", []),
    "pictures null": lambda part: damaged(part, "pictures", None),
    "size wrong": lambda part: damaged(part, "sizes", [1] * 80),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_made_again(damage, written, half, tmp_path):
    root = shutil.copytree(half, tmp_path / "set")
    picture = root / "bingmap/19/1000001.jpg"
    picture.write_bytes(picture.read_bytes()[:50])
    DAMAGES[damage](root / ".unfinished/val/parts/00000.json")
    write_town(order(root, pairs=TWO_DISTRICTS))
    assert digests(root) == digests(written)


def test_a_part_that_names_other_files_is_refused_and_touches_none(half, tmp_path):
    root, victim = shutil.copytree(half, tmp_path / "set"), tmp_path / "victim"
    victim.write_text("mine")
    for name in ("../victim", str(victim)):
        part = root / ".unfinished/val/parts/00000.json"
        damaged(part, "pictures", [name])
        damaged(part, "sizes", [0])
        with pytest.raises(DataError, match="not inside"):
            write_town(order(root, pairs=TWO_DISTRICTS))
    assert victim.read_text() == "mine"


def test_a_finished_area_is_left_alone_and_a_damaged_one_is_mended(tmp_path):
    root = tmp_path / "set"
    write_town(order(root))
    whole = digests(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    write_town(order(root))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for name in ("streetview/panos/1000001.jpg", "split_locations/val.csv"):
        for damage in (Path.unlink, lambda path: path.write_bytes(b"")):
            damage(root / name)
            write_town(order(root))
            assert digests(root) == whole
    (root / ".unfinished/val").mkdir(parents=True)
    write_town(order(root))
    assert digests(root) == whole
    assert not (root / ".unfinished").exists()


def test_progress_adds_up_to_the_number_of_pairs(tmp_path):
    wanted, seen = order(tmp_path / "set", pairs=TWO_DISTRICTS), []
    write_town(wanted, shard=(1, 2), progress=seen.append)
    assert sum(seen) == CAMERAS
    for _ in range(2):
        seen.clear()
        write_town(wanted, progress=seen.append)
        assert sum(seen) == TWO_DISTRICTS


# Several areas in one folder, and what is refused.


def test_one_folder_holds_several_areas(written, tmp_path):
    root = tmp_path / "set"
    write_town(order(root, "cross", pairs=1))
    alone = digests(root)
    write_town(order(root, pairs=TWO_DISTRICTS))
    both = digests(root)
    assert both == alone | digests(written)
    assert len(load_dataset("cvtown", root, "any-cross").pairs) == 1
    ids = [pair.id for pair in load_dataset("cvtown", root, "any-val").pairs]
    assert ids == [pair_id("val", number) for number in range(1, TWO_DISTRICTS + 1)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 4}, "the seed 5, not 4"),
        ({"seed": 4, "area": "test"}, "the seed 5, not 4"),
        ({"size": SIZES["small"], "area": "test"}, "the size tiny, not small"),
        ({"form": "vigor", "area": "test"}, "the form pairs, not vigor"),
        ({"pairs": 4}, f"the pairs {TWO_DISTRICTS}, not 4"),
    ],
    ids=str,
)
def test_a_folder_of_another_town_is_refused(written, change, told):
    before = digests(written)
    with pytest.raises(DataError, match=told):
        write_town(replace(order(written, pairs=TWO_DISTRICTS), **change))
    assert digests(written) == before


def test_an_unfinished_folder_of_another_town_is_refused(tmp_path):
    root = tmp_path / "set"
    write_town(order(root, pairs=TWO_DISTRICTS), shard=(2, 2))
    for changed in (order(root, pairs=TWO_DISTRICTS, seed=4), order(root, "test", seed=4)):
        with pytest.raises(DataError, match=r"the seed 5, not 4 \(so says"):
            write_town(changed)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="Nothing was written"):
        write_town(order(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    for path in (tmp_path / "letter.txt", tmp_path / "letter.txt/below"):
        with pytest.raises(DataError, match=r"is a file|cannot write"):
            write_town(order(path))
    (tmp_path / "letter.txt").rename(tmp_path / "val.json")
    with pytest.raises(DataError, match="not what cvgl-bench town wrote"):
        write_town(order(tmp_path))
    (tmp_path / "val.json").write_text("[]")
    with pytest.raises(DataError, match="not what cvgl-bench town wrote"):
        write_town(order(tmp_path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pairs": 0}, "at least 1"),
        ({"pairs": MOST_PAIRS + 1}, "at most 1,000,000"),
        ({"size": replace(TINY, aerial=0)}, "at least 1 for its tile size"),
        ({"size": replace(TINY, panorama=(14, 0))}, "at least 1 for its panorama width"),
        ({"seed": -1}, "from 0"),
        ({"area": "tset"}, "Did you mean 'test'"),
        ({"form": "viogr"}, "Did you mean 'vigor'"),
    ],
    ids=str,
)
def test_what_makes_no_town_is_refused(change, told, tmp_path):
    with pytest.raises(DataError, match=told):
        write_town(replace(order(tmp_path / "set"), **change))
    for wrong in ({"workers": 0}, {"shard": (5, 4)}, {"shard": (0, 4)}):
        with pytest.raises(DataError, match=r"at least 1|no shard"):
            write_town(order(tmp_path / "set"), **wrong)
    assert not (tmp_path / "set").exists()


# The command.


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_says_what_it_did(tmp_path):
    options = ("--split", "val", "--pairs", 2, "--size", "small")
    arguments = ("town", "--out", tmp_path / "set", *options)
    result = run(*arguments, "--shard", "2/2")
    assert result.exit_code == 0
    assert "shard 2 of 2 done; 1 of 1 districts are for other shards" in result.output
    result = run(*arguments)
    assert "2 pairs of the split val, seed 7, size small." in result.output
    assert len(load_dataset("cvtown", tmp_path / "set", "val-small").pairs) == 2
    result = run(*arguments, "--seed", 8)
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert run(*arguments, "--shard", "5/4").exit_code == 2


# The form vigor.


def test_vigors_form_is_no_suites_data(grid):
    with pytest.raises(DataError, match="only the form 'pairs'"):
        load_dataset("cvtown", grid, "any-val")


def labels(root, name="pano_label_balanced"):
    lines = (root / f"splits/ValTown/{name}.txt").read_text().splitlines()
    fields = [line.split(" ") for line in lines]
    return {
        row[0]: [(row[k], float(row[k + 1]), float(row[k + 2])) for k in (1, 4, 7, 10)]
        for row in fields
    }


def positions(root):
    table = pd.read_csv(root / "splits/ValTown/positions.csv", index_col="picture")
    return {name: row.to_numpy() for name, row in table.iterrows()}


@settings(max_examples=60)
@given(place=st.tuples(*[st.floats(64, 448)] * 2).map(np.array))
def test_a_place_is_on_four_tiles_and_in_the_central_quarter_of_the_first(place):
    centres = vigor.tile_centres()
    found = vigor.nearest_tiles(place)
    away = np.abs(centres - place).max(axis=1)
    distances = np.hypot(*(centres - place).T)
    assert away[found].max() <= TILE_METRES / 2 + 1e-9
    assert away[found[0]] <= TILE_METRES / 4 + 1e-9
    assert distances[found[0]] == pytest.approx(distances.min())
    assert (np.diff(distances[found]) >= 0).all()
    # No other tile shows the place, but for one whose very edge runs through it.
    others = np.setdiff1d(np.arange(len(centres)), found)
    assert away[others].min() >= TILE_METRES / 2 - 1e-9


def test_tiles_overlap_by_half_and_stay_in_their_district():
    centres = vigor.tile_centres()
    steps = np.unique(np.diff(np.unique(centres[:, 0])).round(9))
    np.testing.assert_allclose(steps, TILE_METRES / 2)
    assert centres.min() - TILE_METRES / 2 >= 0
    assert centres.max() + TILE_METRES / 2 <= SIDE_METRES


def test_vigors_lists_name_what_is_there(grid):
    tiles = (grid / "splits/ValTown/satellite_list.txt").read_text().splitlines()
    assert len(tiles) == len(set(tiles)) == len(vigor.tile_centres())
    assert {path.name for path in (grid / "ValTown/satellite").iterdir()} == set(tiles)
    named = labels(grid)
    assert {path.name for path in (grid / "ValTown/panorama").iterdir()} == set(named)
    train, test = (labels(grid, f"same_area_balanced_{part}") for part in ("train", "test"))
    assert train | test == named
    assert (len(train), len(test)) == (3, 2)
    assert set(positions(grid)) == set(tiles) | set(named)
    for four in named.values():
        assert {tile for tile, *_ in four} <= set(tiles)


def test_vigors_offsets_are_right_in_metres(grid, district):
    where = positions(grid)
    scale = TILE_METRES / vigor.OFFSET_PIXELS
    for number, (panorama, four) in enumerate(labels(grid).items()):
        _, latitude, longitude, _ = panorama.split(",")
        ground = np.array([float(latitude), float(longitude)])
        np.testing.assert_array_equal(where[panorama], ground)
        expected = coordinates("val", district.cameras[number : number + 1])[0]
        np.testing.assert_allclose(ground, expected, atol=1e-9)
        for rank, (tile, below, left) in enumerate(four):
            north, east = (float(word) for word in tile.removesuffix(".png").split("_")[1:])
            centre = np.array([north, east])
            south = metres_between((ground[0], east), centre)[0] * np.sign(north - ground[0])
            west = metres_between((north, ground[1]), centre)[0] * np.sign(east - ground[1])
            np.testing.assert_allclose((below * scale, left * scale), (south, west), atol=0.01)
            most = vigor.OFFSET_PIXELS / (4 if rank == 0 else 2)
            assert max(abs(below), abs(left)) <= most


def test_vigors_form_is_the_same_in_shards(tmp_path):
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    wanted = order(whole, "test", TWO_DISTRICTS, form="vigor", size=replace(TINY, aerial=8))
    assert write_town(wanted) == 0
    for shard in (2, 1):
        write_town(replace(wanted, root=shards), shard=(shard, 2))
    assert digests(shards) == digests(whole)
    victim = next((shards / "TestTown/satellite").iterdir())
    victim.unlink()
    write_town(replace(wanted, root=shards))
    assert digests(shards) == digests(whole)


def test_every_form_is_offered_by_the_command():
    result = run("town", "--help")
    assert f"[{'|'.join(FORMS)}]" in result.output
