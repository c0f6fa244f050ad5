"""One picture of a photo in all its states: a row a corruption, a column a severity."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from corruptions import FAMILY_OF
from cvgl_bench.corrupted_page import WORK, CorruptedPage, read_corrupted_page
from cvgl_bench.errors import DataError
from cvgl_bench.files import write_atomically

SHEET: Final = "contact-sheet.png"
# Pixels: the most of a picture, the column of names, the row of severities, what lies between.
_BOX = (360, 180)
_NAMES, _TITLES, _GAP, _LINE = 168, 30, 6, 20
_INK, _FAINT, _PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


def draw_sheet(folder: Path) -> Path:
    """Draw the contact sheet of a folder that `corrupt` wrote, of the files as they are.

    Every picture is shown whole, made smaller where it is larger than 360 x 180 pixels.

    Returns:
        Where it is.

    Raises:
        DataError: a picture cannot be read, or the sheet not be written.
    """
    page = read_corrupted_page(folder)
    file = BytesIO()
    _sheet(folder, page).save(file, "PNG", optimize=True)
    write_atomically(folder / SHEET, file.getvalue(), scratch=folder.parent / WORK)
    return folder / SHEET


def small(path: Path, box: tuple[int, int]) -> PillowImage.Image:
    """A picture, RGB, made smaller until it fits into a box of width and height; never larger.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with PillowImage.open(path, formats=("JPEG", "PNG")) as picture:
            picture.thumbnail(box, PillowImage.Resampling.LANCZOS)
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be decoded ({error}). Is the file complete?") from error


def lettering(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, so many pixels high."""
    return ImageFont.load_default(size)


def _sheet(folder: Path, page: CorruptedPage) -> PillowImage.Image:
    by_state = {(one.corruption, one.severity): name for name, one in page.pictures.items()}
    severities = sorted({severity for _, severity in by_state if severity})
    rows = list(dict.fromkeys(corruption for corruption, _ in by_state))
    share = min(1.0, _BOX[0] / page.width, _BOX[1] / page.height)
    cell = max(1, round(page.width * share)), max(1, round(page.height * share))
    across, down = cell[0] + _GAP, max(cell[1], 2 * _LINE) + _GAP
    facts = _facts(page)
    # Beside the untouched photo there is room for what was done, in a sheet of two columns or more.
    columns = max(1, len(severities))
    widest = max(lettering(14).getlength(fact) for fact in facts)
    width = _NAMES + max(columns * across, round(across + widest) + 2 * _GAP)
    top = max(down, (len(facts) + 1) * _LINE) + _TITLES
    sheet = PillowImage.new("RGB", (width, top + (len(rows) - 1) * down), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _name(draw, rows[0], "the photo itself", _GAP, cell[1])
    sheet.paste(small(folder / by_state[rows[0], 0], cell), (_NAMES, _GAP))
    for line, fact in enumerate(facts):
        place = (_NAMES + across + _GAP, _GAP + line * _LINE)
        draw.text(place, fact, fill=_FAINT, font=lettering(14))
    for column, severity in enumerate(severities):
        place = (_NAMES + column * across, top - _TITLES + 8)
        draw.text(place, f"severity {severity}", fill=_INK, font=lettering(15))
    for row, corruption in enumerate(rows[1:]):
        upper = top + row * down
        _name(draw, corruption, FAMILY_OF[corruption], upper, cell[1])
        for column, severity in enumerate(severities):
            name = by_state.get((corruption, severity))
            if name is not None:
                place = (_NAMES + column * across, upper)
                sheet.paste(small(folder / name, cell), place)
    return sheet


def _name(draw: ImageDraw.ImageDraw, name: str, remark: str, top: int, height: int) -> None:
    middle = top + height // 2
    draw.text((10, middle - 2), name, fill=_INK, font=lettering(15), anchor="ls")
    draw.text((10, middle + 4), remark, fill=_FAINT, font=lettering(12), anchor="lt")


def _facts(page: CorruptedPage) -> Sequence[str]:
    size = f"{page.width} x {page.height} pixels"
    shrunk = f", shrunk to at most {page.max_side} a side" if page.max_side else ""
    return size + shrunk, f"profile {page.profile}, seed {page.seed}", page.encoding
