import csv
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Geod

from cvgl_bench.errors import DataError
from cvgl_bench.town import build_town, render_aerial, render_panorama, write_town
from cvgl_bench.town.layout import SPACING_METRES
from cvgl_bench.town.panorama import CAMERA_METRES, look_around
from cvgl_bench.town.plots import Footprint, solid_row
from cvgl_bench.town.rays import CROWN, CROWN_FIELDS, GROUND, SKY, SOLID, SOLID_FIELDS
from cvgl_bench.town.scene import assemble, lawn
from cvgl_bench.town.world import coordinates, district_cell

SIDE, CENTRE = 256.0, np.array([128.0, 128.0])
SIZE = (112, 616)
RED = (0.9, 0.05, 0.05)
SMALL = {"panorama_size": (28, 154), "aerial_size": 64}


def bearing(degrees, metres):
    radians = np.radians(degrees)
    return CENTRE + metres * np.array([np.sin(radians), np.cos(radians)])


def tower(place, *, width=6.0, height=20.0):
    base = Footprint(np.asarray(place), np.array([1.0, 0.0]), width, width)
    return solid_row(base, height, (RED, RED))


def town_of(*rows):
    return lawn(SIDE, np.array([*rows], SOLID_FIELDS))


def digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def district():
    return build_town(5)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("town") / "set"
    return write_town(root, pairs=6, seed=5, **SMALL)


@settings(max_examples=15, deadline=None)
@given(degrees=st.floats(-179, 179), metres=st.floats(25, 90), height=st.floats(4, 15))
def test_a_tower_stands_at_its_bearing_and_between_its_elevations(degrees, metres, height):
    town = town_of(tower(bearing(degrees, metres), width=4.0, height=height))
    _, surface, _, _ = look_around(town, *CENTRE, size=(448, 2464))
    rows, columns = np.nonzero(surface == SOLID)
    offset = ((columns + 0.5) / 2464 * 360 - degrees) % 360 - 180
    elevation = 32.6 - (rows + 0.5) / 448 * 65.2
    reach, pixel = np.sqrt(8.0), 65.2 / 448
    half_width = np.degrees(np.arcsin(reach / metres))
    assert (offset.min() + offset.max()) / 2 == pytest.approx(0, abs=0.15 * half_width + pixel)
    assert 0.7 * half_width - pixel < (offset.max() - offset.min()) / 2 < half_width + pixel
    near, far = metres - reach, metres + reach
    top, foot = (np.degrees(np.arctan2(up, [far, near])) for up in (height - 2.5, -2.5))
    assert top[0] - pixel < elevation.max() < top[1] + pixel
    assert foot[1] - pixel < elevation.min() < foot[0] + pixel


@pytest.mark.parametrize(("degrees", "column"), [(0, 308), (90, 462), (-90, 154), (45, 385)])
def test_north_is_the_centre_column_and_east_right_of_it(degrees, column):
    town = town_of(tower(bearing(degrees, 30), height=12))
    picture = render_panorama(town, *CENTRE, np.random.default_rng(0), size=SIZE).astype(int)
    redness = picture[..., 0] - picture[..., 1:].max(axis=2)
    rows, columns = np.nonzero(redness > redness.max() / 2)
    assert columns.mean() == pytest.approx(column - 0.5, abs=1.5)
    # 9.5 m above the camera and 2.5 m below it, seen from 27 to 33 m.
    expected = [(32.6 - np.degrees(np.arctan2(up, 28.5))) / 65.2 * 112 for up in (9.5, -2.5)]
    assert (rows.min(), rows.max()) == pytest.approx(expected, abs=3)


def test_the_same_tower_is_at_the_right_pixel_of_the_tile():
    town = town_of(tower(bearing(60, 25), height=3))
    tile = render_aerial(town, *CENTRE, np.random.default_rng(1), size=256, metres_per_pixel=0.3)
    tile = tile.astype(int)
    rows, columns = np.nonzero(tile[..., 0] - tile[..., 1:].max(axis=2) > 40)
    east, north = 25 * np.sin(np.radians(60)), 25 * np.cos(np.radians(60))
    assert columns.mean() == pytest.approx(127.5 + east / 0.3, abs=1)
    assert rows.mean() == pytest.approx(127.5 - north / 0.3, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(6 / 0.3, abs=2)


def test_the_height_and_object_rasters_show_the_same_tower():
    place = bearing(-30, 40)
    town = town_of(tower(bearing(90, 60)), tower(place, height=17))
    column, row = int(place[0] / 0.25), int((SIDE - place[1]) / 0.25)
    assert town.height[row, column] == 17
    assert town.objects[row, column] == 2
    assert (town.objects == 2).sum() * 0.25**2 == pytest.approx(36, abs=1)


def test_a_nearer_tower_hides_a_farther_one():
    near, far = tower(bearing(0, 20), height=15), tower(bearing(0, 60), height=15)
    _, surface, thing, _ = look_around(town_of(far, near), *CENTRE, size=SIZE)
    assert set(np.unique(thing[surface == SOLID])) == {1}


def test_a_crown_hangs_between_sky_and_ground():
    crowns = np.array([(*bearing(0, 20), 6.0, 2.0, 1.5, (0.2, 0.4, 0.1))], CROWN_FIELDS)
    _, surface, _, _ = look_around(lawn(SIDE, crowns=crowns), *CENTRE, size=SIZE)
    column = surface[:, 308]
    kinds = [kind for i, kind in enumerate(column) if i == 0 or kind != column[i - 1]]
    assert kinds == [SKY, CROWN, SKY, GROUND]


def test_the_ground_is_where_its_elevation_says():
    distance, surface, _, _ = look_around(lawn(SIDE), *CENTRE, size=SIZE)
    elevation = np.radians(32.6 - (np.arange(112) + 0.5) / 112 * 65.2)
    assert (surface[:56] == SKY).all()
    assert (surface[56:] == GROUND).all()
    expected = np.broadcast_to(CAMERA_METRES / np.tan(-elevation[56:, None]), (56, 616))
    np.testing.assert_allclose(distance[56:], expected)


def test_turning_the_scene_by_90_degrees_turns_the_panorama_by_a_quarter(district):
    def turned(place, axis):
        east, north = place
        return (north, SIDE - east), (axis[1], -axis[0])

    rng = np.random.default_rng(3)
    rows, turned_rows = [], []
    for place in CENTRE + rng.uniform(15, 90, (12, 2)) * rng.choice([-1, 1], (12, 2)):
        axis, height = np.array([0.8, 0.6]), rng.uniform(5, 20)
        row = solid_row(Footprint(place, axis, 12, 7), height, (RED, RED), pitch=(0.5, 0.7))
        new_place, new_axis = turned(place, axis)
        rows.append(row)
        turned_rows.append((*new_place, *new_axis, *row[4:]))
    before = look_around(town_of(*rows), *CENTRE, size=SIZE)
    after = look_around(town_of(*turned_rows), *CENTRE, size=SIZE)
    for old, new in zip(before, after, strict=True):
        rolled = np.roll(old, SIZE[1] // 4, axis=1)
        assert np.isclose(rolled, new).mean() > 0.999
        assert np.isclose(old, new).mean() < 0.999


def test_painted_ground_turns_with_the_scene():
    albedo = np.full((1024, 1024, 3), 90, np.uint8)
    kinds = np.full((1024, 1024), 2, np.uint8)
    albedo[:512, 512:] = (200, 40, 40)
    reds = []
    for quarter in range(2):
        town = assemble(np.rot90(albedo, -quarter).copy(), kinds)
        picture = render_panorama(town, *CENTRE, np.random.default_rng(0), size=SIZE).astype(int)
        reds.append((picture[64:, :, 0] - picture[64:, :, 1] > 30).mean(axis=0))
    assert reds[0][312:458].min() > 0.9
    assert reds[0][:304].max() < 0.1
    np.testing.assert_allclose(np.roll(reds[0], 154), reds[1], atol=0.1)


def test_another_seed_or_district_is_another_town_and_the_same_seed_the_same():
    first, again = (build_town(5, side_metres=256, cameras=4) for _ in range(2))
    np.testing.assert_array_equal(first.albedo, again.albedo)
    np.testing.assert_array_equal(first.solids, again.solids)
    np.testing.assert_array_equal(first.cameras, again.cameras)
    for seed, number in ((6, 0), (5, 1)):
        another = build_town(seed, district=number, side_metres=256, cameras=4)
        assert (first.albedo != another.albedo).mean() > 0.5
        assert not np.array_equal(first.cameras, another.cameras)


def test_cameras_stand_apart_on_streets_under_open_sky(district):
    gaps = np.hypot(*(district.cameras[:, None] - district.cameras[None]).transpose(2, 0, 1))
    assert gaps[~np.eye(len(gaps), dtype=bool)].min() >= SPACING_METRES >= 20
    columns = (district.cameras[:, 0] / 0.25).astype(int)
    rows = ((district.side_metres - district.cameras[:, 1]) / 0.25).astype(int)
    assert set(district.kinds[rows, columns]) <= {2, 4}
    assert (district.height[rows, columns] == 0).all()


def test_tile_and_panorama_are_taken_on_different_days(district):
    x, y = district.cameras[0]
    first, second = (render_aerial(district, x, y, np.random.default_rng(k)) for k in (0, 1))
    assert np.abs(first.astype(int) - second).mean() > 5


def test_the_size_of_a_panorama_does_not_change_what_it_shows(district):
    x, y = district.cameras[1]
    small = render_panorama(district, x, y, np.random.default_rng(2))
    large = render_panorama(district, x, y, np.random.default_rng(2), size=(224, 1232))
    assert small.shape == (112, 616, 3)
    assert large.shape == (224, 1232, 3)
    reduced = np.asarray(Image.fromarray(large).resize((616, 112), Image.Resampling.BOX))
    ground = np.s_[60:]
    assert np.abs(reduced[ground].astype(int) - small[ground]).mean() < 12


def test_a_camera_outside_the_town_is_refused(district):
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="outside the town"):
        render_panorama(district, -1.0, 10.0, rng)
    with pytest.raises(DataError, match="outside the town"):
        render_aerial(district, 10.0, 5000.0, rng)


def test_a_written_town_has_cvusas_layout(written):
    with (written / "splits/val-19zl.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[5] == [
        "bingmap/19/0000006.jpg",
        "streetview/panos/0000006.jpg",
        "streetview/annotations/0000006.png",
    ]
    assert len(rows) == 6
    for aerial, ground, _ in rows:
        for path, size in ((aerial, (64, 64)), (ground, (154, 28))):
            with Image.open(written / path) as picture:
                assert picture.size == size
    record = json.loads((written / "town.json").read_text())
    assert (record["name"], record["seed"], record["pairs"]) == ("cvtown", 5, 6)
    assert {path.name for path in written.iterdir()} == {
        "bingmap",
        "split_locations",
        "splits",
        "streetview",
        "town.json",
    }


def test_workers_change_no_byte(written, tmp_path):
    write_town(tmp_path / "set", pairs=6, seed=5, workers=2, **SMALL)
    assert digests(tmp_path / "set") == digests(written)


def test_a_pair_is_the_same_whatever_the_number_of_pairs(written, tmp_path):
    write_town(tmp_path / "set", pairs=2, seed=5, **SMALL)
    few, many = digests(tmp_path / "set"), digests(written)
    pictures = {name for name in few if name.endswith(".jpg")}
    assert len(pictures) == 4
    assert {name: few[name] for name in pictures} == {name: many[name] for name in pictures}


def test_positions_on_the_globe_are_as_far_apart_as_in_metres(district, written):
    with (written / "split_locations/all.csv").open() as file:
        rows = [[float(field) for field in row] for row in csv.reader(file)]
    assert [len(row) for row in rows] == [5] * 6
    for first, second in [(0, 1), (2, 5), (3, 4)]:
        *_, metres = Geod(ellps="WGS84").inv(
            rows[first][3], rows[first][2], rows[second][3], rows[second][2]
        )
        expected = np.hypot(*(district.cameras[first] - district.cameras[second]))
        assert metres == pytest.approx(expected, abs=0.1)
    assert all(row[:2] == row[2:4] for row in rows)


def test_distances_stay_true_five_kilometres_out():
    east, north = (
        np.array([[5000.0, 5000.0], [5800.0, 5000.0]]),
        np.array([[0.0, 0.0], [0.0, 800.0]]),
    )
    for ends in (east, north):
        (a, b), (c, d) = coordinates(ends)
        *_, metres = Geod(ellps="WGS84").inv(b, a, d, c)
        assert metres == pytest.approx(800, abs=0.1)


def test_no_two_districts_share_a_cell():
    cells = [district_cell(number) for number in range(400)]
    assert len(set(cells)) == 400
    assert max(max(abs(column), abs(row)) for column, row in cells) == 10


def test_a_finished_town_is_left_alone_and_a_begun_or_damaged_one_is_finished(tmp_path):
    root = tmp_path / "set"
    write_town(root, pairs=2, seed=5, **SMALL)
    whole = digests(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.jpg")}
    write_town(root, pairs=2, seed=5, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.jpg")} == times
    (root / "streetview/panos/0000001.jpg").unlink()
    write_town(root, pairs=2, seed=5, **SMALL)
    assert digests(root) == whole
    (root / ".unfinished").mkdir()
    (root / "town.json").rename(root / ".unfinished" / "town.json")
    (root / "bingmap/19/0000002.jpg").unlink()
    write_town(root, pairs=2, seed=5, **SMALL)
    assert digests(root) == whole


def test_a_folder_with_something_else_in_it_is_refused(written, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="Nothing was written"):
        write_town(tmp_path, pairs=1, seed=5, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(DataError, match="Nothing was written"):
        write_town(written, pairs=6, seed=4, **SMALL)


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"aerial_size": 0}, {"workers": 0}])
def test_numbers_that_make_no_town_are_refused(wrong, tmp_path):
    with pytest.raises(DataError, match="at least 1"):
        write_town(tmp_path / "set", **{"pairs": 1, "seed": 0} | wrong)


def test_progress_adds_up_to_the_number_of_pairs(tmp_path):
    seen = []
    write_town(tmp_path / "set", pairs=7, seed=5, progress=seen.append, **SMALL)
    assert seen == [5, 2]
