"""What is drawn for each picture of a batch, and changing only some of a batch's pictures."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cvgl_bench.seeding import generator, identity_seed


def draws(name: str, seed: int, first: int, count: int, numbers: int) -> Tensor:
    """Draw numbers in [0, 1), float64, (count, numbers), on the CPU.

    Row k follows from the name, the seed and `first` + k alone.

    Args:
        name: what they are for, so that one seed serves for several things.
        seed: of the batch.
        first: place of the first row in the whole batch.
        count: rows.
        numbers: columns.
    """
    table = generator(identity_seed(name, seed)).random((first + count, numbers))
    return torch.from_numpy(table[first:])


class Change(NamedTuple):
    """What is done to some of a batch's pictures.

    Attributes:
        chosen: which, (B,) bool on the CPU, so that no device is waited for.
        make: makes as many pictures of the same size from pictures and their parameters.
        parameters: a row a picture, (B, ...) each; given as numbers of the images' kind.
    """

    chosen: Tensor
    make: Callable[..., Tensor]
    parameters: tuple[Tensor, ...] = ()


def changed(images: Tensor, *changes: Change) -> Tensor:
    """Change some pictures, (B, C, H, W), each at most once; the others stay as they are."""
    result = images.clone()
    for chosen, make, parameters in changes:
        rows = chosen.nonzero()[:, 0]
        if not len(rows):
            continue
        own = [each[rows].to(images) for each in parameters]
        places = rows.to(images.device)
        result.index_copy_(0, places, make(images[places], *own))
    return result
