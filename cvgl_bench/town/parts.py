"""What a district adds to a data set, as it waits on disk for the others."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cvgl_bench.datasets.base import inside
from cvgl_bench.errors import DataError
from cvgl_bench.files import sha256, write_atomically
from cvgl_bench.town.order import Order


@dataclass(frozen=True)
class Part:
    """What a district adds to a data set.

    Attributes:
        pictures: their paths under the root.
        lines: list file -> the lines that it gets from this district.
    """

    pictures: list[str]
    lines: dict[str, list[str]]


class _PartPage(BaseModel):
    """A part on disk, the size of every picture in bytes, and the order that it was made for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    order: str
    pictures: list[str]
    sizes: list[int]
    lines: dict[str, list[str]]


def write_part(order: Order, district: int, part: Part) -> None:
    """Write a district's part, after its pictures."""
    page = _PartPage(
        order=_digest(order),
        pictures=part.pictures,
        sizes=[(order.root / picture).stat().st_size for picture in part.pictures],
        lines=part.lines,
    )
    content = (page.model_dump_json(indent=2) + "\n").encode()
    write_atomically(_path(order, district), content, scratch=order.scratch, durable=False)


def read_part(order: Order, district: int, lists: frozenset[str]) -> Part | None:
    """Read a district's part.

    Args:
        order: what is made.
        district: its number.
        lists: every list file of the form.

    Returns:
        None if it is not there or damaged, or a picture of it is not as it was written: a power cut
        leaves files empty that had not reached the disk.

    Raises:
        DataError: it was made for another order, or names files outside the root.
    """
    path = _path(order, district)
    try:
        page = _PartPage.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if page.order != _digest(order):
        raise DataError(
            f"{path} is of another town than was asked for: shards with other seeds, numbers of "
            f"pairs or sizes do not go together. Remove {order.scratch}."
        )
    if page.lines.keys() != lists or len(page.sizes) != len(page.pictures):
        return None
    for picture, size in zip(page.pictures, page.sizes, strict=True):
        file = inside(order.root, picture, path)
        if "\0" in picture or not file.is_file() or file.stat().st_size != size:
            return None
    return Part(page.pictures, page.lines)


def _path(order: Order, district: int) -> Path:
    return order.scratch / "parts" / f"{district:05d}.json"


def _digest(order: Order) -> str:
    return sha256(encoded(order.page()))


def encoded(page: dict[str, Any]) -> bytes:
    """A page as its file holds it."""
    return (json.dumps(page, indent=2) + "\n").encode()
