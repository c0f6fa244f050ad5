"""What the two cameras of CVTown see. Run as a script, this file writes its golden pixels anew."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvgl_bench.errors import DataError
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.panorama import CAMERA_METRES, look_around, render_panorama
from cvgl_bench.town.plots import Footprint, solid_row
from cvgl_bench.town.rays import CROWN, CROWN_FIELDS, GROUND, SKY, SOLID, SOLID_FIELDS
from cvgl_bench.town.scene import assemble, lawn

GOLDEN = Path(__file__).parent / "golden/town.npz"
SIDE, CENTRE = 256.0, np.array([128.0, 128.0])
SIZE, SPHERE = (112, 616), (-90.0, 90.0)
RED, PALE, SLATE = (0.9, 0.05, 0.05), (0.8, 0.75, 0.65), (0.3, 0.3, 0.35)
LEAF = (0.3, 0.42, 0.2)


def bearing(degrees, metres):
    radians = np.radians(degrees)
    return CENTRE + metres * np.array([np.sin(radians), np.cos(radians)])


def tower(place, *, width=6.0, height=20.0):
    base = Footprint(np.asarray(place), np.array([1.0, 0.0]), width, width)
    return solid_row(base, height, (RED, RED))


def town_of(*rows):
    return lawn(SIDE, np.array([*rows], SOLID_FIELDS))


def hamlet():
    """Houses with pitched and flat roofs, trunks and crowns around a camera on open ground."""
    rng = np.random.default_rng(11)
    solids, crowns = [], []
    for degrees in range(0, 360, 24):
        place, turn = bearing(degrees + rng.uniform(-6, 6), rng.uniform(14, 90)), rng.uniform(0, 3)
        base = Footprint(place, np.array([np.cos(turn), np.sin(turn)]), *rng.uniform(6, 13, 2))
        pitch = [(-1.0, 0.0), (0.6, 0.6), (-1.0, 0.8)][degrees // 24 % 3]
        solids.append(solid_row(base, rng.uniform(3, 14), (PALE, SLATE), pitch=pitch))
        place, radius = bearing(degrees + 12, rng.uniform(9, 60)), rng.uniform(1.5, 3)
        crowns.append((*place, 2.5 + radius, radius, 0.8 * radius, LEAF))
        trunk = Footprint(place, np.array([1.0, 0.0]), 0.4, 0.4)
        solids.append(solid_row(trunk, 3.0, (SLATE, SLATE)))
    return lawn(SIDE, np.array(solids, SOLID_FIELDS), np.array(crowns, CROWN_FIELDS))


def golden_pictures():
    town = hamlet()
    return {
        "tile": render_aerial(
            town, *CENTRE, np.random.default_rng(1), size=72, metres_per_pixel=0.6
        ),
        "panorama": render_panorama(town, *CENTRE, np.random.default_rng(2), size=(40, 220)),
        "sphere": render_panorama(
            town, *CENTRE, np.random.default_rng(3), size=(48, 96), elevation_degrees=SPHERE
        ),
    }


@pytest.fixture(scope="module")
def town():
    return hamlet()


@settings(max_examples=15)
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


@settings(max_examples=10)
@given(degrees=st.floats(-179, 179), metres=st.floats(6, 60), height=st.floats(4, 40))
def test_on_the_whole_sphere_a_tower_is_at_its_bearing_and_rows(degrees, metres, height):
    town = town_of(tower(bearing(degrees, metres), width=2.0, height=height))
    hits = look_around(town, *CENTRE, size=(832, 1664), elevation_degrees=SPHERE)
    rows, columns = np.nonzero(hits[1] == SOLID)
    offset = ((columns + 0.5) / 1664 * 360 - degrees) % 360 - 180
    elevation, pixel = 90 - (rows + 0.5) / 832 * 180, 180 / 832
    assert np.abs(offset).max() < np.degrees(np.arcsin(np.sqrt(2) / metres)) + pixel
    near, far = metres - np.sqrt(2), metres + np.sqrt(2)
    top, foot = (np.degrees(np.arctan2(up, [far, near])) for up in (height - 2.5, -2.5))
    assert top[0] - pixel < elevation.max() < top[1] + pixel
    assert foot[1] - pixel < elevation.min() < foot[0] + pixel


def test_on_the_whole_sphere_the_ground_is_below_and_the_sky_above(town):
    size = (832, 1664)
    distance, surface, _, _ = look_around(town, *CENTRE, size=size, elevation_degrees=SPHERE)
    assert (surface[-100:] == GROUND).all()
    assert (surface[:100] == SKY).all()
    expected = CAMERA_METRES * np.tan(np.radians((np.arange(100) + 0.5) * 180 / 832))
    np.testing.assert_allclose(distance[-100:], expected[::-1, None] * np.ones(1664), rtol=1e-5)
    picture = render_panorama(
        town, *CENTRE, np.random.default_rng(0), size=(208, 416), elevation_degrees=SPHERE
    )
    nadir, zenith = picture[-1].astype(float), picture[0].astype(float)
    assert nadir.std(axis=0).max() < 12
    assert zenith.std(axis=0).max() < 12
    assert zenith.mean(axis=0)[2] > nadir.mean(axis=0)[2]


def test_right_under_a_crown_the_zenith_is_leaves():
    crowns = np.array([(*CENTRE, 6.0, 2.0, 1.5, LEAF)], CROWN_FIELDS)
    town = lawn(SIDE, crowns=crowns)
    hits = look_around(town, *CENTRE, size=(208, 416), elevation_degrees=SPHERE)
    assert (hits[1][:20] == CROWN).all()
    assert (hits[1][-20:] == GROUND).all()


def test_a_camera_over_a_low_roof_looks_down_on_it():
    town = town_of(tower(CENTRE, width=6.0, height=1.0))
    hits = look_around(town, *CENTRE, size=(208, 416), elevation_degrees=SPHERE)
    assert (hits[1][-60:] == SOLID).all()
    assert (hits[1][:104] == SKY).all()


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
    crowns = np.array([(*bearing(0, 20), 6.0, 2.0, 1.5, LEAF)], CROWN_FIELDS)
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
    np.testing.assert_allclose(distance[56:], expected, rtol=1e-5)


def test_turning_the_scene_by_90_degrees_turns_the_panorama_by_a_quarter():
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


def test_tile_and_panorama_are_taken_on_different_days(town):
    first, second = (render_aerial(town, *CENTRE, np.random.default_rng(k)) for k in (0, 1))
    assert first.shape == (384, 384, 3)
    assert np.abs(first.astype(int) - second).mean() > 5


def test_the_same_chance_gives_the_same_bytes(town):
    for render in (render_aerial, render_panorama):
        first, again = (render(town, *CENTRE, np.random.default_rng(4)) for _ in range(2))
        np.testing.assert_array_equal(first, again)


def test_the_size_of_a_panorama_does_not_change_what_it_shows(town):
    small = render_panorama(town, *CENTRE, np.random.default_rng(2), size=SIZE)
    large = render_panorama(town, *CENTRE, np.random.default_rng(2))
    assert large.shape == (224, 1232, 3)
    reduced = np.asarray(Image.fromarray(large).resize((616, 112), Image.Resampling.BOX))
    assert np.abs(reduced.astype(int) - small).mean() < 8


def test_the_left_and_right_edges_of_a_panorama_meet(town):
    picture = render_panorama(town, *CENTRE, np.random.default_rng(5)).astype(int)
    across = np.abs(picture[:, 0] - picture[:, -1]).mean()
    assert across < 2 * np.abs(np.diff(picture, axis=1)).mean() + 4


def test_a_camera_outside_the_town_is_refused(town):
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="outside the town"):
        render_panorama(town, -1.0, 10.0, rng)
    with pytest.raises(DataError, match="outside the town"):
        render_aerial(town, 10.0, 5000.0, rng)


@pytest.mark.parametrize("name", ["tile", "panorama", "sphere"])
def test_golden_pixels_hold_within_one_grey_level(name):
    with np.load(GOLDEN) as golden:
        apart = np.abs(golden[name].astype(int) - golden_pictures()[name])
    assert (apart > 1).mean() <= 0.005


if __name__ == "__main__":
    np.savez_compressed(GOLDEN, **golden_pictures())
