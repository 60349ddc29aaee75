"""Loads and stores at integer addresses: what the walk over hostile bytes is made of.

A kernel that hands arrays to its helpers is nine times slower than one that hands them addresses and bounds. The price
is that nothing here checks anything: whoever calls has compared the address with its bound.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from detectors.kernels import inlined

if sys.byteorder != "little":
    raise ImportError(
        "streamgauge's decoders load little-endian words; this machine is big-endian, which is unsupported"
    )

_TO_READ, _ALL_LEVELS, _DATA = 0, 3, 1  # what `llvm.prefetch` calls rw, locality, cache type


def _load(builder: Any, address: Any, bits: int) -> Any:
    """One unaligned load, widened to 64 bits."""
    pointer = builder.inttoptr(address, ir.IntType(bits).as_pointer())
    value = builder.load(pointer)
    value.align = 1
    return value if bits == 64 else builder.zext(value, ir.IntType(64))


@intrinsic
def load1(typing: Any, address: Any) -> Any:
    """The byte at `address`, as int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, args[0], 8)

    return types.int64(types.int64), generate


@intrinsic
def load4(typing: Any, address: Any) -> Any:
    """Four bytes at `address`, little-endian, as uint64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, args[0], 32)

    return types.uint64(types.int64), generate


@intrinsic
def load8(typing: Any, address: Any) -> Any:
    """Eight bytes at `address`, little-endian, as uint64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, args[0], 64)

    return types.uint64(types.int64), generate


@intrinsic
def load_word(typing: Any, address: Any, index: Any) -> Any:
    """Word `index` of the int64 table at `address`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        offset = builder.shl(args[1], ir.Constant(ir.IntType(64), 3))
        return _load(builder, builder.add(args[0], offset), 64)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def store_word(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Set word `index` of the int64 table at `address`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        offset = builder.shl(args[1], ir.Constant(ir.IntType(64), 3))
        target = builder.inttoptr(builder.add(args[0], offset), ir.IntType(64).as_pointer())
        builder.store(args[2], target).align = 1
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), generate


@intrinsic
def add_to_word(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Add to word `index` of the int64 table at `address`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        offset = builder.shl(args[1], ir.Constant(ir.IntType(64), 3))
        target = builder.add(args[0], offset)
        total = builder.add(_load(builder, target, 64), args[2])
        builder.store(total, builder.inttoptr(target, ir.IntType(64).as_pointer())).align = 1
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), generate


@intrinsic
def swapped(typing: Any, value: Any) -> Any:
    """The eight bytes of a uint64 in the other order: big-endian ids from little-endian loads."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return types.uint64(types.uint64), generate


@intrinsic
def fold_product(typing: Any, left: Any, right: Any) -> Any:
    """High half xor low half of the 128-bit product of two uint64: it mixes every bit with all others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def fetch_ahead(typing: Any, address: Any) -> Any:
    """Have the cache line at `address` fetched meanwhile; any address will do, also one where nothing is."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        of = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        fetch = get_or_insert_function(builder.module, of, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        builder.call(fetch, [pointer, number(_TO_READ), number(_ALL_LEVELS), number(_DATA)])
        return context.get_dummy_value()

    return types.none(types.int64), generate


@inlined
def load_short(address: int, size: int) -> np.uint64:
    """Up to eight bytes as one word, none read beyond `size`; sizes 1 to 3 repeat bytes, so mix the size in too."""
    if size >= 4:
        return load4(address) | (load4(address + size - 4) << np.uint64(32))
    if size == 0:
        return np.uint64(0)
    first = np.uint64(load1(address))
    middle = np.uint64(load1(address + (size >> 1)))
    last = np.uint64(load1(address + size - 1))
    return first | (middle << np.uint64(8)) | (last << np.uint64(16))


@inlined
def same_bytes(left: int, right: int, size: int) -> bool:
    """Whether `size` bytes at two addresses are equal."""
    if size < 8:
        return load_short(left, size) == load_short(right, size)
    at = 0
    while at + 8 < size:
        if load8(left + at) != load8(right + at):
            return False
        at += 8
    return load8(left + size - 8) == load8(right + size - 8)
