"""What `locate` found, as tables to read and as a document for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tabulate import tabulate

from cvgl_bench.located import Line, Located, Series
from cvgl_bench.own_pictures import shown

_TEXTS: Final = {"tile", "corruption", "picture", "is taken for"}


def tables(located: Located) -> str:
    """Print answers and changes: a table a photo, and one a folder of corrupted pictures."""
    parts = []
    for number in located.alone:
        photo = located.photos[number]
        parts.append(f"{shown(photo.path)} ({photo.width} x {photo.height})")
        parts.append(_answer(located.lines(number)) + "\n")
    parts += [_series_text(located, series) for series in located.series]
    return "\n" + "\n".join(parts).rstrip()


def _answer(lines: Sequence[Line]) -> str:
    rows = [
        [
            f"{line.rank}{'=' if line.tied else ''}",
            f"{line.score:.4f}",
            shown(line.tile),
            _number(line.latitude, 6),
            _number(line.longitude, 6),
            _number(line.metres_from_best, 1),
        ]
        for line in lines
    ]
    return _table(["rank", "score", "tile", "latitude", "longitude", "metres from the first"], rows)


def _series_text(located: Located, series: Series) -> str:
    """Two tables: which rank the first answer has now, and what stands in its place."""
    first = shown(located.gallery.names[located.answers[series.base].best])
    severities = sorted({change.severity for change in series.changes})
    ranks = {(one.corruption, one.severity): str(one.first_rank) for one in series.changes}
    grid = [
        [name, *(ranks.get((name, severity), "") for severity in severities)]
        for name in dict.fromkeys(name for name, _ in ranks)
    ]
    kept = f"{series.kept} of {len(series.changes)} pictures"
    parts = [
        f"{shown(series.folder)}: the rank of {first}, by severity (first in {kept})",
        _table(["corruption", *map(str, severities)], grid),
    ]
    lost = [
        [
            Path(change.picture).stem,
            shown(change.tile),
            f"{change.score:.4f}",
            _number(change.metres, 1),
        ]
        for change in series.changes
        if change.first_rank > 1
    ]
    if lost:
        parts += ["", _table(["picture", "is taken for", "score", "metres away"], lost)]
    return "\n".join(parts) + "\n"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Print a table, without the columns that hold nothing at all."""
    used = [n for n in range(len(head)) if any(row[n] != "-" for row in rows)]
    heads = [head[n] for n in used]
    sides = ["left" if name in _TEXTS else "right" for name in heads]
    cells = [[row[n] for n in used] for row in rows]
    return tabulate(cells, heads, tablefmt="github", colalign=sides, disable_numparse=True)


def described(located: Located) -> dict[str, object]:
    """The gallery, photos with their answers, and changes, for JSON."""
    gallery = located.gallery
    return {
        "gallery": {
            "folder": shown(gallery.folder),
            "tiles": len(gallery),
            "sha256": gallery.sha256,
            "positions_known": located.positions.known,
        },
        "photos": [_photo(located, number) for number in range(len(located.photos))],
        "series": [_series(series) for series in located.series],
    }


def _photo(located: Located, number: int) -> dict[str, object]:
    photo, found = located.photos[number], located.answers[number]
    return {
        "photo": shown(photo.path),
        "sha256": photo.sha256,
        "width": photo.width,
        "height": photo.height,
        "tied_first": found.tied,
        "answers": [{**vars(line), "tile": shown(line.tile)} for line in located.lines(number)],
    }


def _series(series: Series) -> dict[str, object]:
    return {
        "folder": shown(series.folder),
        "kept": series.kept,
        "changes": [{**vars(one), "tile": shown(one.tile)} for one in series.changes],
    }
