"""The gallery: one panorama of CVTown under every corruption at every severity."""

from pathlib import Path
from typing import Final

from corruptions import FAMILIES, SEVERITIES
from cvgl_bench.files import read
from cvgl_bench.site.pages import Pages, Site, render
from cvgl_bench.site.pictures import may_be_shown, open_pictures, query_thumbnails
from cvgl_bench.suite import CLEAN, Cell, Suite, load_suite
from cvgl_bench.views import FULL

PAGE: Final = "gallery.html"
SUITE: Final = "cvtown-c"
_BOX: Final = (616, 308)

# What each one imitates, in a sentence.
MEANING: Final[dict[str, str]] = {
    "snow": "Flakes fall across a whitened scene, dragged along a direction that is drawn.",
    "frost": "Ice on the lens: one of five pictures of frost, cut at random and added.",
    "fog": "Drifting fog, a random cloud, over near and far alike.",
    "brightness": "A low sun or an overexposed picture; every pixel gets lighter.",
    "spatter": "On the lens, drops of water at severities 1 to 3 and mud at 4 and 5.",
    "defocus_blur": "The lens is out of focus.",
    "glass_blur": "Seen through frosted glass: pixels change places with their neighbours.",
    "motion_blur": "The camera moves while it exposes, in a direction that is drawn.",
    "zoom_blur": "The camera drives ahead while it exposes.",
    "gaussian_noise": "A sensor in the dark: the same noise at every pixel.",
    "shot_noise": "Few photons are counted, so that noise grows with brightness.",
    "impulse_noise": "Dead values, salt and pepper, scattered over all channels.",
    "speckle_noise": "Noise in proportion to brightness.",
    "contrast": "Haze or flat light: all values move towards the mean.",
    "pixelate": "Too low a resolution, enlarged again.",
    "jpeg_compression": "Strong JPEG compression, with its blocks and lost colours.",
}


def pages(site: Site, pictures: Path | None) -> Pages:
    """Make the gallery, `gallery.html`, with its pictures in `gallery/`.

    Args:
        site: the leaderboards; the first on pictures that may be shown gives the suite, and
            cvtown-c does where there is none.
        pictures: a CVTown folder; None shows the words alone.

    Raises:
        DataError: the folder does not hold the suite's pictures.
    """
    boards = [board.suite for board in site.boards if may_be_shown(board.suite)]
    suite = next((each for each in boards if each.form == "grid"), load_suite(SUITE))
    files: Pages = {} if pictures is None else _strips(suite, pictures)
    page = render(
        "gallery.html",
        site=site,
        page=PAGE,
        suite=suite,
        families=_families(suite),
        meaning=MEANING,
        parameters={name: SEVERITIES[name] for name in suite.corruptions},
        pictured=bool(files),
        explorer=f"failures/{suite.label}.html" if suite in boards else "",
    )
    return {PAGE: page} | files


def _families(suite: Suite) -> dict[str, list[str]]:
    return {
        family: [name for name in names if name in suite.corruptions]
        for family, names in FAMILIES.items()
        if set(names) & set(suite.corruptions)
    }


def _strips(suite: Suite, folder: Path) -> Pages:
    """The query with most to see, in the suite's own making."""
    pairs = [max(open_pictures(suite, folder).pairs, key=lambda pair: len(read(pair.ground)))]
    cells = [
        Cell(view=FULL.name, corruption=name, severity=severity)
        for name in suite.corruptions
        for severity in suite.severities
    ]
    clean = Cell(view=FULL.name, corruption=CLEAN, severity=0)
    return {
        f"gallery/{cell.corruption}-{cell.severity}.webp": data
        for cell in (clean, *cells)
        for data in query_thumbnails(suite, pairs, cell, _BOX)
    }
