"""Photos of the user's own against a gallery of aerial tiles: which tiles a model takes them for.

The gallery is embedded once: a store keeps its embeddings under the hash of the model and of all
tiles' bytes. The photos are embedded each time.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corruptions.codecs import PILLOW
from cvgl_bench.arrays import read_embeddings
from cvgl_bench.batch_size import BatchSize
from cvgl_bench.codec import decode
from cvgl_bench.embedding import (
    Device,
    Encoding,
    embed_batches,
    resolve_device,
)
from cvgl_bench.embedding_identity import Identity, key_of, model_identity
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore
from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, counted, no_progress
from cvgl_bench.files import read, sha256
from cvgl_bench.models.adapter import Adapter
from cvgl_bench.nearest_tiles import Rows
from cvgl_bench.own_pictures import Photo, find_pictures, hash_tiles, read_photo, shown

Image = NDArray[np.uint8]

# A batch is decoded whole, at the pictures' own size: 12 bytes a pixel as float32, and copies.
_PIXELS_AT_ONCE: Final = 32_000_000
# Where data sets keep their tiles, beside street pictures that are none.
_TILE_FOLDERS = ("bingmap", "satellite", "satview_polish")


@dataclass(frozen=True)
class Gallery:
    """Aerial tiles.

    Attributes:
        folder: where they lie.
        paths: each.
        hashes: SHA-256 of each file.
        largest: pixels of the largest.
    """

    folder: Path
    paths: tuple[Path, ...]
    hashes: tuple[str, ...]
    largest: int

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their paths in the folder, with slashes."""
        return tuple(path.relative_to(self.folder).as_posix() for path in self.paths)

    @property
    def sha256(self) -> str:
        """Hash over the tiles' hashes in their order."""
        return sha256("\n".join(self.hashes).encode())

    def images(self) -> Iterator[Image]:
        """Yield the tiles, RGB uint8, (H, W, 3).

        Raises:
            DataError: one is broken, or has changed since it was hashed.
        """
        for path, digest in zip(self.paths, self.hashes, strict=True):
            data = read(path)
            if sha256(data) != digest:
                raise DataError(f"{shown(path)} has changed since this run began. Start it again.")
            yield decode(data, shown(path))


def open_gallery(folder: Path) -> Gallery:
    """List a folder of tiles, with all below it.

    Raises:
        DataError: there is no such folder or tile, it holds street pictures too, or tiles that are
            no pictures.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{shown(folder)}' of tiles. Set --gallery.")
    for name in _TILE_FOLDERS:
        if (folder / name).is_dir():
            raise DataError(
                f"{shown(folder)} is a data set's folder, with street pictures beside the tiles. "
                f"Give --gallery {shown(folder / name)}."
            )
    paths = find_pictures([folder])
    looked = hash_tiles(paths)
    hashes = tuple(digest for digest, _ in looked)
    return Gallery(folder, tuple(paths), hashes, max(pixels for _, pixels in looked))


@dataclass(frozen=True)
class Embedding:
    """How pictures go through a model.

    Attributes:
        adapter: the model.
        device: where it runs.
        batch_size: the most pictures at once; fewer of large ones.
        fov_degrees: how much of 360 degrees the photos show, for a model that asks.
    """

    adapter: Adapter
    device: Device = "auto"
    batch_size: int = 32
    fov_degrees: float = 360.0

    def gallery(
        self,
        gallery: Gallery,
        store: EmbeddingStore,
        tell: Callable[[str], object],
        progress: Progress = no_progress,
    ) -> Rows:
        """Embeddings of a gallery, those of the store if it has them.

        Args:
            gallery: the tiles.
            store: where they are kept.
            tell: told what a user should know, a sentence at a time.
            progress: told how many tiles more are done.

        Returns:
            (N, D) float32.

        Raises:
            CvglBenchError: a tile or an embedding is broken, or the store cannot be written.
        """
        identity = self._identity(gallery)
        if identity is None:
            tell(
                f"nothing tells {self.adapter.name} from another model of its name, so that its "
                "embeddings are not kept."
            )
            return np.concatenate(list(self._tiles(gallery, [], progress)))
        array = store.array(key_of(identity))
        if self._is_kept(store, identity, len(gallery), tell):
            progress(len(gallery))
            return read_embeddings(array, len(gallery), "the gallery")
        from cvgl_bench.evaluation_folder import environment_of

        seconds: list[float] = []
        with closing(self._tiles(gallery, seconds, progress)) as batches:
            digest, width = store.write(key_of(identity), batches, len(gallery))
        page = ArrayPage(
            identity=identity,
            rows=len(gallery),
            width=width,
            sha256=digest,
            seconds=sum(seconds),
            environment=environment_of(str(resolve_device(self.device))),
        )
        store.settle(page)
        return read_embeddings(array, len(gallery), "the gallery")

    def _tiles(
        self, gallery: Gallery, seconds: list[float], progress: Progress
    ) -> Generator[Rows, None, None]:
        encoding = Encoding(self.adapter, "aerial", resolve_device(self.device))
        images = counted(gallery.images(), progress)
        size = self._size(gallery.largest)
        return embed_batches(encoding, images, size=size, clock=seconds.append)

    @staticmethod
    def _is_kept(
        store: EmbeddingStore, identity: Identity, rows: int, tell: Callable[[str], object]
    ) -> bool:
        """Whether the store has the array; one that is damaged is told of, and counts as none."""
        try:
            return store.find(identity, rows, "the gallery") is not None
        except DataError as error:
            tell(f"{error} It is made again.")
            return False

    def photos(self, photos: Sequence[Photo], progress: Progress = no_progress) -> Rows:
        """Embeddings of photos, upright, (N, D) float32.

        Raises:
            CvglBenchError: a photo has changed, or an embedding is broken.
        """
        size = self._size(max(photo.width * photo.height for photo in photos))
        place = resolve_device(self.device)
        encoding = Encoding(self.adapter, "ground", place, self.fov_degrees)
        images = counted((_again(photo) for photo in photos), progress)
        return np.concatenate(list(embed_batches(encoding, images, size=size)))

    def _size(self, largest: int) -> BatchSize:
        return BatchSize(max(1, min(self.batch_size, _PIXELS_AT_ONCE // largest)))

    def _identity(self, gallery: Gallery) -> Identity | None:
        """What the gallery's embeddings are, as an evaluation of the same tiles names them."""
        model = model_identity(self.adapter)
        if model is None:
            return None
        codec = f"{PILLOW.name} {PILLOW.version}"
        images = {"codec": codec, "files": gallery.sha256}
        return {"model": model, "images": images, "dtype": "float32", "side": "aerial"}


def _again(photo: Photo) -> Image:
    digest, pixels = read_photo(photo.path)
    if digest != photo.sha256:
        raise DataError(f"{shown(photo.path)} has changed since this run began. Start it again.")
    return pixels
