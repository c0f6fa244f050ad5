"""Draw a sheet of pairs of CVTown: each tile beside the panorama that was taken in its middle.

python docs/make_town_sheet.py SHEET.jpg [--seed 7] [--pairs 12]

The ticks above a panorama are at the compass points drawn around its tile.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.town import build_district, render_aerial, render_panorama
from cvgl_bench.town.order import TILE_METRES
from cvgl_bench.town.scene import District

TILE = 224
PANORAMA = (224, 1232)
BORDER, GAP = 18, 8
INK, PAPER, MARK = (20, 20, 20), (255, 255, 255), (255, 40, 40)


def sheet(seed: int, pairs: int) -> Image.Image:
    """Pairs from as many districts, one below the other, with the points of the compass.

    Args:
        seed: of the town.
        pairs: rows of the sheet.
    """
    width = TILE + PANORAMA[1] + 4 * BORDER + GAP
    row_height = TILE + 2 * BORDER + GAP
    page = Image.new("RGB", (width, pairs * row_height), PAPER)
    for row in range(pairs):
        tile, panorama = _pair(build_district(seed, row), seed, row)
        top = row * row_height + BORDER
        page.paste(Image.fromarray(tile), (BORDER, top))
        page.paste(Image.fromarray(panorama), (3 * BORDER + TILE + GAP, top))
        _letter(page, top)
    return page


def _pair(district: District, seed: int, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    x, y = district.cameras[row].tolist()
    tile = render_aerial(
        district.above,
        x,
        y,
        generator(identity_seed("sheet", seed, row, "aerial")),
        size=TILE,
        metres_per_pixel=TILE_METRES / TILE,
    )
    rng = generator(identity_seed("sheet", seed, row, "panorama"))
    return tile, render_panorama(district.street, x, y, rng, size=PANORAMA)


def _letter(page: Image.Image, top: int) -> None:
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    middle, end = TILE / 2, TILE + BORDER / 2
    for letter, across, down in (
        ("N", middle, -BORDER / 2),
        ("S", middle, end),
        ("W", -BORDER / 2, middle),
        ("E", end, middle),
    ):
        draw.text((BORDER + across, top + down), letter, INK, font, anchor="mm")
    _mark_headings(draw, (BORDER + middle, top + middle))
    left = 3 * BORDER + TILE + GAP
    for number, letter in enumerate("SWNES"):
        across = left + number * PANORAMA[1] / 4
        draw.text((across, top - BORDER / 2), letter, INK, font, anchor="mm")
        draw.line((across, top - 2, across, top + 3), INK)


def _mark_headings(draw: ImageDraw.ImageDraw, place: tuple[float, float]) -> None:
    """A ring where the camera stands and ticks to the north, east, south and west of it."""
    across, down = place
    draw.ellipse((across - 3, down - 3, across + 3, down + 3), outline=MARK)
    for east, south in ((0, -1), (1, 0), (0, 1), (-1, 0)):
        near, far = 7, 16 if south == -1 else 11
        start = (across + near * east, down + near * south)
        draw.line((start, (across + far * east, down + far * south)), MARK, 2)


def main() -> None:
    """Draw the sheet that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=12)
    arguments = parser.parse_args()
    sheet(arguments.seed, arguments.pairs).save(arguments.out, quality=82, optimize=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
