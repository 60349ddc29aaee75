"""Machine-level integer arithmetic that kernels need and numba does not offer as such."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from detectors.kernels import inlined


@intrinsic
def _leading_zeros(typingctx: Any, value: Any) -> Any:
    """Count the leading zero bits of a 64-bit integer; 64 for zero."""
    if not isinstance(value, types.Integer):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = context.cast(builder, arguments[0], signature.args[0], types.uint64)
        return builder.ctlz(word, ir.Constant(ir.IntType(1), 0))

    return types.uint64(value), codegen


@inlined
def bit_length(value: int) -> int:
    """How many bits a non-negative int64 needs: 0 for 0, 1 for 1, 2 for 2 and 3."""
    return 64 - np.int64(_leading_zeros(value))


@intrinsic
def _multiply_high(typingctx: Any, left: Any, right: Any) -> Any:
    """The upper 64 bits of the 128-bit product of two unsigned 64-bit integers."""
    if not (isinstance(left, types.Integer) and isinstance(right, types.Integer)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        words = [
            builder.zext(context.cast(builder, argument, given, types.uint64), wide)
            for argument, given in zip(arguments, signature.args, strict=True)
        ]
        product = builder.mul(words[0], words[1])
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(left, right), codegen


@inlined
def multiply_high(left: int, right: int) -> int:
    """The upper half of a 64 x 64 → 128 bit unsigned product."""
    return _multiply_high(np.uint64(left), np.uint64(right))


@inlined
def spread(value: int) -> int:
    """Spread an integer's bits for a hash table (Fibonacci hashing, Knuth vol. 3, 6.4): 44 good bits, ≥ 0."""
    return np.int64((np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20))
