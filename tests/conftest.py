import csv
import json
import os

# Several tests run at once: threads of their own would only stand in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from cvgl_bench.datasets.cvtown import GENERATOR_VERSION, LOCATION_FIELDS
from cvgl_bench.suite import Suite

# How long an example takes says how busy the machine is, and of the code nothing.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


def _picture(rng, height, width):
    small = rng.integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def make_cvusa(tmp_path):
    """A function that writes a fake CVUSA folder and returns it."""

    def make(pairs=3, *, name="cvusa", panorama=(32, 96), tile=40, split="val", positions=True):
        root = tmp_path / name
        rng = np.random.default_rng(11)
        for folder in ("bingmap/19", "streetview/panos", "splits", "split_locations"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(1, pairs + 1):
            image_id = f"{number:07d}"
            aerial, ground = f"bingmap/19/{image_id}.jpg", f"streetview/panos/{image_id}.jpg"
            _picture(rng, tile, tile).save(root / aerial, quality=95)
            _picture(rng, *panorama).save(root / ground, quality=95)
            rows.append([aerial, ground, f"streetview/annotations/{image_id}.png"])
        with (root / "splits" / f"{split}-19zl.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        if positions:
            with (root / "split_locations" / "all.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                degrees = (i % 40 for i in range(pairs))
                writer.writerows([40 + d, -100 - d, 40.5 + d, -100.5 - d, 0] for d in degrees)
        return root

    return make


@pytest.fixture
def make_town_folder(make_cvusa):
    """A function that writes a fake CVTown folder: the area val in the size small."""

    def make(pairs=3, **options):
        root = make_cvusa(pairs, name="town", positions=False, **options)
        page = {"name": "cvtown", "form": "pairs", "size": "small", "seed": 7, "pairs": pairs}
        (root / "val.json").write_text(json.dumps(page | {"generator_version": GENERATOR_VERSION}))
        with (root / "split_locations" / "val.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(LOCATION_FIELDS)
            writer.writerows(
                [f"{i + 1:07d}", 40 + i % 40, -30 - i % 40, 40.5 + i % 40, -30.5 - i % 40]
                for i in range(pairs)
            )
        return root

    return make


@pytest.fixture
def small_suite():
    """A function that makes a suite of few cells on the fake CVUSA."""

    def make(**changes):
        fields = {
            "name": "small-c",
            "version": 1,
            "title": "few cells",
            "dataset": "cvusa",
            "split": "val",
            "pairs": 3,
            "form": "grid",
            "profile": "standard",
            "codec": "pillow",
            "seed": 5,
            "jpeg_quality": 75,
            "views": ["full"],
            "severities": [1, 5],
            "corruptions": ["gaussian_noise", "contrast"],
        }
        return Suite.model_validate(fields | changes)

    return make


@pytest.fixture
def suite_file(small_suite, tmp_path):
    """A function that writes such a suite as TOML."""

    def write(**changes):
        lines = []
        for key, value in small_suite(**changes).model_dump(mode="json").items():
            lines.append(f"{key} = {json.dumps(value)}")
        path = tmp_path / "small-c.toml"
        path.write_text("\n".join(lines))
        return path

    return write
