"""cvgl-bench locate: the aerial tiles that a model takes photos of one's own for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from cvgl_bench.cli import options
from cvgl_bench.cli.output import document, json_option, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvgl_bench.embedding_store import EmbeddingStore
    from cvgl_bench.located import Located
    from cvgl_bench.locating import Embedding, Gallery
    from cvgl_bench.models.adapter import Adapter
    from cvgl_bench.own_pictures import Photo
    from cvgl_bench.tile_positions import Positions

_CACHE = Path("runs/embeddings")


@click.command()
@click.argument(
    "photos", metavar="PHOTO...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--gallery", type=options.FOLDER, required=True, help="Aerial tiles in it and below, north up."
)
@options.model
@options.weights
@options.device
@click.option(
    "--top", type=click.IntRange(1, 100), default=5, show_default=True, help="Tiles a photo."
)
@click.option(
    "--positions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A table with the columns file,latitude,longitude; files as from --gallery. Not needed "
    "for VIGOR's file names and CVTown.",
)
@click.option(
    "--fov-degrees",
    type=click.FloatRange(0, 360, min_open=True),
    default=90,
    show_default=True,
    help="What a photo shows from its left to its right side; 360 is a panorama.",
)
@click.option(
    "--cache",
    type=options.FOLDER,
    default=_CACHE,
    show_default=True,
    help="Embeddings of galleries: what is there is not embedded again.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Pictures at once; fewer of large ones.",
)
@click.option("--out", type=options.FOLDER, help="Write answers.csv, and a picture a photo.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    photos: tuple[Path, ...],
    gallery: Path,
    model: str,
    weights: Path | None,
    device: Literal["auto", "cpu", "cuda"],
    top: int,
    positions: Path | None,
    fov_degrees: float,
    cache: Path,
    batch_size: int,
    out: Path | None,
) -> None:
    """Find photos of your own among aerial tiles.

    PHOTO is a file, or a folder of JPEG and PNG files. Give the folders that `corrupt` wrote, and
    it says how each corruption changes the answer.

    A score is the cosine between two embeddings, from -1 to 1. It is no probability: it says which
    tile is more similar than another to this model, not how likely it is the right one, and it
    does not compare between models. The gallery always has a first tile, also where none is right.

    A panorama must have north in its centre column for models that were trained so.
    """
    from cvgl_bench.embedding import is_told_fov, resolve_device
    from cvgl_bench.embedding_store import EmbeddingStore
    from cvgl_bench.locate_panels import panel_paths, write_answers
    from cvgl_bench.locating import Embedding, open_gallery
    from cvgl_bench.models import load
    from cvgl_bench.own_pictures import check_photos, find_pictures
    from cvgl_bench.tile_positions import find_positions

    resolve_device(device)
    paths = find_pictures(photos)
    if out:
        panel_paths(paths, out)
    checked = check_photos(paths)
    tiles = open_gallery(gallery)
    places = find_positions(gallery, tiles.names, positions)
    adapter = load(model, weights)
    told = is_told_fov(adapter)
    by_default = ctx.get_parameter_source("fov_degrees") is ParameterSource.DEFAULT
    remarks = _on_view(checked, adapter.name, fov_degrees, told=told, by_default=by_default)
    _say(remarks)
    how = Embedding(adapter, device, batch_size, fov_degrees)
    try:
        located = _locate(how, checked, tiles, places, EmbeddingStore(cache), top)
    except KeyboardInterrupt:
        options.say("stopped; nothing was written.")
        ctx.exit(options.INTERRUPTED)
    fov = fov_degrees if told else None
    _tell(located, adapter, fov, remarks, write_answers(located, out) if out else [])


def _tell(
    located: Located,
    model: Adapter,
    fov_degrees: float | None,
    remarks: Sequence[str],
    written: Sequence[Path],
) -> None:
    """Print the answers; `fov_degrees` is None where the model is not told it."""
    from cvgl_bench.located_text import described, tables
    from cvgl_bench.own_pictures import shown

    said = located.remarks()
    _say(said)
    photos, tiles = located.photos, located.gallery
    count = "1 photo" if len(photos) == 1 else f"{len(photos):,} photos"
    view = count if fov_degrees is None else f"{count} of {fov_degrees:g} degrees"
    show(f"{model.name}: {view} among {len(tiles):,} tiles of {shown(tiles.folder)}")
    show(tables(located))
    if written:
        show(f"\nwritten: {shown(written[0])} and a picture a photo beside it")
    document(
        {
            "model": model.name,
            "weights_sha256": model.weights_sha256,
            "fov_degrees": fov_degrees,
            **described(located),
            "remarks": [*remarks, *said],
            "files": [shown(path) for path in written],
        }
    )


def _say(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        options.say(sentence)


def _on_view(
    photos: Sequence[Photo], model: str, fov_degrees: float, *, told: bool, by_default: bool
) -> list[str]:
    """What a user should know of the field of view that the photos are taken to have."""
    from cvgl_bench.own_pictures import shown

    if not told:
        if by_default:
            return []
        return [f"{model} is not told the field of view: --fov-degrees changes nothing."]
    wide = [photo for photo in photos if photo.width >= 2 * photo.height]
    if not (by_default and wide):
        return []
    first = wide[0]
    return [
        f"{shown(first.path)} is {first.width} x {first.height}, as panoramas are; it is taken to "
        f"show {fov_degrees:g} degrees. Give --fov-degrees 360 if it shows all around."
    ]


def _locate(
    how: Embedding,
    photos: Sequence[Photo],
    tiles: Gallery,
    places: Positions,
    store: EmbeddingStore,
    top: int,
) -> Located:
    """Embed photos and tiles behind a progress bar, and compare them."""
    from cvgl_bench.located import Located
    from cvgl_bench.nearest_tiles import answer

    with options.progress_bar(len(photos) + len(tiles), how.adapter.name) as bar:
        # The photos come first: what is wrong with them shall not be found after a long gallery.
        photo_rows = how.photos(photos, bar.update)
        tile_rows = how.gallery(tiles, store, options.say, bar.update)
    answers = answer(photo_rows, tile_rows, top)
    return Located(tuple(photos), tiles, places, photo_rows, tile_rows, tuple(answers))
