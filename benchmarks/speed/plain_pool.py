"""The plain way: `python plain_pool.py SOURCES OUT WORKERS`, by imagecorruptions and Pillow.

Every picture of the folder SOURCES gets 16 corruptions of five severities, each a JPEG file of
quality 75 under OUT, from a pool of processes that takes a picture at a time. Prints the seconds
from the pool's start to its end, and the number of files, as JSON.
"""

import json
import sys
import time
from importlib import import_module
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

NAMES = (
    *("snow", "frost", "fog", "brightness", "spatter"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("contrast", "pixelate", "jpeg_compression"),
)


def make_all(task: tuple[Path, Path]) -> int:
    """Make all 80 files of a picture."""
    source, out = task
    cv2.setNumThreads(1)
    library = import_module("imagecorruptions")
    import_module("worker").theirs()  # mends glass_blur for this scikit-image
    picture = np.array(Image.open(source))
    count = 0
    for name in NAMES:
        for severity in range(1, 6):
            folder = out / f"severity-{severity}" / name
            folder.mkdir(parents=True, exist_ok=True)
            corrupted = library.corrupt(picture, severity, name)
            Image.fromarray(corrupted).save(folder / source.name, "JPEG", quality=75)
            count += 1
    return count


def main() -> None:
    """Make all files and print what it took."""
    sources, out = Path(sys.argv[1]), Path(sys.argv[2])
    tasks = [(source, out) for source in sorted(sources.glob("*.jpg"))]
    start = time.perf_counter()
    with Pool(int(sys.argv[3])) as pool:
        counts = pool.map(make_all, tasks, chunksize=1)
    print(json.dumps({"seconds": time.perf_counter() - start, "images": sum(counts)}))


if __name__ == "__main__":
    main()
