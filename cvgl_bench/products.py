"""Dot products of all queries and all references, each kind to within a known error.

The error bounds hold for every order of summation: |computed - true| <= D u |q| |r| for D products
added in float32, u = 2^-24 (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section
3.1), here with twice that u; and for rounded factors |q'r' - qr| <= |q' - q| |r| + |q'| |r' - r|.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Rows: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.int16] | NDArray[np.int32]

_UNIT: Final = 2.0**-23
_SMALLEST: Final = 1e-30  # what products too small for a float may come to
_SOME_ROWS: Final = 512


@dataclass(frozen=True)
class Product:
    """One way of multiplying.

    Attributes:
        itemsize: bytes a similarity.
        gallery_bytes: what it holds of the references besides the references themselves.
        block: gives, for (B, D) queries, the bits of (B, R) similarities, valid until it is called
            again, and (B,) how far off each query's may be before they were rounded to these bits.
    """

    itemsize: int
    gallery_bytes: int
    block: Callable[[Rows], tuple[Bits, NDArray[np.float64]]]


def by_numpy(references: Rows) -> Product:
    """In float32, by numpy."""
    longest = _lengths(references).max()
    buffer = np.empty((0, len(references)), np.float32)

    def block(queries: Rows) -> tuple[Bits, NDArray[np.float64]]:
        nonlocal buffer
        if len(buffer) < len(queries):
            buffer = np.empty((len(queries), len(references)), np.float32)
        product = np.matmul(queries, references.T, out=buffer[: len(queries)])
        return product.view(np.int32), _rounding(references) * _lengths(queries) * longest

    return Product(4, 0, block)


def by_device(references: Rows, device: str) -> Product:
    """In float32, by torch on a device; the references are copied there."""
    import torch

    gallery = torch.empty(references.shape, dtype=torch.float32, device=device)
    for part in _parts(len(references)):
        gallery[part] = _tensor(references[part]).to(device)
    longest = _lengths(references).max()

    def block(queries: Rows) -> tuple[Bits, NDArray[np.float64]]:
        with _unrounded():
            product = (_tensor(queries).to(device) @ gallery.T).cpu().numpy()
        return product.view(np.int32), _rounding(references) * _lengths(queries) * longest

    return Product(4, 0, block)


def by_bfloat16(references: Rows) -> Product:
    """In bfloat16, added in float32, by torch on a processor that multiplies tiles of them."""
    import torch

    gallery = torch.empty(references.shape, dtype=torch.bfloat16)
    longest = lost = 0.0
    for part in _parts(len(references)):
        rounded, off, lengths = _rounded(references[part])
        gallery[part] = rounded
        longest, lost = max(longest, lengths.max()), max(lost, off.max())
    buffer = torch.empty(0, dtype=torch.bfloat16)

    def block(queries: Rows) -> tuple[Bits, NDArray[np.float64]]:
        nonlocal buffer
        if len(buffer) < len(queries):
            buffer = torch.empty(len(queries), len(references), dtype=torch.bfloat16)
        rounded, off, lengths = _rounded(queries)
        product = torch.mm(rounded, gallery.T, out=buffer[: len(queries)])
        # Rounding adds at most `off`, and `lost` to the references, to their lengths.
        errors = off * longest + (lengths + off) * lost
        errors += _rounding(references) * (lengths + off) * (longest + lost)
        return product.view(torch.int16).numpy(), errors

    return Product(2, references.size * 2, block)


def multiplies_bfloat16() -> bool:
    """Whether this processor multiplies tiles of bfloat16, as torch sees it."""
    import torch

    # torch says so from version 2.9 on; before it, float32 is taken.
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16"))


def _rounded(rows: Rows) -> "tuple[torch.Tensor, NDArray[np.float64], NDArray[np.float64]]":
    """Rows in bfloat16, how far each is from what it was, and how long it was."""
    exact = _tensor(rows)
    rounded = exact.bfloat16()
    return rounded, _lengths((rounded.float() - exact).numpy()), _lengths(rows)


def _tensor(rows: Rows) -> "torch.Tensor":
    import torch

    # torch has no tensors that cannot be written, such as a read-only file's would be.
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())


@contextmanager
def _unrounded() -> Iterator[None]:
    """Have CUDA multiply float32 as it is: rounded factors would not keep to the bound."""
    import torch

    settings = torch.backends.cuda.matmul
    # The first is how torch 2.9 and later have it, and its names must not be mixed.
    name, exact = (
        ("fp32_precision", "ieee") if hasattr(settings, "fp32_precision") else ("allow_tf32", False)
    )
    before = getattr(settings, name)
    setattr(settings, name, exact)
    try:
        yield
    finally:
        setattr(settings, name, before)


def _rounding(references: Rows) -> float:
    width: int = references.shape[1]
    return width * _UNIT + _SMALLEST


def _lengths(rows: Rows) -> NDArray[np.float64]:
    squares = [np.einsum("ij,ij->i", rows[p], rows[p], dtype=np.float64) for p in _parts(len(rows))]
    # What the sum itself may have lost is far below this.
    lengths: NDArray[np.float64] = np.sqrt(np.concatenate(squares)) * (1 + 1e-9)
    return lengths


def _parts(count: int) -> list[slice]:
    """Some rows at a time: a copy in double precision of a gallery would be twice its size."""
    return [slice(i, i + _SOME_ROWS) for i in range(0, max(1, count), _SOME_ROWS)]


def exact_lines(
    queries: Rows, references: Rows, rows: Sequence[int] | NDArray[np.int64], memory: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield some queries' similarities to all references, (R,) each, in float64.

    Args:
        queries: (Q, D).
        references: (R, D).
        rows: which queries.
        memory: bytes; a few queries at a time, and a few references of them, are converted.
    """
    number, width = references.shape
    some = max(1, memory // (32 * number + 8 * width))
    columns = max(1, memory // (4 * 8 * width))
    for start in range(0, len(rows), some):
        block = rows[start : start + some]
        exact = queries[block].astype(np.float64)
        lines = np.empty((len(block), number))
        for left in range(0, number, columns):
            part = references[left : left + columns].astype(np.float64)
            np.matmul(exact, part.T, out=lines[:, left : left + columns])
        yield from zip(block, lines, strict=True)
