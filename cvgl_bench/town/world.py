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
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.datasets.cvtown import read_page
from cvgl_bench.errors import DataError
from cvgl_bench.executors import Progress, no_progress, run_local
from cvgl_bench.files import read, settle, sha256, write_atomically
from cvgl_bench.town import pairs as cvusa_layout
from cvgl_bench.town import vigor as vigor_layout
from cvgl_bench.town.order import UNFINISHED, Order, check_order, is_there
from cvgl_bench.town.parts import Part, encoded, read_part, write_part
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
    mine = order.share(shard)
    if _is_finished(order):
        progress(sum(len(order.numbers(district)) for district in mine))
        _clear(order)
        return 0
    if _page_path(order).is_file():
        order = dataclasses.replace(order, mends=True)
    write_atomically(order.scratch / PAGE, encoded(order.page()))
    lists = frozenset(FORMS[order.form].headers(order))
    todo = [district for district in mine if read_part(order, district, lists) is None]
    progress(sum(len(order.numbers(district)) for district in set(mine).difference(todo)))
    for made in run_local(_make, [(order, district) for district in todo], workers=workers):
        progress(made)
    return _finish(order)


def _make(task: tuple[Order, int]) -> int:
    """Render one district and write its part of the lists; returns its number of pairs."""
    order, district = task
    write_part(order, district, FORMS[order.form].render(order, district))
    return len(order.numbers(district))


def _finish(order: Order) -> int:
    """Write lists and page if every part and picture is there; returns how many parts are not."""
    headers = FORMS[order.form].headers(order)
    parts = [read_part(order, d, frozenset(headers)) for d in range(order.districts)]
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        if not _is_finished(order):
            return len(parts) - len(there)
        # Another run that has just finished has taken the parts away.
        _clear(order)
        return 0
    settle()
    hashes = {}
    for name, head in headers.items():
        lines = head + [line for part in there for line in part.lines[name]]
        text = "".join(f"{line}\n" for line in lines).encode()
        hashes[name] = sha256(text)
        write_atomically(order.root / name, text, scratch=order.scratch)
    page = order.page() | {"lists_sha256": hashes}
    write_atomically(_page_path(order), encoded(page), scratch=order.scratch)
    _clear(order)
    return 0


def _clear(order: Order) -> None:
    shutil.rmtree(order.scratch, ignore_errors=True)
    # Other areas may be on their way.
    with contextlib.suppress(OSError):
        order.scratch.parent.rmdir()


def _is_finished(order: Order) -> bool:
    """Whether page, lists and every listed picture are there, the lists as they were written."""
    form = FORMS[order.form]
    if not _page_path(order).is_file():
        return False
    hashes = read_page(_page_path(order)).get("lists_sha256")
    found = {}
    for name in form.headers(order):
        file = order.root / name
        found[name] = sha256(read(file)) if file.is_file() else ""
    return found == hashes and all(is_there(order.root / path) for path in form.listed(order))


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
        page = read_page(path)
        for field, value in wanted.items():
            if page.get(field) != value:
                raise DataError(
                    f"{root} holds the split '{area}' of a town with the {field} "
                    f"{page.get(field)}, not {value} (so says {path}). Nothing was written: ask "
                    "for that, or name another folder."
                )


def _page_path(order: Order) -> Path:
    return order.root / f"{order.area}.json"
