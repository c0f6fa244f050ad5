"""A data set around another, whose pictures are corrupted."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from PIL import Image as PillowImage
from torch import Tensor
from torch.utils.data import Dataset

from corruptions.transforms.pictures import corrupt_picture
from corruptions.transforms.transforms import Corruption

Item = TypeVar("Item")


class Corrupted(Dataset[Item]):
    """A map-style data set, its pictures corrupted; item i is the same whatever worker makes it.

    The picture of item i becomes `corrupt_picture(picture, name, severity,
    rng=numpy.random.default_rng([seed, i]))`.

    Args:
        dataset: with a length, and items that are a picture or hold one.
        name: one of CORRUPTIONS.
        severity: 1 (mild) to 5 (severe).
        seed: from 0; another one draws anew.
        at: where in an item the picture is: a place in a tuple or list, a key of a mapping, or None
            if the item is the picture.
        profile: "standard" or "published".

    Raises:
        ValueError: an argument is not as described.
    """

    def __init__(
        self,
        dataset: Dataset[Item] | Sequence[Item],
        name: str,
        severity: int,
        *,
        seed: int = 0,
        at: int | str | None = None,
        profile: str = "standard",
    ) -> None:
        if seed is None:
            raise ValueError("Without a seed no item is the same twice: give one from 0.")
        self.dataset = cast("Sequence[Item]", dataset)
        self.seed, self.at = seed, at
        self.how = Corruption(name, severity, profile=profile, seed=seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Item:
        """Item `index`, corrupted; from the end if below 0.

        Raises:
            IndexError: there is no such item.
            ValueError: it holds no picture where `at` says.
        """
        count, place = len(self), operator.index(index)
        if not -count <= place < count:
            raise IndexError(f"There are {count} items and no item {place}.")
        place %= count
        item, rng = self.dataset[place], np.random.default_rng([self.seed, place])
        if self.at is None:
            return self._corrupted(item, rng)
        return _with(item, self.at, self._corrupted(_member(item, self.at), rng))

    def _corrupted(self, picture: Item, rng: np.random.Generator) -> Item:
        if not isinstance(picture, (Tensor, np.ndarray, PillowImage.Image)):
            raise ValueError(
                f"A {type(picture).__name__} is no picture: say with `at` where in an item it is, "
                'such as at=0 or at="ground".'
            )
        how = self.how
        return corrupt_picture(picture, how.name, how.severity, rng=rng, profile=how.profile)


def _member(item: object, at: int | str) -> Any:  # noqa: ANN401
    try:
        return cast("Any", item)[at]
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"The item, a {type(item).__name__}, has nothing at {at!r}.") from error


def _with(item: Item, at: int | str, picture: object) -> Item:
    """A copy of an item with another picture."""
    if isinstance(item, Mapping):
        return cast("Item", {**item, at: picture})
    members = list(cast("Sequence[object]", item))
    members[cast("int", at)] = picture
    if hasattr(item, "_fields"):
        return type(item)(*members)
    return cast("Item", members if isinstance(item, list) else tuple(members))
