"""The failure explorer: which queries a model gets wrong, and what it takes them for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvgl_bench.leaderboard import Board
from cvgl_bench.site.boards import names_of
from cvgl_bench.site.failure_data import (
    MOST_ANSWERS,
    Extent,
    board_script,
    extent_of,
    model_script,
    of_suite,
    worth_a_picture,
)
from cvgl_bench.site.pages import Pages, Site, render
from cvgl_bench.site.pictures import (
    may_be_shown,
    pictures_of,
    query_thumbnails,
    tile_thumbnails,
)
from cvgl_bench.suite import CLEAN

FOLDER: Final = "failures"


@dataclass(frozen=True)
class Limits:
    """How much an explorer holds.

    Attributes:
        answers: queries times cells, a model, at most.
        pictures: corrupted queries shown as pictures, a leaderboard, at most.
        severities: the severities that have pictures.
    """

    answers: int = MOST_ANSWERS
    pictures: int = 1_000
    severities: tuple[int, ...] = (3, 5)


DEFAULT: Final = Limits()


def pages(site: Site, pictures: Path | None, limits: Limits = DEFAULT) -> Pages:
    """Make a leaderboard's explorer each, with its scripts and pictures, under `failures/`.

    Args:
        site: the leaderboards.
        pictures: a CVTown folder, for leaderboards on CVTown; None shows ids alone.
        limits: how much they hold.

    Raises:
        DataError: the folder does not hold the pictures that the runs were made on.
        RecordError: the runs of a leaderboard were not asked the same queries.
    """
    made: Pages = {}
    for board in site.boards:
        made |= _explorer(site, board, pictures, limits)
    return made


def _explorer(site: Site, board: Board, folder: Path | None, limits: Limits) -> Pages:
    label = board.suite.label
    extent = extent_of(board, limits.answers)
    pictured = of_suite(board.suite, limits.severities)
    shown: dict[str, object] | None = None
    made: Pages = {}
    if folder is not None and may_be_shown(board.suite):
        chosen = worth_a_picture(extent, pictured, limits.pictures)
        shown, files = _pictures(board, extent, chosen, folder)
        made |= {f"{FOLDER}/{label}/{name}": data for name, data in files.items()}
    made[f"{FOLDER}/{label}.js"] = board_script(board, extent, shown)
    for entry, run in board.runs.items():
        made[f"{FOLDER}/{label}/{entry}.js"] = model_script(entry, run, extent)
    page = f"{FOLDER}/{label}.html"
    made[page] = render(
        "failures.html",
        site=site,
        page=page,
        board=board,
        extent=extent,
        most_pictures=limits.pictures,
        pictured_severities=pictured,
        severities=sorted({cell.severity for cell in extent.cells} - {0}),
        corruptions=list(dict.fromkeys(cell.corruption for cell in extent.cells)),
        has_pictures=shown is not None,
        names=names_of(board),
        may_be_shown=may_be_shown(board.suite),
        data_folder=f"{label}/",
        others=[each.suite.label for each in site.boards if each is not board],
    )
    return made


def _pictures(
    board: Board, extent: Extent, chosen: dict[int, tuple[int, ...]], folder: Path
) -> tuple[dict[str, object], Pages]:
    """Draw what is shown; returns what the page is told of it, and the files.

    `tile-<n>.webp` is the tile of `ids[n]`; `query-<c>-<n>.webp` the query `ids[n]` in cell c.
    """
    by_id = {pair.id: pair for pair in pictures_of(board, folder).pairs}
    queries = range(len(extent.rows))
    tiles = [number for number, one in enumerate(extent.ids) if one in by_id]
    drawn = chosen | {
        number: tuple(queries)
        for number, cell in enumerate(extent.cells)
        if cell.corruption == CLEAN
    }
    thumbnails = tile_thumbnails(board.suite, [by_id[extent.ids[number]] for number in tiles])
    files = {f"tile-{number}.webp": data for number, data in zip(tiles, thumbnails, strict=True)}
    for number, of_cell in sorted(drawn.items()):
        pairs = [by_id[extent.ids[query]] for query in of_cell]
        thumbnails = query_thumbnails(board.suite, pairs, extent.cells[number])
        for query, data in zip(of_cell, thumbnails, strict=True):
            files[f"query-{number}-{query}.webp"] = data
    return {
        "tiles": tiles,
        "cells": {str(number): drawn[number] for number in sorted(drawn)},
    }, files
