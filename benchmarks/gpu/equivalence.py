"""How far are the corruptions on a device from those on the CPU? The table of the documentation.

python benchmarks/gpu/equivalence.py                     on CUDA where there is any, else on the CPU
python benchmarks/gpu/equivalence.py --device cpu --pictures 2

Pictures are panoramas of CVTown, a drawn one of ramps and flat places, and a black and a white one.
A row says, for one corruption, which share of all values is equal to those of the CPU function with
the same seed, which share is within one grey level, and how large the largest difference is.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from tabulate import tabulate

from corruptions import PROFILES, corrupt
from corruptions.gpu import GPU_CORRUPTIONS, GPU_PUBLISHED, corrupt_batch
from cvgl_bench.town.order import SIZES, Order
from cvgl_bench.town.world import write_town

Pictures = NDArray[np.uint8]
SAME = ("defocus_blur",)  # the standard one in both profiles here


def panoramas(count: int) -> Pictures:
    """Panoramas of CVTown and three drawn pictures of the same size, (N, H, W, 3)."""
    with tempfile.TemporaryDirectory() as scratch:
        write_town(Order(Path(scratch), "val", count, size=SIZES["small"]))
        files = sorted(Path(scratch).glob("streetview/panos/*"))
        seen = [np.asarray(PillowImage.open(file).convert("RGB")) for file in files]
    height, width = seen[0].shape[:2]
    row, column = np.mgrid[:height, :width]
    drawn = np.stack([row * 300 // height, column * 255 // width, (row // 9 + column // 7) % 256])
    drawn[:, : height // 3, : width // 3] = 77
    flat = [np.full((height, width, 3), level, np.uint8) for level in (0, 255)]
    return np.stack([*seen, drawn.clip(0, 255).astype(np.uint8).transpose(1, 2, 0), *flat])


def differences(name: str, profile: str, pictures: Pictures, device: str) -> NDArray[np.int64]:
    """How many values differ by 0, 1, ... 255 grey levels, over all pictures and severities."""
    counts = np.zeros(256, dtype=np.int64)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device)
    for severity in range(1, 6):
        seeds = [1000 * severity + place for place in range(len(pictures))]
        batch = corrupt_batch(images, name, severity, rngs=seeds, profile=profile)
        ours = batch.permute(0, 2, 3, 1).cpu().numpy().astype(np.int16)
        for picture, seed, values in zip(pictures, seeds, ours, strict=True):
            theirs = corrupt(picture, name, severity, rng=seed, profile=profile)
            counts += np.bincount(np.abs(values - theirs).ravel(), minlength=256)
    return counts


def main() -> None:
    """Compare everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--pictures", type=int, default=4, help="panoramas of CVTown")
    parser.add_argument("--out", type=Path, help="a JSON file to write the table to, too")
    options = parser.parse_args()
    pictures = panoramas(options.pictures)
    rows = []
    for profile in PROFILES:
        for name in GPU_CORRUPTIONS:
            if profile == "published" and name not in {*GPU_PUBLISHED, *SAME}:
                continue
            counts = differences(name, profile, pictures, options.device)
            shares = counts / counts.sum()
            largest = int(np.flatnonzero(counts).max())
            near = float(shares[:2].sum())
            rows.append((name, profile, 100 * float(shares[0]), 100 * near, largest))
    size = "x".join(str(side) for side in pictures.shape[1:3])
    where = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    print(
        f"{len(pictures)} pictures of {size}, 5 severities, on {where}, torch {torch.__version__}"
    )
    headers = ("corruption", "profile", "equal, %", "within 1, %", "largest difference")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".4f"))
    if options.out:
        table = {"device": where, "size": size, "rows": rows}
        options.out.write_text(json.dumps(table, indent=1) + "\n")
    worst = min(row[3] for row in rows)
    if worst < 99.9:
        raise SystemExit(f"Only {worst:.4f} % of the values are within one grey level.")


if __name__ == "__main__":
    main()
