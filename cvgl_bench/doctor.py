"""What is wrong with a model, found on drawn pictures in under a minute, before a long run is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from cvgl_bench.embedding import Device, embed, is_told_fov, resolve_device
from cvgl_bench.errors import CvglBenchError, DataError, ModelError
from cvgl_bench.evaluation import model_card
from cvgl_bench.files import sha256_of_file
from cvgl_bench.models import load
from cvgl_bench.models.adapter import Adapter, Side
from cvgl_bench.models.checkpoint import read_safetensors, read_state_dict
from cvgl_bench.models.reference import Reference, shipped
from cvgl_bench.views import view_width

# Rows and columns of panoramas and tiles as CVUSA, CVACT and CVTown's small size have them.
_PANORAMAS = ((224, 1232), (832, 1664), (112, 616))
_TILES = ((750, 750), (1200, 1200), (256, 256))
_NARROW_DEGREES = (180.0, 90.0, 70.0, 20.0)
# Distances between unit rows; no similarity differs by more than twice that.
REPEATED, REBATCHED = 1e-5, 1e-2
_ALTERATIONS = "a tensor taken away", "a tensor added", "a tensor reshaped"

_Image = NDArray[np.uint8]
_Rows = NDArray[np.float32]
_Embed = Callable[..., _Rows]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was checked, in a few words.
        passed: whether it is as it must be; None if it could not be checked.
        detail: figures, or what is wrong, in one line.
    """

    check: str
    passed: bool | None
    detail: str


def examine_model(
    name: str, weights: Path | None = None, *, device: Device = "auto"
) -> Iterator[Finding]:
    """Check a model as evaluations will use it; yields what is found as it is found.

    The model is loaded, and given drawn pictures of the usual sizes by `embed`, as in an
    evaluation: one of each kind, which must become finite rows of unit length and of one width on
    both sides. Two of a kind must become the same rows again, up to REPEATED, and also one by one
    and in another order, up to REBATCHED (a distance; rounding alone is far below). Its weights,
    where their file is known, are written anew with one tensor missing, added or of another shape:
    the model must refuse them.

    Args:
        name: a name in `MODELS`, or `path/to/file.py:ClassName`.
        weights: its checkpoint; None for a model that has none or brings its own.
        device: "auto", "cpu" or "cuda".

    Raises:
        ModelError: the device is absent.
    """
    resolve_device(device)
    start = perf_counter()
    try:
        adapter = load(name, weights)
        card = model_card(adapter)
    except ModelError as error:
        yield Finding("loads", False, str(error))
        return
    told = "is told the field of view" if is_told_fov(adapter) else "takes no field of view"
    seconds = f"{perf_counter() - start:.1f} s"
    hashed = f"weights {card.weights_sha256[:12]}" if card.weights_sha256 else "no weights"
    yield Finding("loads", True, f"{card.name}, {hashed}, {told}, {seconds}")
    run = partial(embed, adapter, device=device)
    widths: dict[Side, set[int]] = {"ground": set(), "aerial": set()}
    for side, shape, fov_degrees in _kinds():
        yield _shape_check(run, side, shape, fov_degrees, widths[side])
    yield _width_check(widths)
    for side in widths:
        yield from _invariance_checks(run, side)
    if weights is not None or card.weights_sha256:
        path = _file_of(adapter, weights)
        if path is not None:
            yield _hash_check(card.weights_sha256, path)
        yield from _weight_checks(name, path)


def _kinds() -> Iterator[tuple[Side, tuple[int, int], float]]:
    for rows, columns in _PANORAMAS:
        yield "ground", (rows, columns), 360.0
    rows, columns = _PANORAMAS[0]
    for fov_degrees in _NARROW_DEGREES:
        yield "ground", (rows, view_width(columns, fov_degrees)), fov_degrees
    for tile in _TILES:
        yield "aerial", tile, 360.0


def _pictures(count: int, shape: tuple[int, int]) -> list[_Image]:
    """Draw pictures of coarse patches, each of another brightness; always the same ones."""
    rng = np.random.default_rng(0)
    rows, columns = shape
    coarse = max(2, rows // 16), max(2, columns // 16), 3
    patches = [
        rng.integers(0, 256 * (number + 1) // count, coarse, np.uint8) for number in range(count)
    ]
    return [
        np.asarray(cv2.resize(patch, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
        for patch in patches
    ]


def _shape_check(
    run: _Embed, side: Side, shape: tuple[int, int], fov_degrees: float, widths: set[int]
) -> Finding:
    rows, columns = shape
    part = f", {fov_degrees:g} degrees" if fov_degrees < 360 else ""
    check = f"{side} {columns} x {rows}{part}"
    start = perf_counter()
    try:
        found = run(_pictures(1, shape), side=side, fov_degrees=fov_degrees)
    except CvglBenchError as error:
        return Finding(check, False, str(error))
    seconds = perf_counter() - start
    widths.add(found.shape[1])
    off = np.abs(np.linalg.norm(found.astype(np.float64), axis=1) - 1).max()
    detail = f"{found.shape[1]} numbers, finite, length 1 up to {off:.1e}, {seconds:.2f} s"
    return Finding(check, True, detail)


def _width_check(widths: Mapping[Side, set[int]]) -> Finding:
    check = "equal widths of both sides"
    if not all(widths.values()):
        return Finding(check, None, "a side has no rows")
    if len(widths["ground"] | widths["aerial"]) == 1:
        return Finding(check, True, f"{min(widths['ground'])} numbers")
    words = [f"{side} {', '.join(map(str, sorted(found)))}" for side, found in widths.items()]
    return Finding(check, False, f"{'; '.join(words)} numbers")


def _invariance_checks(run: _Embed, side: Side) -> Iterator[Finding]:
    """Yield whether pictures become the same rows again, one by one, and in another order."""
    shape = _PANORAMAS[0] if side == "ground" else _TILES[0]
    pictures = _pictures(2, shape)
    ways: dict[str, tuple[Callable[[], _Rows], float]] = {
        "the same twice": (lambda: run(pictures, side=side), REPEATED),
        "alone and in a batch": (lambda: run(pictures, side=side, batch_size=1), REBATCHED),
        "in another order": (lambda: run(pictures[::-1], side=side)[::-1], REBATCHED),
    }
    try:
        expected = run(pictures, side=side)
    except CvglBenchError as error:
        yield from (Finding(f"{side} {way}", False, str(error)) for way in ways)
        return
    for way, (again, allowed) in ways.items():
        yield _same_rows(f"{side} {way}", expected, again, allowed)


def _same_rows(check: str, expected: _Rows, again: Callable[[], _Rows], allowed: float) -> Finding:
    try:
        found = again()
    except CvglBenchError as error:
        return Finding(check, False, str(error))
    if found.shape != expected.shape:
        return Finding(check, False, f"{found.shape[1]} numbers instead of {expected.shape[1]}")
    largest = float(np.linalg.norm(found - expected, axis=1).max())
    return Finding(
        check, largest <= allowed, f"largest difference {largest:.1e}, allowed {allowed:.0e}"
    )


def _file_of(adapter: Adapter, weights: Path | None) -> Path | None:
    return shipped(adapter.name) if weights is None and isinstance(adapter, Reference) else weights


def _hash_check(recorded: str, path: Path) -> Finding:
    found = sha256_of_file(path)
    detail = f"{recorded[:12] or 'empty'}, and the file's is {found[:12]}"
    return Finding("weights_sha256 is the file's", recorded == found, detail)


def _weight_checks(name: str, path: Path | None) -> Iterator[Finding]:
    """Yield whether weights that are not quite the model's are refused."""
    check = "strict weights"
    if path is None:
        yield Finding(check, None, "no file of weights is known: name it with --weights")
        return
    try:
        tensors, about = _content(path)
    except ModelError as error:
        yield Finding(check, None, str(error))
        return
    if not tensors:
        yield Finding(check, None, f"'{path}' holds no tensor")
        return
    # Were an unaltered copy refused, what happens to altered ones would say nothing.
    try:
        reason = _refusal(name, path.name, tensors, about)
        if reason is not None:
            yield Finding(check, None, f"the same tensors in another file are refused: {reason}")
            return
        for what, altered in zip(_ALTERATIONS, _altered(tensors), strict=True):
            reason = _refusal(name, path.name, altered, about)
            detail = "loaded as if nothing were wrong" if reason is None else "refused"
            yield Finding(f"{check}: {what}", reason is not None, detail)
    except DataError as error:
        yield Finding(check, None, str(error))


def _content(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return read_state_dict(path), {}


def _altered(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    # The largest tensor is the heart of some layer; a small one might be left out on purpose.
    chosen = max(tensors, key=lambda key: tensors[key].numel())
    yield {key: value for key, value in tensors.items() if key != chosen}
    yield {**tensors, "cvgl_bench_doctor.added": torch.ones(1)}
    yield {**tensors, chosen: tensors[chosen].unsqueeze(0)}


def _refusal(
    name: str, file_name: str, tensors: Mapping[str, Tensor], about: dict[str, str]
) -> str | None:
    """Load a model with these tensors in a file of its own; returns why it was refused, or None."""
    with TemporaryDirectory(prefix="cvgl-bench-doctor-") as folder:
        path = Path(folder) / file_name
        try:
            if path.suffix == ".safetensors":
                save_file({key: value.contiguous() for key, value in tensors.items()}, path, about)
            else:
                torch.save(dict(tensors), path)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise DataError(f"no copy of the weights can be written ({error}).") from error
        try:
            load(name, path)
        except ModelError as error:
            return str(error)
    return None
