"""One corrupted picture of a photo: what it is, and its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import numpy as np
import PIL
from PIL import Image as PillowImage

from corruptions import CORRUPTIONS, corrupt
from corruptions.codecs import CODECS
from cvgl_bench.codec import codec_name
from cvgl_bench.corrupted_page import WORK, CorruptedPage, Picture
from cvgl_bench.errors import DataError
from cvgl_bench.files import sha256, write_atomically
from cvgl_bench.manifest import versions
from cvgl_bench.own_pictures import Image, Photo, read_photo, shown
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.suite import CLEAN, CODEC_ONLY

Form = Literal["jpg", "png"]
State = tuple[str, int]

# As the suites have it: the published profile is that of files which libjpeg 9d wrote.
CODEC_OF: Final = {"standard": "pillow", "published": "ijg9d"}
_PNG_LEVEL = 1  # Noise is not compressed by any level; the higher ones take ten times as long.


@dataclass(frozen=True)
class Recipe:
    """How pictures are made.

    Attributes:
        seed: of all chance, from 0.
        profile: "standard" or "published".
        form: of the files.
        quality: of JPEG, 1 to 100.
        max_side: shrink photos until no side is longer than this many pixels, before anything else.
    """

    seed: int = 0
    profile: Literal["standard", "published"] = "standard"
    form: Form = "jpg"
    quality: int = 75
    max_side: int | None = None

    @property
    def codec(self) -> str:
        """Which JPEG library reads, writes and compresses."""
        return CODEC_OF[self.profile]

    @property
    def encoding(self) -> str:
        """What encodes, and with which settings."""
        if self.form == "png":
            return f"pillow {PIL.__version__} png, level {_PNG_LEVEL}"
        return codec_name(self.codec, self.quality)

    @property
    def untouched(self) -> State:
        """The state of a picture that nothing but the encoder was applied to."""
        return (CODEC_ONLY if self.form == "jpg" else CLEAN), 0

    def encode(self, pixels: Image) -> bytes:
        """A picture's file, of RGB uint8, (H, W, 3)."""
        if self.form == "jpg":
            return CODECS[self.codec].encode(pixels, self.quality)
        file = BytesIO()
        PillowImage.fromarray(pixels).save(file, "PNG", compress_level=_PNG_LEVEL)
        return file.getvalue()

    def name_of(self, state: State) -> str:
        """A picture's file name."""
        corruption, severity = state
        return f"{corruption}-{severity}.{self.form}" if severity else f"{corruption}.{self.form}"

    def page(self, photo: Photo) -> CorruptedPage:
        """The page of a photo's pictures, before there is one."""
        width, height = _shrunk_size(photo.width, photo.height, self.max_side)
        return CorruptedPage(
            photo=shown(photo.path.name),
            photo_sha256=photo.sha256,
            width=width,
            height=height,
            max_side=self.max_side,
            seed=self.seed,
            profile=self.profile,
            encoding=self.encoding,
            versions=versions(self.codec),
            pictures={},
        )


def states_of(recipe: Recipe, corruptions: Sequence[str], severities: Sequence[int]) -> list[State]:
    """What is asked for: the photo itself, then corruptions in the tables' order by severity."""
    chosen = [name for name in CORRUPTIONS if name in corruptions]
    return [recipe.untouched, *((name, s) for name in chosen for s in sorted({*severities}))]


@dataclass(frozen=True)
class Task:
    """Some states of a photo, which one worker makes."""

    photo: Photo
    folder: Path
    recipe: Recipe
    states: tuple[State, ...]

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.states[0][0]} of {shown(self.photo.path)}"


def render(task: Task) -> tuple[Path, dict[str, Picture]]:
    """Make a task's pictures; returns their folder, and them by name.

    Raises:
        DataError: the photo has changed since it was checked, is too small for the corruption, or
            the folder cannot be written.
    """
    recipe, made = task.recipe, {}
    pixels = _source(task.photo, recipe)
    for state in task.states:
        seed = identity_seed(recipe.seed, "photo", task.photo.sha256, *state)
        data = recipe.encode(_corrupted(task, pixels, state, seed))
        name = recipe.name_of(state)
        scratch = task.folder.parent / WORK
        # Not waited for: what a power cut takes is found by its hash, and made again.
        write_atomically(task.folder / name, data, scratch=scratch, durable=False)
        made[name] = Picture(
            corruption=state[0], severity=state[1], seed=f"{seed:064x}", sha256=sha256(data)
        )
    return task.folder, made


def _corrupted(task: Task, pixels: Image, state: State, seed: int) -> Image:
    if state == task.recipe.untouched:
        return pixels
    try:
        return corrupt(
            pixels,
            *state,
            rng=generator(seed),
            profile=task.recipe.profile,
            codec=CODECS[task.recipe.codec],
        )
    except ValueError as error:
        raise DataError(f"{task.title}: {error}") from error


@lru_cache(maxsize=1)
def _source(photo: Photo, recipe: Recipe) -> Image:
    """A photo's pixels; the last photo is kept for its next corruption."""
    digest, pixels = read_photo(photo.path, CODECS[recipe.codec])
    if digest != photo.sha256:
        raise DataError(f"{shown(photo.path)} has changed since this run began. Start it again.")
    size = _shrunk_size(photo.width, photo.height, recipe.max_side)
    if size != (photo.width, photo.height):
        smaller = PillowImage.fromarray(pixels).resize(size, PillowImage.Resampling.LANCZOS)
        pixels = np.array(smaller)
    pixels.setflags(write=False)
    return pixels


def _shrunk_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Width and height of a photo, at most `max_side` and in its proportions."""
    longest = max(width, height)
    if max_side is None or longest <= max_side:
        return width, height
    share = max_side / longest
    return max(1, round(width * share)), max(1, round(height * share))
