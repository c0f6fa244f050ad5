"""What a corruption of a large picture takes beyond the picture, at most: peaks of a process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corruptions import CORRUPTIONS

pytest.importorskip("resource", reason="only Unix tells a process's peak of memory")

MOST_PICTURES = 9  # spatter takes 7, jpeg_compression up to 4, others 3 or less, result included
CELLS = [(name, severity) for name in CORRUPTIONS for severity in (3, 5)]

# Every corruption runs in a child of its own, forked once all is loaded and compiled, so that its
# peak is not hidden below another's. OpenCV has no threads then, because they do not survive that.
SCRIPT = """
import json, os, resource, sys
import cv2, numpy as np
from corruptions import corrupt

cv2.setNumThreads(1)
rng = np.random.default_rng(0)
cells = json.loads(sys.argv[1])
for name, severity in cells:
    corrupt(rng.integers(0, 256, (40, 60, 3), np.uint8), name, severity, rng=0)
large = np.tile(rng.integers(0, 256, (100, 100, 3), np.uint8), (25, 50, 1))
unit = large.nbytes / (1 if sys.platform == "darwin" else 1024)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for name, severity in cells:
    child = os.fork()
    if child == 0:
        before = peak()
        corrupt(large, name, severity, rng=0)
        print(json.dumps([name, severity, (peak() - before) / unit]), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} at severity {severity} of {large.shape} died")
"""


@pytest.mark.slow
def test_memory_grows_with_the_picture_and_not_faster():
    """A panorama of 12.5 million pixels; what is kept for the next one counts, too."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SCRIPT, json.dumps(CELLS)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peaks = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(peaks) == len(CELLS)
    too_much = [peak for peak in peaks if not 0.5 < peak[2] < MOST_PICTURES]
    assert not too_much, too_much
