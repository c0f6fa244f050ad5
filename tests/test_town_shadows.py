import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.town.daylight import draw_daylight
from cvgl_bench.town.plots import Footprint, solid_row
from cvgl_bench.town.rays import SOLID_FIELDS
from cvgl_bench.town.scene import lawn
from cvgl_bench.town.shadows import cast_shadow, opening, sunlit

SIDE, CENTRE = 256.0, np.array([128.0, 128.0])
WHITE = (0.9, 0.9, 0.9)


def town_with_tower(*, width, height):
    base = Footprint(CENTRE, np.array([1.0, 0.0]), width, width)
    return lawn(SIDE, np.array([solid_row(base, height, (WHITE, WHITE))], SOLID_FIELDS))


@settings(max_examples=15)
@given(azimuth=st.floats(0, 360), elevation=st.floats(25, 65), height=st.floats(5, 20))
def test_a_shadow_falls_away_from_the_sun_and_is_as_long_as_the_suns_height_says(
    azimuth, elevation, height
):
    town = town_with_tower(width=6.0, height=height)
    level, up = np.cos(np.radians(elevation)), np.sin(np.radians(elevation))
    to_sun = level * np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
    shadow = cast_shadow(
        town.height, 0.25, (128.0, 128.0), (60.0, 0.25), (*to_sun.tolist(), float(up))
    )
    length = height * level / up

    def lit_at(metres):
        return sunlit(*shadow, (*(CENTRE - metres * to_sun / level).tolist(), 0.0))

    reach = 3 * np.sqrt(2)
    assert lit_at(-reach - 1) == pytest.approx(1)
    assert lit_at(reach + 0.4) == 0 or length < reach + 1
    assert lit_at(length + reach + 1) == pytest.approx(1)
    assert lit_at(length + 2) == 0 or length < reach


def test_a_wall_that_faces_the_sun_is_not_in_its_own_shadow():
    rng = np.random.default_rng(0)
    while (daylight := draw_daylight(rng)).direct[1] < 0.5:
        pass
    town = town_with_tower(width=20.0, height=12.0)
    shadow = cast_shadow(town.height, 0.25, (128.0, 128.0), (60.0, 0.25), daylight.sun)
    side = np.sign(daylight.sun[0])
    for along in np.arange(-9, 9, 0.37):
        assert sunlit(*shadow, (128.0 + side * 10.5, 128.0 + along, 1.0)) == pytest.approx(1)
        assert sunlit(*shadow, (128.0 + along, 128.0, 12.0)) == pytest.approx(1)


def test_the_sky_is_dimmed_at_the_foot_of_a_wall_and_not_on_its_roof_or_far_away():
    town = town_with_tower(width=20.0, height=12.0)
    foot, higher, roof, away = (
        opening(*town.shelter, (east, 128.0, up))
        for east, up in ((138.5, 0.0), (138.5, 2.0), (128.0, 12.0), (160.0, 0.0))
    )
    assert 0.5 <= foot < higher < 1
    assert roof == away == 1
