"""The town on disk: districts rendered one by one, here or elsewhere, then put together.

A district is built once, by one worker, which holds nothing but this district. When its pictures
are there, its part of the lists is written under ROOT/.unfinished/<area>; whoever finds every part
there, and every picture that they name, writes the lists, and last the page <area>.json. So
workers, shards, folders that were copied together, kills and resumes change no byte.

Pair k stands in district (k - 1) // CAMERAS, and every district and picture is drawn from its own
seed, so a pair is the same whatever the number of pairs.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import settle, sha256, write_atomically
from cvgl_bench.town import pairs as cvusa_layout
from cvgl_bench.town import vigor as vigor_layout
from cvgl_bench.town.order import UNFINISHED, Order, Part, check_order
from cvgl_bench.town.regions import REGIONS

PAGE = "page.json"


@dataclass(frozen=True)
class _Form:
    """A layout on disk: renders a district, names its lists, and the pictures they hold."""

    render: Callable[[Order, int], Part]
    headers: Callable[[Order], dict[str, list[str]]]
    listed: Callable[[Order], Iterator[str]]


FORMS = {
    "pairs": _Form(cvusa_layout.render, cvusa_layout.headers, cvusa_layout.listed),
    "vigor": _Form(vigor_layout.render, vigor_layout.headers, vigor_layout.listed),
}


def write_town(
    order: Order,
    *,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = no_progress,
) -> int:
    """Write one area of a town as a data set; the same order gives the same bytes.

    An interrupted run goes on where it was; in a finished area only missing pictures are made. A
    folder may hold several areas of one town, all of one size and form.

    Args:
        order: what to make, and the folder: new, empty, or with areas of this very town.
        workers: processes; they change no byte.
        shard: (I, N): do every N-th district, starting with the I-th; 1 <= I <= N.
        progress: told the number of pairs that have just been finished or found finished.

    Returns:
        How many districts are still to be made by other shards; 0 if the area is finished.

    Raises:
        DataError: a name or number makes no sense, or the folder holds something else.
    """
    check_order(order, forms=tuple(FORMS), workers=workers, shard=shard)
    _refuse_another(order)
    mine = range(order.districts)[shard[0] - 1 :: shard[1]]
    if _is_finished(order):
        progress(sum(len(order.numbers(district)) for district in mine))
        _clear(order)
        return 0
    write_atomically(order.scratch / PAGE, _encoded(order.page()))
    todo = [district for district in mine if _part(order, district) is None]
    progress(sum(len(order.numbers(district)) for district in mine if district not in todo))
    for made in run_local(_make, [(order, district) for district in todo], workers=workers):
        progress(made)
    return _finish(order)


def _make(task: tuple[Order, int]) -> int:
    """Render one district and write its part of the lists; returns its number of pairs."""
    order, district = task
    part = dataclasses.asdict(FORMS[order.form].render(order, district))
    path = _part_path(order, district)
    sizes = [(order.root / picture).stat().st_size for picture in part["pictures"]]
    page = part | {"sizes": sizes, "order": _digest(order)}
    write_atomically(path, _encoded(page), scratch=order.scratch, durable=False)
    return len(order.numbers(district))


def _finish(order: Order) -> int:
    """Write lists and page if every part and picture is there; returns how many parts are not."""
    parts = [_part(order, district) for district in range(order.districts)]
    there = [part for part in parts if part is not None]
    settle()
    if len(there) < len(parts):
        if not _is_finished(order):
            return len(parts) - len(there)
        # Another run that has just finished has taken the parts away.
        _clear(order)
        return 0
    for name, head in FORMS[order.form].headers(order).items():
        lines = head + [line for part in there for line in part.lines[name]]
        text = "".join(f"{line}\n" for line in lines)
        write_atomically(order.root / name, text.encode(), scratch=order.scratch)
    write_atomically(_page_path(order), _encoded(order.page()), scratch=order.scratch)
    _clear(order)
    return 0


def _clear(order: Order) -> None:
    shutil.rmtree(order.scratch, ignore_errors=True)
    # Other areas may be on their way.
    with contextlib.suppress(OSError):
        order.scratch.parent.rmdir()


def _part(order: Order, district: int) -> Part | None:
    """Read a district's part; None if it is not there, or a picture of it is not."""
    path = _part_path(order, district)
    if not path.is_file():
        return None
    part = _decoded(path)
    if part.get("order") != _digest(order):
        raise DataError(
            f"{path} is of another town than {order.scratch / PAGE}: shards with other seeds, "
            "numbers of pairs or sizes do not go together. Remove the folder."
        )
    for picture, size in zip(part["pictures"], part["sizes"], strict=True):
        file = order.root / picture
        # A power cut leaves pictures empty that had not reached the disk.
        if not file.is_file() or file.stat().st_size != size:
            file.unlink(missing_ok=True)
            return None
    return Part(part["pictures"], part["lines"])


def _is_finished(order: Order) -> bool:
    """Whether page, lists and every listed picture are there."""
    form = FORMS[order.form]
    lists = (order.root / name for name in form.headers(order))
    if not all(path.is_file() for path in (_page_path(order), *lists)):
        return False
    return all((order.root / picture).is_file() for picture in form.listed(order))


def _refuse_another(order: Order) -> None:
    """Refuse a folder that holds anything but this very town, finished or begun."""
    root = order.root
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; a town needs a folder of its own.")
    pages = [
        (area, path)
        for area in REGIONS
        for path in (root / f"{area}.json", root / UNFINISHED / area / PAGE)
        if path.is_file()
    ]
    # A run that is killed at its first step leaves nothing but its scratch folder.
    if not pages and root.is_dir() and any(path.name != UNFINISHED for path in root.iterdir()):
        raise DataError(
            f"{root} is not empty and holds no town. Nothing was written: name another folder."
        )
    for area, path in pages:
        wanted = order.page() if area == order.area else order.common()
        page = _decoded(path)
        for field, value in wanted.items():
            if page.get(field) != value:
                raise DataError(
                    f"{root} holds the split '{area}' of a town with the {field} "
                    f"{page.get(field)}, not {value}. Nothing was written: name another folder, "
                    "or remove this one."
                )


def _page_path(order: Order) -> Path:
    return order.root / f"{order.area}.json"


def _part_path(order: Order, district: int) -> Path:
    return order.scratch / "parts" / f"{district:05d}.json"


def _digest(order: Order) -> str:
    return sha256(_encoded(order.page()))


def _encoded(page: dict[str, Any]) -> bytes:
    return (json.dumps(page, indent=2) + "\n").encode()


def _decoded(path: Path) -> dict[str, Any]:
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not isinstance(page, dict):
        raise DataError(f"{path} is not what cvgl-bench town wrote.")
    return page
