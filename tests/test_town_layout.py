"""What districts hold: streets, blocks, buildings, two years, and places for cameras."""

import numpy as np
import pytest

from cvgl_bench.errors import DataError
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town import layout, materials
from cvgl_bench.town.canvas import FREE, TAKEN, Ground, disc
from cvgl_bench.town.facades import BANDS, FENCE, SHOPS, WINDOWS, wall_colour
from cvgl_bench.town.junctions import connect, crossings
from cvgl_bench.town.layout import CAMERAS, MARGIN_METRES, SPACING_METRES, STYLES, build_district
from cvgl_bench.town.markings import crosswalk, lay_streets
from cvgl_bench.town.materials import ASPHALT, FIELD, GRAVEL, MARKING, WATER
from cvgl_bench.town.plots import Footprint, solid_row
from cvgl_bench.town.rays import SOLID_FIELDS
from cvgl_bench.town.streets import CLASSES, PLANS, Street, street_network
from cvgl_bench.town.styles import STYLES as STYLE_TABLE

SIDE = 512.0
NUMBERS = range(7)


@pytest.fixture(scope="module")
def districts():
    return {(s, n): build_district(5, n, style=s) for s in STYLES for n in NUMBERS}


def buildings(town):
    solids = town.solids
    return solids[(solids["bay"] > 0) & (solids["eave"] > 2.5)]


def keys(table, *fields):
    return set(zip(*(table[field].tolist() for field in fields), strict=True))


def raster(town, places):
    columns = (places[:, 0] / 0.25).astype(int)
    rows = ((town.side_metres - places[:, 1]) / 0.25).astype(int)
    return rows, columns


def straight(kind="street", offset=100.0, length=200.0):
    along = np.arange(20.0, 20.0 + length, 3.0)
    return Street(np.stack([along, np.full_like(along, offset)], axis=1), kind)


def test_cameras_stand_apart_on_streets_under_open_sky(districts):
    for district in districts.values():
        places = district.cameras
        assert places.shape == (CAMERAS, 2)
        gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        assert gaps[~np.eye(CAMERAS, dtype=bool)].min() >= SPACING_METRES > 20
        assert places.min() >= MARGIN_METRES
        assert places.max() <= SIDE - MARGIN_METRES
        rows, columns = raster(district.street, places)
        for shift in (-4, 0, 4):
            assert (district.street.height[rows + shift, columns] == 0).all()
            assert (district.street.height[rows, columns + shift] == 0).all()
        for town in (district.street, district.above):
            assert set(town.kinds[rows, columns].tolist()) <= {ASPHALT, MARKING, GRAVEL}


def test_streets_are_the_same_in_both_years(districts):
    for district in districts.values():
        street, above = district.street, district.above
        paved = np.isin(street.kinds, (ASPHALT, MARKING))
        np.testing.assert_array_equal(paved, np.isin(above.kinds, (ASPHALT, MARKING)))
        np.testing.assert_array_equal(street.albedo[paved], above.albedo[paved])
        assert (street.kinds != above.kinds).mean() < 0.01


def test_cars_trees_and_a_few_buildings_are_others_in_the_other_year(districts):
    lost = stood = felled = grown = 0
    for district in districts.values():
        street, above = district.street, district.above
        cars = [town.solids[np.isclose(town.solids["wall"], materials.GLASS).all(axis=1)]
                for town in (street, above)]  # fmt: skip
        cars = [keys(table[table["bay"] == 0], "east", "north") for table in cars]
        assert not cars[0] & cars[1]
        first, second = (keys(buildings(t), "east", "north", "eave") for t in (street, above))
        lost += len(first ^ second)
        stood += len(first | second)
        trees = [{(c["east"], c["north"], c["up"]): c for c in t.crowns} for t in (street, above)]
        common = trees[0].keys() & trees[1].keys()
        felled += len(trees[0].keys() ^ trees[1].keys())
        grown += len(trees[0].keys() | trees[1].keys())
        ratio = [trees[1][key]["radius"] / trees[0][key]["radius"] for key in common]
        assert 0.75 <= min(ratio) < 0.8
        assert 1.05 < max(ratio) <= 1.1
    assert 0.015 < lost / stood < 0.05
    assert 0.08 < felled / grown < 0.15


def test_no_building_stands_on_a_street(districts):
    for district in districts.values():
        for town in (district.street, district.above):
            for solid in buildings(town)[::3]:
                axis = np.array([solid["cosine"], solid["sine"]])
                inner = (2 * solid["half_length"] - 2, 2 * solid["half_width"] - 2)
                base = Footprint(np.array([solid["east"], solid["north"]]), axis, *inner)
                if min(inner) > 1.0:
                    kinds = town.kinds[raster(town, base.corners())]
                    assert not set(kinds.tolist()) & {ASPHALT, MARKING, WATER}


def test_every_character_and_facade_occurs_in_every_style(districts):
    for style in STYLES:
        own = [districts[style, number] for number in NUMBERS]
        fields = [(d.street.kinds == FIELD).mean() for d in own]
        assert max(fields) > 0.3
        assert min(fields) < 0.05
        counts = [len(buildings(d.street)) for d in own]
        assert max(counts) > 3 * min(counts)
        facades = {f for d in own for f in d.street.solids["facade"].tolist()}
        assert facades >= {WINDOWS, SHOPS, BANDS, FENCE}


def test_dry_districts_are_lower_flatter_and_have_other_colours(districts):
    def mean(style, measure):
        return np.mean([measure(districts[style, n].street) for n in NUMBERS])

    for measure in (
        lambda town: (buildings(town)["side_pitch"] > 0).mean(),
        lambda town: len(town.crowns),
        lambda town: 1 - buildings(town)["wall"].mean(),
    ):
        assert mean("dry", measure) < 0.95 * mean("temperate", measure)


def test_some_districts_are_estates_of_like_houses_and_others_are_not(districts):
    shares = []
    for district in districts.values():
        solids = buildings(district.street)
        sizes = np.stack([solids["half_length"], solids["half_width"], solids["eave"]], axis=1)
        shares.append(np.unique(sizes.round(3), axis=0, return_counts=True)[1].max() / len(solids))
    assert max(shares) > 0.3
    assert min(shares) < 0.15


def test_another_seed_district_split_or_style_is_another_place_and_the_same_the_same():
    small = {"side_metres": 256.0, "cameras": 4}
    first, again = (build_district(5, 1, **small) for _ in range(2))
    for name in ("street", "above"):
        one, other = getattr(first, name), getattr(again, name)
        np.testing.assert_array_equal(one.albedo, other.albedo)
        np.testing.assert_array_equal(one.solids, other.solids)
        np.testing.assert_array_equal(one.crowns, other.crowns)
    np.testing.assert_array_equal(first.cameras, again.cameras)
    others = [
        build_district(6, 1, **small),
        build_district(5, 2, **small),
        build_district(5, 1, split="train", **small),
        build_district(5, 1, style="dry", **small),
    ]
    for other in others:
        assert (first.street.albedo != other.street.albedo).mean() > 0.5
        assert not np.array_equal(first.cameras, other.cameras)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"style": "polar"}, "choose one of temperate, dry"),
        ({"side_metres": 250.0}, "multiple of 8"),
        ({"side_metres": 256.0, "cameras": 90}, "has room for"),
    ],
)
def test_what_makes_no_district_is_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        build_district(5, 0, **wrong)


def test_a_layout_without_room_is_drawn_again(monkeypatch):
    drawn = []

    def laid_out(rng, *rest):
        drawn.append(rng)
        return original(rng, *rest)

    original = layout._laid_out
    monkeypatch.setattr(layout, "_laid_out", laid_out)
    with pytest.raises(DataError, match="22 m apart, not for 60"):
        build_district(5, 0, side_metres=256.0, cameras=60)
    assert len(drawn) == layout.ATTEMPTS


@pytest.mark.parametrize("form", ["zebra", "ladder"])
@pytest.mark.parametrize("kind", ["lane", "street", "avenue"])
def test_a_crosswalk_lies_on_its_carriageway(kind, form):
    street = straight(kind)
    lines = np.concatenate(crosswalk(street, 50.0, 53.0, form))
    assert np.abs(lines[:, 1] - 100).max() <= CLASSES[kind].width / 2 - 0.25
    assert (lines[:, 0].min(), lines[:, 0].max()) == pytest.approx((70, 73))
    assert np.ptp(lines[:, 1]) > 0.75 * CLASSES[kind].width - 1.6


def test_streets_meet_where_they_cross_and_dead_ends_have_turning_circles():
    east = straight()
    north = Street(east.points[:, ::-1] + (20.0, -20.0), "street")
    network = connect(np.random.default_rng(3), [east, north], SIDE, roundabouts=0.0)
    assert [arm.street for arm in network.arms] == [0, 1]
    assert [arm.walked for arm in network.arms] == pytest.approx([100, 100], abs=0.1)
    assert all(4 < arm.clear < 6 for arm in network.arms)
    assert not network.clear(0, np.array([100.0]))[0]
    assert network.clear(0, np.array([110.0]))[0]
    assert 1 <= len(network.circles) <= 4
    ends = np.array([line.points[i] for line in (east, north) for i in (0, -1)])
    for circle in network.circles:
        assert np.hypot(*(ends - circle.place).T).min() == 0
        assert circle.island == 0


def test_a_roundabout_is_wider_than_its_streets():
    east = straight("avenue")
    north = Street(east.points[:, ::-1] + (20.0, -20.0), "street")
    network = connect(np.random.default_rng(3), [east, north], SIDE, roundabouts=1.0)
    circle = next(circle for circle in network.circles if circle.island)
    assert circle.place == pytest.approx((120, 100))
    assert circle.radius > 7.5 + 6
    assert all(arm.clear > circle.radius for arm in network.arms)


@pytest.mark.parametrize("order", [1, -1])
def test_a_road_goes_on_where_a_lane_ends_at_it(order):
    road = straight("avenue")
    points = np.stack([np.full(32, 120.0), np.arange(98.5, 194.0, 3.0)], axis=1)
    network = connect(
        np.random.default_rng(3), [road, Street(points, "lane")][::order], SIDE, roundabouts=0.0
    )
    ground = Ground.empty(SIDE)
    lay_streets(np.random.default_rng(3), ground, network, STYLE_TABLE["temperate"])
    at_the_junction = ground.albedo[round((SIDE - 103.5) / 0.25), 476:484]
    elsewhere = ground.albedo[round((SIDE - 103.5) / 0.25), 240:440]
    np.testing.assert_array_equal(at_the_junction, np.broadcast_to(elsewhere[0], (8, 3)))


def test_a_polyline_does_not_cross_itself():
    street = straight()
    owner = np.zeros(len(street.points), np.int64)
    assert len(crossings(street.points, owner, np.zeros((0, 2)))) == 0
    other = np.array([[60.0, 95.0], [62.0, 103.0]])
    assert len(crossings(street.points, owner, other)) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("character", PLANS)
def test_streets_run_smoothly_through_the_district(character, style):
    for seed in range(4):
        rng = generator(identity_seed("streets", character, style, seed))
        regular = seed % 2 == 0
        streets = street_network(rng, SIDE, character, STYLE_TABLE[style], regular=regular)
        assert len(streets) >= 4
        for street in streets:
            steps = np.hypot(*np.diff(street.points, axis=0).T)
            assert 0.5 < steps.min() <= steps.max() < 7.5
            np.testing.assert_allclose(np.hypot(*street.normals.T), 1)
            assert np.hypot(*(street.beside(2.0) - street.points).T) == pytest.approx(2)


def test_ground_can_be_taken_once():
    ground = Ground.empty(256.0)
    square = Footprint(np.array([100.0, 100.0]), np.array([0.8, 0.6]), 10, 6)
    assert ground.claim(square.corners())
    assert not ground.claim(square.shifted(4, 0, 10, 6).corners())
    assert ground.claim(square.shifted(12, 0, 10, 6).corners())
    assert (ground.occupied == TAKEN).sum() * 0.25 == pytest.approx(120, rel=0.15)
    assert ground.free_at(np.array([[100.0, 100.0], [60.0, 60.0]]), 1.0).tolist() == [False, True]
    assert not ground.claim(disc(np.array([2.0, 2.0]), 5.0))
    ground.occupy([np.array([[20.0, 20.0], [20.0, 60.0]])], 6.0)
    on_pavement = disc(np.array([22.0, 40.0]), 1.0)
    assert not ground.claim(on_pavement)
    assert ground.claim(on_pavement, on_street=True)
    assert not ground.claim(on_pavement, on_street=True)
    assert ground.occupied[0, 0] == FREE


def test_a_painted_polygon_is_where_it_should_be():
    ground = Ground.empty(256.0)
    ground.fill([disc(np.array([100.0, 40.0]), 8.0)], (1.0, 0.5, 0.0), WATER)
    rows, columns = np.nonzero(ground.kinds == WATER)
    assert (columns.mean() + 0.5) * 0.25 == pytest.approx(100, abs=0.1)
    assert 256 - (rows.mean() + 0.5) * 0.25 == pytest.approx(40, abs=0.1)
    assert len(rows) / 16 == pytest.approx(np.pi * 64, rel=0.05)


@pytest.mark.parametrize("facade", [WINDOWS, SHOPS, BANDS, FENCE])
def test_a_pattern_seen_from_afar_is_its_mean(facade):
    base = Footprint(np.zeros(2), np.array([1.0, 0.0]), 24.0, 12.0)
    row = solid_row(
        base, 12.0, ((0.8, 0.7, 0.6), (0.5, 0.4, 0.4)), windows=(3.0, 0.5), facade=facade
    )
    solid = np.array([row], SOLID_FIELDS)[0]
    along = np.arange(0.005, 24.0, 0.01)
    ups = {BANDS: np.array([8.5]), FENCE: np.array([1.0])}
    ups = ups.get(facade, np.arange(4.7, 11.2, 0.05))
    near = np.array([wall_colour(solid, 0, 2, a, up, 0.01) for up in ups for a in along[::7]])
    far = np.array([wall_colour(solid, 0, 2, a, up, 30.0) for up in ups for a in along[::97]])
    assert near.std(axis=0).max() > 0.03
    assert far.std(axis=0).max() < 0.5 * near.std(axis=0).max()
    assert far.mean(axis=0) == pytest.approx(near.mean(axis=0), abs=0.06)
