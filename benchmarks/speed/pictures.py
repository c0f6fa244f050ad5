"""Writes the pictures that speed is measured on: `python benchmarks/speed/pictures.py --out DIR`.

A panorama of 1232 x 224, from CVUSA where it is at hand, and a rendered one of CVTown, 1664 x 832.
Of each DIR gets the JPEG file and the pixels (.npy); what they are goes to stdout as JSON.
"""

import argparse
import json
import os
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cvgl_bench.town.layout import build_district
from cvgl_bench.town.panorama import render_panorama

ROOT = Path(__file__).resolve().parents[2]
QUALITY = 92  # of the files that are decoded
SMALL, LARGE = (224, 1232), (832, 1664)


def cvusa_panorama(folder: Path) -> tuple[bytes, str] | None:
    """One CVUSA panorama of 1232 x 224 and what it is, if the folder has any."""
    for pattern in ("published-samples/CVUSA-C/clean/*.jpg", "cvusa-mini/streetview/panos/*.jpg"):
        for path in sorted(folder.glob(pattern)):
            with Image.open(path) as picture:
                if picture.size == SMALL[::-1]:
                    return path.read_bytes(), f"CVUSA panorama {path.stem}"
    return None


def town_panorama(size: tuple[int, int], elevation_degrees: float) -> tuple[bytes, str]:
    """A rendered panorama as a JPEG file, and what it is."""
    district = build_district(7)
    x, y = district.cameras[0].tolist()
    picture = render_panorama(
        district.street,
        x,
        y,
        np.random.default_rng(0),
        size=size,
        elevation_degrees=(-elevation_degrees, elevation_degrees),
    )
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), f"rendered CVTown panorama, JPEG quality {QUALITY}"


def main() -> None:
    """Write both pictures and say what they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    data = Path(os.environ.get("CVGL_BENCH_DATA", ROOT.parent / "shared/data"))
    found = {
        "1232x224": cvusa_panorama(data) or town_panorama(SMALL, 32.6),
        "1664x832": town_panorama(LARGE, 45),
    }
    for size, (file, _) in found.items():
        (folder / f"{size}.jpg").write_bytes(file)
        np.save(folder / f"{size}.npy", np.array(Image.open(BytesIO(file))))
    print(json.dumps({size: what for size, (_, what) in found.items()}))


if __name__ == "__main__":
    main()
