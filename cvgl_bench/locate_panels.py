"""A picture an answer: the photo, and beside it the tiles that it is taken for."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from cvgl_bench.contact_sheet import lettering, small
from cvgl_bench.corrupted_page import PAGE
from cvgl_bench.errors import DataError
from cvgl_bench.files import write_atomically
from cvgl_bench.located import Line, Located, answers_csv
from cvgl_bench.own_pictures import read_photo, shown

ANSWERS: Final = "answers.csv"
# Pixels: the most of the photo, of a tile, the margin, a line of text.
_PHOTO, _TILE, _MARGIN, _TEXT = (480, 200), 200, 12, 19
_INK, _FAINT, _PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)
_LETTER = 7  # How wide one is, about, at a height of 13.


def write_answers(located: Located, out: Path) -> list[Path]:
    """Write all answers as CSV, and a panel a photo.

    A panel is called like its photo, and lies in a folder like the photo's if that is one of
    corrupted pictures.

    Returns:
        The files.

    Raises:
        DataError: two photos would have one panel, or the folder holds something else or cannot
            be written.
    """
    panels = panel_paths([photo.path for photo in located.photos], out)
    for number, path in enumerate(panels):
        write_atomically(path, panel(located, number))
    write_atomically(out / ANSWERS, answers_csv(located))
    return [out / ANSWERS, *panels]


def panel_paths(photos: Sequence[Path], out: Path) -> list[Path]:
    """Where the photos' panels go.

    Raises:
        DataError: two would go to one file, or the folder holds something else.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{shown(out)} is a file, not a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / ANSWERS).is_file():
        raise DataError(f"{shown(out)} is not empty and holds no answers. Choose another --out.")
    paths = []
    for photo in photos:
        is_corrupted = (photo.parent / PAGE).is_file()
        folder = out / photo.resolve().parent.name if is_corrupted else out
        paths.append(folder / f"{photo.stem}.png")
    seen: dict[str, Path] = {}
    for photo, path in zip(photos, paths, strict=True):
        other = seen.setdefault(str(path).casefold(), photo)
        if other != photo:
            raise DataError(
                f"the panels of {shown(other)} and {shown(photo)} would both be "
                f"{shown(path)}. Locate them one after the other, each with its own --out."
            )
    return paths


def panel(located: Located, number: int) -> bytes:
    """Draw a photo, upright, beside its most similar tiles, north up; a PNG."""
    photo = located.photos[number]
    _, pixels = read_photo(photo.path)
    view = PillowImage.fromarray(np.ascontiguousarray(pixels))
    view.thumbnail(_PHOTO, PillowImage.Resampling.LANCZOS)
    lines = located.lines(number)
    tiles = located.answers[number].tiles
    left = 2 * _MARGIN + max(view.width, 160)
    width = left + len(lines) * (_TILE + _MARGIN)
    height = _MARGIN + _TILE + 4 * _TEXT + _MARGIN
    page = PillowImage.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    page.paste(view, (_MARGIN, _MARGIN))
    _write(draw, (_MARGIN, _MARGIN + view.height), ["photo", photo.path.name], left - 2 * _MARGIN)
    for place, (line, tile) in enumerate(zip(lines, tiles, strict=True)):
        across = left + place * (_TILE + _MARGIN)
        page.paste(small(located.gallery.paths[tile], (_TILE, _TILE)), (across, _MARGIN))
        _write(draw, (across, _MARGIN + _TILE), _words(line), _TILE)
    file = BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()


def _words(line: Line) -> list[str]:
    words = [
        f"{line.rank}{'=' if line.tied else ''}   cosine {line.score:.4f}",
        PurePosixPath(line.tile).name,
    ]
    if line.latitude is not None and line.longitude is not None:
        words.append(f"{line.latitude:.6f}, {line.longitude:.6f}")
    if line.metres_from_best:
        words.append(f"{line.metres_from_best:,.0f} m from the first")
    return words


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], width: int
) -> None:
    across, down = place
    for number, line in enumerate(lines):
        colour = _FAINT if number else _INK
        text = _fitting(shown(line), width)
        draw.text((across, down + 4 + number * _TEXT), text, fill=colour, font=lettering(13))


def _fitting(text: str, width: int) -> str:
    """A text with its middle left out if it is too long."""
    most = max(8, width // _LETTER)
    if len(text) <= most:
        return text
    return f"{text[: most // 2 - 2]}...{text[len(text) - most // 2 + 1 :]}"
