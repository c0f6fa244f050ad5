"""Eight values at once where the compiler does not see that it may.

Numba's compiler must assume that an array it writes overlaps one it reads. It checks that before a
loop, which costs more than a loop over a few values; here it is promised.
"""

from collections.abc import Callable

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

EIGHT = 8
_BYTES = ir.VectorType(ir.IntType(8), EIGHT)
_FLOATS = ir.VectorType(ir.FloatType(), EIGHT)


@intrinsic
def _mix_eight(
    _typing: object,
    line: types.Array,
    left: types.Integer,
    right: types.Integer,
    shares: types.Array,
    place: types.Integer,
    mixed: types.Array,
) -> tuple[Signature, Callable[..., ir.Value]]:
    def build(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: list[ir.Value]
    ) -> ir.Value:
        def pointer(array: int, place: int, kind: ir.Type) -> ir.Value:
            make = make_array(signature.args[array])  # type: ignore[no-untyped-call]
            struct = make(context, builder, values[array])
            return builder.bitcast(builder.gep(struct.data, [values[place]]), kind.as_pointer())

        def load(array: int, place: int, kind: ir.Type) -> ir.Value:
            value = builder.load(pointer(array, place, kind))
            value.align = 1
            return value

        one, other = (builder.uitofp(load(0, place, _BYTES), _FLOATS) for place in (1, 2))
        shared = builder.fmul(load(3, 4, _FLOATS), builder.fsub(other, one))
        builder.store(builder.fadd(one, shared), pointer(5, 4, _FLOATS)).align = 1
        return ir.Constant(ir.IntType(8).as_pointer(), None)

    return types.void(line, left, right, shares, place, mixed), build


@numba.njit(inline="always")
def mix_eight(
    line: NDArray[np.uint8],
    left: np.uint64,
    right: np.uint64,
    shares: NDArray[np.float32],
    place: np.uint64,
    mixed: NDArray[np.float32],
) -> None:
    """Eight times left + share (right - left).

    Nothing is checked: all eight must lie in their arrays, which are contiguous, and `mixed`
    overlaps none.

    Args:
        line: bytes.
        left: place of the first left value in the line.
        right: place of the first right value in the line.
        shares: of the right values.
        place: of the first share and of the first result.
        mixed: receives the results.
    """
    _mix_eight(line, left, right, shares, place, mixed)  # type: ignore[arg-type,call-arg]
