"""CVTown: a seeded town whose aerial tiles and street panoramas show the same scene."""

from pathlib import Path

from corruptions.compiled import forget_stale
from cvgl_bench.town.aerial import render_aerial
from cvgl_bench.town.layout import build_district
from cvgl_bench.town.panorama import render_panorama
from cvgl_bench.town.rays import grain
from cvgl_bench.town.scene import Town
from cvgl_bench.town.world import write_town

forget_stale(Path(__file__).parent, grain)

__all__ = ["Town", "build_district", "render_aerial", "render_panorama", "write_town"]
