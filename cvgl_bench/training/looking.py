"""What a network in training makes of pictures: neighbours to train on, and R@1."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from cvgl_bench.datasets import Pair
from cvgl_bench.embedding import Device, embed, resolve_device
from cvgl_bench.models.reference import Encoders
from cvgl_bench.ranking import check_embeddings, rank_all
from cvgl_bench.scores import recall_at
from cvgl_bench.training.pictures import InMemory, PairPictures
from cvgl_bench.views import crop, draw_heading

Pictures = PairPictures | InMemory
READERS = 4


def recall(
    encoders: Encoders,
    pictures: Pictures,
    pairs: Sequence[Pair],
    *,
    fov_degrees: float | None,
    device: Device,
) -> float:
    """R@1 of pairs among their own tiles, as a fraction, by the benchmark's own ranks.

    Args:
        encoders: the network.
        pictures: of the pairs, at the network's size.
        pairs: what they are of; a query's direction follows from its id.
        fov_degrees: the queries' field of view, in an unknown direction; None for whole ones that
            are aligned.
        device: where the network is.
    """
    numbers = range(len(pairs))
    queries, references = _embedded(
        encoders, pictures, pairs, (numbers, fov_degrees, 0), device=device
    )
    for embeddings in (queries, references):
        check_embeddings(embeddings, "the embeddings of the network in training")
    ranking = rank_all(queries, references, numbers, device=str(resolve_device(device)))
    return recall_at(ranking.ranks, 1)


def embedded_by_all(
    accelerator: Accelerator,
    encoders: Encoders,
    pictures: Pictures,
    pairs: Sequence[Pair],
    *,
    view: tuple[float | None, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embed all pairs, each process a share; every process gets all rows, queries and references.

    Args:
        accelerator: knows the processes.
        encoders: the network.
        pictures: of the pairs, at the network's size.
        pairs: what they are of.
        view: the queries' field of view as in `recall`, and the seed of their directions.
    """
    shares = np.array_split(np.arange(len(pairs)), accelerator.num_processes)
    numbers = shares[accelerator.process_index].tolist()
    kind: Device = "cuda" if accelerator.device.type == "cuda" else "cpu"
    own = _embedded(encoders, pictures, pairs, (numbers, *view), device=kind)
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = gather_object([own])
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _embedded(
    encoders: Encoders,
    pictures: Pictures,
    pairs: Sequence[Pair],
    chosen: tuple[Sequence[int], float | None, int],
    *,
    device: Device,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    numbers, fov_degrees, seed = chosen

    def view(number: int) -> NDArray[np.uint8]:
        whole = pictures.ground(number).permute(1, 2, 0).numpy()
        if fov_degrees is None:
            return whole
        heading = draw_heading(seed, "training", pairs[number].id)
        return crop(whole, heading_degrees=heading, fov_degrees=fov_degrees)

    def tile(number: int) -> NDArray[np.uint8]:
        return pictures.aerial(number).permute(1, 2, 0).numpy()

    references = embed(encoders, _ahead(tile, numbers), side="aerial", device=device)
    fov = fov_degrees or 360.0
    queries = embed(encoders, _ahead(view, numbers), side="ground", device=device, fov_degrees=fov)
    return queries, references


def _ahead(
    read: Callable[[int], NDArray[np.uint8]], numbers: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    """Read in a few threads, in order, never more than a few pictures ahead of their use."""
    with ThreadPoolExecutor(READERS) as pool:
        upcoming: deque[Future[NDArray[np.uint8]]] = deque()
        for number in numbers:
            upcoming.append(pool.submit(read, number))
            if len(upcoming) > 4 * READERS:
                yield upcoming.popleft().result()
        while upcoming:
            yield upcoming.popleft().result()
