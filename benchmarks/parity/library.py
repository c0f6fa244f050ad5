"""The standard profile against imagecorruptions 1.1.2, which runs in an environment of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.residuals import Bytes, Law, law
from benchmarks.parity.verdicts import Verdict, compare_laws, compare_pixels
from corruptions import DETERMINISTIC, FAMILIES, corrupt

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-parity/bin/python"
GIVEN = ("motion_blur", "frost")
ODD_SIZES = ((17, 400), (219, 61), (119, 1001))
LONGEST_LINE = 41  # pixels
GLASS_SIZE = (96, 192)  # imagecorruptions takes seconds for a panorama


class Oracle:
    """imagecorruptions at work on a panorama and on odd-sized parts of it, in the background."""

    def __init__(self, panorama: Bytes, draws: int) -> None:
        self.draws = draws
        self.pictures = {f"{high}x{wide}": panorama[:high, :wide] for high, wide in ODD_SIZES}
        self.pictures["panorama"] = panorama
        self.measured: dict[str, Bytes] = {}
        for name in (name for names in FAMILIES.values() for name in names):
            if name not in DETERMINISTIC:
                high, wide = GLASS_SIZE if name == "glass_blur" else panorama.shape[:2]
                self.measured[name] = panorama[:high, :wide]
        self.folder = tempfile.TemporaryDirectory()
        scratch = Path(self.folder.name)
        pictures: dict[str, Any] = dict(self.pictures)
        pictures |= {f"law-{name}": picture for name, picture in self.measured.items()}
        np.savez(scratch / "pictures.npz", **pictures)
        files = [str(scratch / "pictures.npz"), str(scratch / "out.npz")]
        command = [str(PYTHON), "-m", "benchmarks.parity.oracle", *files, "--draws", str(draws)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def __enter__(self) -> "Oracle":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def verdicts(self) -> Iterator[tuple[str, int, Verdict]]:
        """Corruption, severity and verdict of all 80 cells; exits if imagecorruptions failed."""
        if self.process.wait():
            sys.exit("imagecorruptions stopped with the error above.")
        theirs = dict(np.load(Path(self.folder.name) / "out.npz"))
        draws = json.loads(str(theirs["draws"]))
        for name in (name for names in FAMILIES.values() for name in names):
            for severity in range(1, 6):
                found = []
                if name in DETERMINISTIC or name in GIVEN:
                    found.append(self._pixels(name, severity, theirs, draws))
                if name in self.measured:
                    found.append(self._law(name, severity, theirs))
                text = "; ".join(verdict.text for verdict in found)
                yield name, severity, Verdict(text, all(verdict.good for verdict in found))

    def _pixels(
        self, name: str, severity: int, theirs: dict[str, NDArray[Any]], draws: dict[str, Any]
    ) -> Verdict:
        """All values of all pictures together."""
        pairs = []
        for key, picture in self.pictures.items():
            # imagecorruptions loses light once motion_blur's line is longer than the picture
            if name == "motion_blur" and len(picture) <= LONGEST_LINE:
                continue
            cell = f"{name}-{severity}-{key}"
            ours = corrupt(picture, name, severity, rng=0, draws=draws[cell] or None)
            pairs.append((ours.ravel(), theirs[cell].ravel()))
        ours, oracles = (np.concatenate(values) for values in zip(*pairs, strict=True))
        return compare_pixels(ours, oracles, exact=False)

    def _law(self, name: str, severity: int, theirs: dict[str, NDArray[Any]]) -> Verdict:
        picture = self.measured[name]
        ours = law(
            lambda seed: corrupt(picture, name, severity, rng=seed),
            picture,
            self.draws,
        )
        return compare_laws(ours, read_law(theirs, f"law-{name}-{severity}"), picture.shape)


def read_law(arrays: dict[str, NDArray[Any]], key: str) -> Law:
    """A law from the arrays of an .npz file, each name beginning with the key."""
    draws, own_distance = arrays[f"{key}-sample"].tolist()
    counts = arrays[f"{key}-counts"].astype(np.int64)
    return Law(int(draws), arrays[f"{key}-mean"], arrays[f"{key}-spread"], counts, own_distance)
