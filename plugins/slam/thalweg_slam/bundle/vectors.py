"""One instruction for what a loop over a block of cameras would take many: explicit vectors."""

# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: ARG001

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDTHS = {6: (8,), 9: (8, 4)}
"""Rows of a block are padded to full vectors: 6 numbers to 8, and 9 to 8 + 4."""
PADDED = {6: 8, 9: 12}


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    made = context.make_array(array_type)(context, builder, array)
    return builder.gep(made.data, [index])


def _subtract(rows: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, at, source, left, right = values
        number = context.get_value_type(signature.args[0].dtype)
        to = _pointer(context, builder, signature.args[0], target, at)
        a = _pointer(context, builder, signature.args[2], source, left)
        b = _pointer(context, builder, signature.args[2], source, right)
        word, padded, offset = ir.IntType(64), PADDED[rows], 0
        for width in WIDTHS[rows]:
            vector = ir.VectorType(number, width)

            def place(base: Any, shift: int, kind: Any = vector) -> Any:
                return builder.bitcast(builder.gep(base, [ir.Constant(word, shift)]), kind.as_pointer())

            def load(base: Any, shift: int) -> Any:
                found = builder.load(place(base, shift))
                found.align = 4
                return found

            tops = [load(b, k * padded + offset) for k in range(3)]
            for row in range(rows):
                total = load(to, row * padded + offset)
                for k in range(3):
                    one = builder.load(builder.gep(a, [ir.Constant(word, k * padded + row)]))
                    many = ir.Constant(vector, ir.Undefined)
                    many = builder.insert_element(many, one, ir.Constant(ir.IntType(32), 0))
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
                    many = builder.shuffle_vector(many, ir.Constant(vector, ir.Undefined), mask)
                    product = builder.fmul(many, tops[k], flags=("contract",))
                    total = builder.fsub(total, product, flags=("contract",))
                stored = builder.store(total, place(to, row * padded + offset))
                stored.align = 4
            offset += width
        return context.get_dummy_value()

    return codegen


@intrinsic
def subtract_6(context: Any, target: Any, at: Any, source: Any, left: Any, right: Any) -> Any:
    """target[at:] (6, 8) -= A^T B, with A and B (3, 8) at source[left:] and source[right:]; flat arrays."""
    return types.void(target, at, source, left, right), _subtract(6)


@intrinsic
def subtract_9(context: Any, target: Any, at: Any, source: Any, left: Any, right: Any) -> Any:
    """target[at:] (9, 12) -= A^T B, with A and B (3, 12) at source[left:] and source[right:]; flat arrays."""
    return types.void(target, at, source, left, right), _subtract(9)


__all__ = ["PADDED", "subtract_6", "subtract_9"]
