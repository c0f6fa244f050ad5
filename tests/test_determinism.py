"""Two tiers: to the bit on one machine, and how near to it on another kind of processor.

Vector instructions switched off stand in for the other processor: numba compiles for the plainest
one of its family, and OpenCV, numpy, libjpeg-turbo and the C library take their plainest ways.
"""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from corruptions import CORRUPTIONS, PUBLISHED, corrupt

ROOT = Path(__file__).parent.parent
CELLS = [("standard", name, severity) for name in CORRUPTIONS for severity in range(1, 6)]
CELLS += [("published", name, severity) for name in PUBLISHED for severity in range(1, 6)]

# On every processor the same to the bit, but for these: most grey levels off, share of the values.
WITHIN = {
    # The ice: OpenCV's cubic enlargement by Intel's library rounds in its own way.
    ("standard", "frost"): (1, 0.03),
    # The grey of the whitened picture, in 32 bits: two values in four million.
    ("standard", "snow"): (1, 1e-4),
    ("published", "snow"): (1, 1e-4),
}

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_determinism import write_cells
write_cells({order}, {path!r})
"""


def picture():
    """Sky, ramps, boxes and texture, of whole numbers only, so that it is the same everywhere."""
    row, column = np.mgrid[:72, :176]
    texture = (row * 7919 + column * 104729) * (row + 3 * column + 11) % 61
    image = np.stack([40 + column + texture // 2, 30 + 2 * row + texture, 255 - row - column], -1)
    image[:18] = 255
    image[40:50, 20:60] = (250, 20, 5)
    return image.clip(0, 255).astype(np.uint8)


def corrupted(cell):
    profile, name, severity = cell
    return corrupt(picture(), name, severity, rng=severity, profile=profile)


def in_order(order):
    """All cells in an order that a number decides; 0 is the order of CELLS."""
    cells = CELLS.copy()
    if order:
        random.Random(order).shuffle(cells)
    return {cell: corrupted(cell) for cell in cells}


def write_cells(order, path):
    cv2.setNumThreads(order + 1)
    np.savez(path, **{"-".join(map(str, cell)): image for cell, image in in_order(order).items()})


@cache
def here():
    return in_order(0)


def elsewhere(order, folder, **environment):
    """All cells from a process of its own."""
    path = str(folder / "cells.npz")
    subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=str(ROOT / "tests"), order=order, path=path)],
        cwd=ROOT,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )
    arrays = np.load(path)
    return {cell: arrays["-".join(map(str, cell))] for cell in CELLS}


@pytest.mark.parametrize("order", [1, 2])
def test_processes_agree_to_the_bit_whatever_they_did_before(order, tmp_path):
    found = elsewhere(order, tmp_path, PYTHONHASHSEED=str(order), OMP_NUM_THREADS=str(order))
    for cell, image in here().items():
        assert np.array_equal(found[cell], image), cell


def test_threads_agree_to_the_bit():
    expected = here()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(in_order, range(4)):
            for cell, image in expected.items():
                assert np.array_equal(found[cell], image), cell


def plainest(cache_folder):
    """What switches vector instructions off, as far as it can be; what is unknown is not asked."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    opencv = [part.strip("*?") for part in cv2.getCPUFeaturesLine().split() if part[0] == "*"]
    return {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(cache_folder),
        "NPY_DISABLE_CPU_FEATURES": " ".join(simd.get("found", [])),
        "OPENCV_CPU_DISABLE": ",".join(opencv),
        "OPENCV_IPP": "disabled",
        "JSIMD_FORCENONE": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-FMA,-FMA4",
    }


@pytest.mark.slow
def test_processors_of_another_kind_come_close(tmp_path):
    """Those not in WITHIN are equal to the bit. Compiling it all afresh takes its time."""
    found = elsewhere(0, tmp_path, **plainest(tmp_path / "compiled"))
    for cell, image in here().items():
        most, share = WITHIN.get(cell[:2], (0, 0))
        difference = np.abs(found[cell].astype(int) - image)
        assert difference.max() <= most, cell
        assert (difference > 0).mean() <= share, cell
