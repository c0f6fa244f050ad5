"""The published profile against the files that the benchmark's authors released.

The samples are CVUSA-C's query 0000002; CVUSA may not be redistributed, so they are looked for on
this machine. Profile `published`, codec IJG libjpeg 9d for reading, writing and jpeg_compression.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parity.residuals import Bytes, alone, law
from benchmarks.parity.verdicts import Verdict, compare_files, compare_laws, compare_pixels
from corruptions import CODECS, DETERMINISTIC, FAMILIES, FAMILY_OF, corrupt

ROOT = Path(__file__).resolve().parents[2]
QUERY = "0000002.jpg"
QUALITY = 75

# What the authors' program happened to draw for this query, by severity; found by search.
DRAWS: dict[str, list[dict[str, float]]] = {
    "frost": [
        {"texture": texture, "top": top, "left": left}
        for texture, top, left in (
            (4, 342, 1385),
            (1, 2574, 1296),
            (2, 957, 664),
            (5, 482, 158),
            (1, 1011, 2776),
        )
    ],
    "motion_blur": [{"angle_degrees": angle} for angle in (24.148, -42.936, -8.926, 6.838, 30.074)],
}

# glass_blur shuffles in the top left 224 x 224 pixels only; JPEG spreads that by up to 16 pixels.
WINDOW, BEYOND_WINDOW = 224, 240
MOST_STRAY = 0.005  # share of the values beyond the window: single JPEG blocks


def samples_folder() -> Path | None:
    """Where the released files of CVUSA-C are, or None."""
    data = Path(os.environ.get("CVGL_BENCH_DATA", ROOT.parent / "shared/data"))
    folder = data / "published-samples/CVUSA-C"
    return folder if folder.is_dir() else None


class Samples:
    """The released files of one query, and what ours make of its clean picture."""

    def __init__(self, folder: Path) -> None:
        """Read the clean picture.

        Args:
            folder: with `clean` and `severity-1` to `severity-5` in it.

        Raises:
            ValueError: the codec is not installed.
        """
        self.folder = folder
        self.codec = CODECS["ijg9d"]
        self.clean = self.codec.decode((folder / "clean" / QUERY).read_bytes())

    def released(self, name: str, severity: int) -> bytes:
        """The file of a cell."""
        cell = f"severity-{severity}/{FAMILY_OF[name]}/{name}"
        return (self.folder / cell / QUERY).read_bytes()

    def ours(
        self, name: str, severity: int, seed: int = 0, given: dict[str, float] | None = None
    ) -> bytes:
        """Our file of a cell, from a seed or from given draws."""
        corrupted = corrupt(
            self.clean,
            name,
            severity,
            rng=seed,
            profile="published",
            codec=self.codec,
            draws=given,
        )
        return self.codec.encode(corrupted, QUALITY)

    def verdicts(self, draws: int) -> Iterator[tuple[str, int, Verdict]]:
        """Corruption, severity and verdict of all 80 cells.

        Args:
            draws: of ours, to compare the one released draw of a random corruption with.
        """
        for name in (name for names in FAMILIES.values() for name in names):
            for severity in range(1, 6):
                if name in DETERMINISTIC or name in DRAWS:
                    verdict = self.same_draw(name, severity)
                elif name == "glass_blur":
                    verdict = self.glass(severity, draws)
                else:
                    verdict = self.another_draw(name, severity, draws)
                yield name, severity, verdict

    def same_draw(self, name: str, severity: int) -> Verdict:
        """Whether our file is the released one."""
        given = DRAWS[name][severity - 1] if name in DRAWS else None
        files = (self.ours(name, severity, given=given), self.released(name, severity))
        ours, theirs = (self.codec.decode(file) for file in files)
        return compare_files(*files, (ours, theirs))

    def another_draw(
        self, name: str, severity: int, draws: int, columns: int | None = None
    ) -> Verdict:
        """Whether the left columns of the released file could be one more draw of ours."""
        clean = self.clean[:, :columns]

        def draw(seed: int) -> Bytes:
            return self.codec.decode(self.ours(name, severity, seed))[:, :columns]

        ours = law(draw, clean, draws)
        theirs = self.codec.decode(self.released(name, severity))[:, :columns]
        return compare_laws(alone(clean, theirs, ours), ours, clean.shape)

    def glass(self, severity: int, draws: int) -> Verdict:
        """glass_blur: value by value beyond the window, as one more draw within."""
        inside = self.another_draw("glass_blur", severity, draws, columns=WINDOW)
        files = (self.ours("glass_blur", severity), self.released("glass_blur", severity))
        ours, theirs = (self.codec.decode(file)[:, BEYOND_WINDOW:] for file in files)
        beyond = compare_pixels(ours, theirs, exact=True)
        stray = float((ours != theirs).mean())
        text = f"beyond the window {beyond.text}; inside {inside.text}"
        return Verdict(text, good=inside.good and stray <= MOST_STRAY)
