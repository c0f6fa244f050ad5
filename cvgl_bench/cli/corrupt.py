"""cvgl-bench corrupt: the corruptions of photos of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cvgl_bench.cli import completing, options
from cvgl_bench.cli.output import document, json_option, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvgl_bench.corrupted_picture import Recipe
    from cvgl_bench.corrupting import Result
    from cvgl_bench.own_pictures import Photo

# The corruptions reach a fixed number of pixels; this is what the benchmark's pictures have.
_USUAL_SIDE = 1232


@click.command()
@click.argument(
    "photos", metavar="PHOTO...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=options.FOLDER, required=True, help="Gets a folder a photo.")
@click.option(
    "--corruptions",
    type=options.CommaList(),
    shell_complete=completing.corruptions,
    help="Only these. Default: all 16.",
)
@click.option("--severities", type=options.Severities(), help="Only these. Default: 1,2,3,4,5.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all chance.")
@click.option(
    "--profile",
    type=click.Choice(["standard", "published"]),
    default="standard",
    show_default=True,
    help="The definitions, or what the released sets really contain.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jpg", "png"]),
    default="jpg",
    show_default=True,
    help="Of the pictures' files.",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), help="Of JPEG. Default: 75, as in the benchmark."
)
@click.option(
    "--max-side",
    type=click.IntRange(16),
    metavar="PIXELS",
    help=f"Shrink photos first until no side is longer, such as {_USUAL_SIDE}.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--sheet/--no-sheet", default=True, show_default=True, help="A contact sheet a photo."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    photos: tuple[Path, ...],
    out: Path,
    corruptions: tuple[str, ...] | None,
    severities: tuple[int, ...] | None,
    seed: int,
    profile: Literal["standard", "published"],
    form: Literal["jpg", "png"],
    quality: int | None,
    max_side: int | None,
    workers: int,
    sheet: bool,
) -> None:
    """Corrupt photos of your own.

    PHOTO is a file, or a folder of JPEG and PNG files. Writes into OUT/<photo>: a picture a
    corruption and severity (fog-3.jpg), the photo without corruption (codec_only.jpg),
    corrupted.json with seeds and hashes, and a contact sheet. Photos are turned upright as their
    EXIF data say.

    The same photo and seed give the same bytes wherever the photo lies and whatever else is made.
    Run again after a kill, or with more corruptions: what is there is kept. If one photo cannot be
    used, nothing is made of the others.
    """
    from cvgl_bench.codec import usable_codec
    from cvgl_bench.corrupted_picture import Recipe
    from cvgl_bench.corrupting import folders_of
    from cvgl_bench.own_pictures import check_photos, find_pictures, shown

    if form == "png" and quality is not None:
        raise click.UsageError("--quality is of JPEG; PNG loses nothing.")
    names, levels = _chosen(corruptions, severities)
    recipe = Recipe(seed, profile, form, quality or 75, max_side)
    codec = usable_codec(recipe.codec)
    paths = find_pictures(photos, leave_out=out)
    folders_of(paths, out)
    checked = check_photos(paths, codec)
    _remark_on_size(checked, max_side)
    try:
        results = _run(checked, out, recipe, (names, levels), workers, sheet)
    except KeyboardInterrupt:
        options.stop(ctx, shown(out))
    _report(results, out, recipe)


def _chosen(
    corruptions: tuple[str, ...] | None, severities: tuple[int, ...] | None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    from corruptions import CORRUPTIONS
    from cvgl_bench.errors import SuiteError, unknown

    names = tuple(CORRUPTIONS) if corruptions is None else corruptions
    levels = (1, 2, 3, 4, 5) if severities is None else severities
    for name in names:
        if name not in CORRUPTIONS:
            raise SuiteError(unknown("corruption", name, CORRUPTIONS))
    for level in levels:
        if level not in range(1, 6):
            raise SuiteError(f"a severity is a whole number from 1 to 5, not {level}.")
    return names, levels


def _remark_on_size(photos: Sequence[Photo], max_side: int | None) -> None:
    from cvgl_bench.own_pictures import shown

    large = [p for p in photos if min(max(p.width, p.height), max_side or 10**9) > 2 * _USUAL_SIDE]
    if large:
        first = large[0]
        options.say(
            f"{len(large)} of {len(photos)} photos are large (first: {shown(first.path)}, "
            f"{first.width} x {first.height}). A severity is so many pixels of blur or grain, "
            "which show less the larger the photo is; the benchmark's pictures are "
            f"{_USUAL_SIDE} wide, and --max-side {_USUAL_SIDE} makes photos like them."
        )


def _run(
    photos: Sequence[Photo],
    out: Path,
    recipe: Recipe,
    chosen: tuple[tuple[str, ...], tuple[int, ...]],
    workers: int,
    sheet: bool,
) -> list[Result]:
    from cvgl_bench.corrupted_picture import states_of
    from cvgl_bench.corrupting import corrupt_photos

    states = states_of(recipe, *chosen)
    with options.progress_bar(len(photos) * len(states), "corrupt") as bar:
        return corrupt_photos(
            photos, out, recipe, states, workers=workers, sheets=sheet, progress=bar.update
        )


def _report(results: Sequence[Result], out: Path, recipe: Recipe) -> None:
    from cvgl_bench.own_pictures import shown

    for result in results:
        sheet = f", {result.sheet.name}" if result.sheet else ""
        show(f"{shown(result.folder)}: {len(result.pictures)} pictures{sheet}")
    pictures, made = sum(len(r.pictures) for r in results), sum(r.made for r in results)
    there = f", of which {pictures - made:,} were there" if made < pictures else ""
    photos = "1 photo" if len(results) == 1 else f"{len(results):,} photos"
    show(f"{photos}, {pictures:,} pictures{there}: profile {recipe.profile}, seed {recipe.seed}.")
    document(
        {
            "out": shown(out),
            "profile": recipe.profile,
            "seed": recipe.seed,
            "encoding": recipe.encoding,
            "max_side": recipe.max_side,
            "photos": [
                {
                    "photo": shown(result.photo.path),
                    "sha256": result.photo.sha256,
                    "folder": shown(result.folder),
                    "pictures": result.pictures,
                    "made": result.made,
                    "sheet": shown(result.sheet) if result.sheet else None,
                }
                for result in results
            ],
        }
    )
