"""Numbers of 16 bits in memory, of 32 in registers: the processor converts, and computes with the latter."""

# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: ARG001, ARG005

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

CARRIERS = {"float64": np.float64, "float32": np.float32, "float16": np.uint16, "bfloat16": np.int16}
"""The dtype that carries each: numba has no arithmetic on halves, so their bits travel as integers."""


@intrinsic
def widen(context: Any, x: Any) -> Any:
    """The number whose bits these are."""
    if isinstance(x, types.Float):
        return x(x), lambda context, builder, signature, values: values[0]

    def half(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fpext(builder.bitcast(values[0], ir.HalfType()), ir.FloatType())

    def brain(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = builder.shl(builder.zext(values[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(x), half if x == types.uint16 else brain


@intrinsic
def narrow(context: Any, x: Any, like: Any) -> Any:
    """The nearest number of the type of `like`, to even, as its bits."""
    if isinstance(like, types.Float):

        def same(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return context.cast(builder, values[0], signature.args[0], signature.return_type)

        return like(x, like), same

    def half(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        single = context.cast(builder, values[0], signature.args[0], types.float32)
        return builder.bitcast(builder.fptrunc(single, ir.HalfType()), ir.IntType(16))

    def brain(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(32)
        bits = builder.bitcast(context.cast(builder, values[0], signature.args[0], types.float32), word)
        odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
        rounded = builder.add(bits, builder.add(odd, ir.Constant(word, 0x7FFF)))
        return builder.trunc(builder.lshr(rounded, ir.Constant(word, 16)), ir.IntType(16))

    return like(x, like), half if like == types.uint16 else brain
