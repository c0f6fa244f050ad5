"""Draws docs/corruptions.jpg: every corruption at severities 1, 3 and 5 beside the clean picture.

python docs/make_corruption_sheet.py PANORAMA [--out docs/corruptions.jpg]

Corruptions are made at the panorama's own size, as the benchmark makes them; the sheet shows the
middle of each, pixel for pixel.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import corruptions

SEVERITIES = (1, 3, 5)
CELL = (440, 144)  # width and height of what is shown of a panorama, pixels
LABEL_WIDTH = 150
TITLE_HEIGHT = 28
GAP = 4
SEED = 32  # one at which every row shows what it is about


def main() -> None:
    """Read the panorama and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("panorama", type=Path, help=f"at least {CELL[0]} x {CELL[1]} pixels")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "corruptions.jpg")
    arguments = parser.parse_args()
    panorama = np.array(Image.open(arguments.panorama).convert("RGB"))
    if panorama.shape[0] < CELL[1] or panorama.shape[1] < CELL[0]:
        parser.error(f"{arguments.panorama} is smaller than {CELL[0]} x {CELL[1]} pixels")
    sheet = draw_sheet(panorama)
    sheet.save(arguments.out, quality=72, optimize=True)
    print(f"{arguments.out}: {sheet.width} x {sheet.height}, {arguments.out.stat().st_size} bytes")


def draw_sheet(panorama: NDArray[np.uint8]) -> Image.Image:
    """One row a corruption: its name and family, the clean picture, three severities."""
    width, height = CELL[0] + GAP, CELL[1] + GAP
    rows = len(corruptions.CORRUPTIONS)
    size = (LABEL_WIDTH + (1 + len(SEVERITIES)) * width, TITLE_HEIGHT + rows * height)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    for column, title in enumerate(["clean"] + [f"severity {value}" for value in SEVERITIES]):
        draw.text((LABEL_WIDTH + column * width, 6), title, fill="black", font=font)
    for row, name in enumerate(corruptions.CORRUPTIONS):
        top = TITLE_HEIGHT + row * height
        draw.text((8, top + CELL[1] // 2 - 18), name, fill="black", font=font)
        draw.text((8, top + CELL[1] // 2 + 2), corruptions.FAMILY_OF[name], fill="grey", font=small)
        for column, cell in enumerate(cells(panorama, name)):
            sheet.paste(Image.fromarray(cell), (LABEL_WIDTH + column * width, top))
    return sheet


def cells(panorama: NDArray[np.uint8], name: str) -> list[NDArray[np.uint8]]:
    """The middle of the clean panorama and of it corrupted, each the size of a cell."""
    pictures = [panorama]
    for severity in SEVERITIES:
        rng = np.random.default_rng([SEED, severity])
        pictures.append(corruptions.corrupt(panorama, name, severity, rng=rng))
    top, left = (panorama.shape[0] - CELL[1]) // 2, (panorama.shape[1] - CELL[0]) // 2
    return [picture[top : top + CELL[1], left : left + CELL[0]] for picture in pictures]


if __name__ == "__main__":
    main()
