"""The pictures to train on: decoded, at the network's size, in batches of a planned order."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from cvgl_bench.codec import decode
from cvgl_bench.datasets import Pair
from cvgl_bench.errors import CvglBenchError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.files import read
from cvgl_bench.models.config import Config
from cvgl_bench.models.inputs import resize_aerial, resize_ground

Item = tuple[Tensor, Tensor]
"""A pair's panorama and tile, or a batch of them: uint8, ([B,] 3, H, W)."""


@dataclass(frozen=True)
class PairPictures(TorchDataset[Item]):
    """Pairs whose pictures are decoded and resized each time that they are asked for.

    They are resized as an evaluation with the same configuration does it, then rounded to bytes.

    Attributes:
        pairs: which pictures.
        config: names their sizes.

    Raises:
        DataError: on asking for it, a picture is missing or broken.
    """

    pairs: Sequence[Pair]
    config: Config

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Item:
        return self.ground(index), self.aerial(index)

    def ground(self, index: int) -> Tensor:
        """One whole panorama, uint8, (3, H, W)."""
        return _resized(self.pairs[index].ground, self.config, resize_ground)

    def aerial(self, index: int) -> Tensor:
        """One tile, uint8, (3, H, W)."""
        return _resized(self.pairs[index].aerial, self.config, resize_aerial)


@dataclass(frozen=True)
class InMemory(TorchDataset[Item]):
    """Pairs whose pictures were decoded once.

    Attributes:
        grounds: whole panoramas, uint8, (N, 3, H, W).
        aerials: their tiles, likewise.
    """

    grounds: Tensor
    aerials: Tensor

    def __len__(self) -> int:
        return len(self.grounds)

    def __getitem__(self, index: int) -> Item:
        return self.ground(index), self.aerial(index)

    def ground(self, index: int) -> Tensor:
        """One whole panorama, uint8, (3, H, W)."""
        return self.grounds[index]

    def aerial(self, index: int) -> Tensor:
        """One tile, uint8, (3, H, W)."""
        return self.aerials[index]


def needed_bytes(pictures: PairPictures) -> int:
    """How much memory `in_memory` takes for these pictures."""
    config = pictures.config
    pixels = sum(height * width for height, width in (config.ground_size, config.aerial_size))
    return 3 * len(pictures) * pixels


def in_memory(
    pictures: PairPictures, *, readers: int = 4, progress: Progress = no_progress
) -> InMemory:
    """Decode all pictures once; takes `needed_bytes(pictures)`.

    Args:
        pictures: of the pairs.
        readers: threads that decode.
        progress: is told how many pairs were read since the last call.

    Raises:
        DataError: a picture is missing or broken.
    """
    sizes = pictures.config.ground_size, pictures.config.aerial_size
    grounds, aerials = (torch.empty((len(pictures), 3, *size), dtype=torch.uint8) for size in sizes)

    def read_pair(index: int) -> None:
        grounds[index], aerials[index] = pictures[index]

    with ThreadPoolExecutor(readers) as pool:
        for _ in pool.map(read_pair, range(len(pictures))):
            progress(1)
    return InMemory(grounds, aerials)


class Batches:
    """Batches of panoramas and tiles in the order of one plan after another.

    Nothing here draws from a random state. Worker processes live from the first plan on until this
    is no longer used.

    Args:
        pictures: of the pairs, `InMemory` or not.
        workers: processes that decode a batch each, ahead of its use; 0 decodes in this one.
            What is in memory needs none.
    """

    def __init__(self, pictures: TorchDataset[Item], *, workers: int = 0) -> None:
        self._pictures = pictures
        self._order = _Order()
        self._loader = DataLoader(
            _ByBatch(pictures),
            batch_size=None,
            sampler=self._order,
            num_workers=workers,
            persistent_workers=workers > 0,
            # Otherwise the loader draws a seed for its workers from torch's global random state.
            generator=torch.Generator(),
            multiprocessing_context=_context() if workers else None,
        )

    def of(self, plan: NDArray[np.int64]) -> Iterator[Item]:
        """Yield a plan's batches, uint8, (B, 3, H, W) each; they lie where the pictures do.

        Args:
            plan: which pairs make each batch, (batches, B); see `sampling.epoch_batches`.

        Raises:
            DataError: a picture is missing or broken.
            CvglBenchError: a worker died.
        """
        if isinstance(self._pictures, InMemory):
            for numbers in plan:
                places = torch.from_numpy(numbers.copy()).to(self._pictures.grounds.device)
                yield self._pictures.grounds[places], self._pictures.aerials[places]
            return
        self._order.plan = plan
        for batch in _until_a_worker_dies(self._loader):
            if isinstance(batch, CvglBenchError):
                raise batch
            grounds, aerials = batch
            yield grounds, aerials


class _Order(Sampler[NDArray[np.int64]]):
    """The plan whose batches are next."""

    plan: NDArray[np.int64] = np.empty((0, 0), np.int64)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return iter(self.plan)

    def __len__(self) -> int:
        return len(self.plan)


@dataclass(frozen=True)
class _ByBatch(TorchDataset[Item | CvglBenchError]):
    """Whole batches; an error is handed back, since the loader would bury it in a traceback."""

    pictures: TorchDataset[Item]

    def __getitem__(self, numbers: NDArray[np.int64]) -> Item | CvglBenchError:
        try:
            grounds, aerials = zip(*map(self.pictures.__getitem__, numbers), strict=True)
        except CvglBenchError as error:
            return error
        return torch.stack(grounds), torch.stack(aerials)


def _until_a_worker_dies(
    loader: DataLoader[Item | CvglBenchError],
) -> Iterator[Item | CvglBenchError]:
    try:
        yield from loader
    except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
        # The loader notices it, or the connection to a batch that the worker still holds breaks.
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        raise CvglBenchError(
            "a process that decodes pictures died (killed, or out of memory): use fewer workers if "
            "memory is short."
        ) from error


def _context() -> BaseContext:
    """Where workers come from: a fresh process that has imported this module once.

    A copy of this process could wait for ever for a lock that one of its threads held.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _resized(path: Path, config: Config, resize: Callable[[Tensor, Config], Tensor]) -> Tensor:
    image = torch.from_numpy(decode(read(path), str(path)))
    return resize(image.permute(2, 0, 1)[None].float(), config)[0].round_().byte()
