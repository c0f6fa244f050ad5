"""CVTown: a seeded town whose aerial tiles and street panoramas show the same scene."""

from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import build_town
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.scene import Town
from cvgl_bench.town.world import write_town

__all__ = ["Town", "build_town", "render_aerial", "render_panorama", "write_town"]
