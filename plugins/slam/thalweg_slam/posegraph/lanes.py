"""Small dense blocks as explicit vectors: what the compiler does not find by itself.

A block of n x n (n = 3 or 6) is stored by columns, `stride` apart, in a flat array. A column is one vector of 4 or 8
lanes, so the last columns read beyond their block: every flat array has `PAD` elements more than its blocks. Lanes
beyond n hold finite rubbish that never reaches another lane, and is masked where lanes are summed.

An array of uint16 holds half precision, one of int16 bfloat16: both are widened as they are read, and rounded as they
are written. `Layout` carries n and the stride in the type, so that one source serves all, and is compiled when it is
first met. The intrinsics stand at the top of the module: in a factory, their kernels would not be found on disk again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils as typed_cgutils
from numba.extending import intrinsic

from .. import compiling  # noqa: F401

# An intrinsic's first parameter is the compiler's; its arguments are types here, and values where it is called.
# ruff: noqa: ARG001
cgutils: Any = typed_cgutils

PAD = 16
Layout = tuple[tuple[int, ...], tuple[int, ...]]


def layout(size: int, stride: int) -> Layout:
    """The type says it: a tuple of `size` and one of `stride` zeros."""
    return (0,) * size, (0,) * stride


PACKED = {3: layout(3, 3), 6: layout(6, 6)}
PADDED = {3: layout(3, 4), 6: layout(6, 8)}

_FLOAT, _DOUBLE, _HALF = ir.FloatType(), ir.DoubleType(), ir.HalfType()
_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_NAMES = {_FLOAT: "f32", _DOUBLE: "f64"}
_BYTES = {"float64": 8, "float32": 4, "uint16": 2, "int16": 2}


def vector_code(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", intrinsic(function))


class _Emit:
    """Vector code for blocks of one layout, in arithmetic of one kind."""

    def __init__(self, context: Any, builder: Any, kind: Any, arithmetic: Any) -> None:
        self.context, self.builder = context, builder
        self.size, self.stride = len(kind.types[0]), len(kind.types[1])
        self.length = self.size * self.stride
        self.lanes = 4 if self.size <= 4 else 8
        self.scalar = _DOUBLE if str(arithmetic) == "float64" else _FLOAT
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def base(self, array: Any, value: Any) -> tuple[Any, str]:
        return self.context.make_array(array)(self.context, self.builder, value).data, str(array.dtype)

    def offset(self, block: Any, length: int) -> Any:
        return self.builder.mul(block, ir.Constant(_I64, length))

    def _at(self, base: tuple[Any, str], start: Any, step: int, element: Any) -> Any:
        pointer = self.builder.gep(base[0], [self.builder.add(start, ir.Constant(_I64, step))])
        return self.builder.bitcast(pointer, ir.VectorType(element, self.lanes).as_pointer())

    def load(self, base: tuple[Any, str], start: Any, step: int = 0) -> Any:
        """One vector, widened to the arithmetic."""
        b, name = self.builder, base[1]
        if name == "int16":
            raw = b.load(self._at(base, start, step, _I16), align=2)
            wide = b.shl(b.zext(raw, ir.VectorType(_I32, self.lanes)), self._whole(16))
            found = b.bitcast(wide, ir.VectorType(_FLOAT, self.lanes))
            return found if self.scalar == _FLOAT else b.fpext(found, self.vector)
        if name == "uint16":
            return b.fpext(b.load(self._at(base, start, step, _HALF), align=2), self.vector)
        element = _DOUBLE if name == "float64" else _FLOAT
        raw = b.load(self._at(base, start, step, element), align=_BYTES[name])
        if element == self.scalar:
            return raw
        return b.fpext(raw, self.vector) if element == _FLOAT else b.fptrunc(raw, self.vector)

    def _whole(self, number: int) -> Any:
        return ir.Constant(ir.VectorType(_I32, self.lanes), [number] * self.lanes)

    def store(self, value: Any, base: tuple[Any, str], start: Any, step: int = 0) -> None:
        """One vector, rounded to nearest."""
        b, name = self.builder, base[1]
        if name in ("uint16", "int16"):
            if self.scalar == _DOUBLE:
                value = b.fptrunc(value, ir.VectorType(_FLOAT, self.lanes))
            element = _HALF if name == "uint16" else _I16
            if name == "uint16":
                value = b.fptrunc(value, ir.VectorType(_HALF, self.lanes))
            else:
                bits = b.bitcast(value, ir.VectorType(_I32, self.lanes))
                odd = b.and_(b.lshr(bits, self._whole(16)), self._whole(1))
                bits = b.lshr(b.add(bits, b.add(odd, self._whole(0x7FFF))), self._whole(16))
                value = b.trunc(bits, ir.VectorType(_I16, self.lanes))
        else:
            element = _DOUBLE if name == "float64" else _FLOAT
            if element != self.scalar:
                wide = ir.VectorType(element, self.lanes)
                value = b.fpext(value, wide) if element == _DOUBLE else b.fptrunc(value, wide)
        b.store(value, self._at(base, start, step, element), align=_BYTES[name])

    def number(self, base: tuple[Any, str], start: Any, step: int) -> Any:
        """One element of an array of float32 or float64, in all lanes."""
        b = self.builder
        element = b.load(b.gep(base[0], [b.add(start, ir.Constant(_I64, step))]))
        if element.type != self.scalar:
            element = b.fpext(element, _DOUBLE) if self.scalar == _DOUBLE else b.fptrunc(element, _FLOAT)
        return self.spread(element)

    def spread(self, element: Any) -> Any:
        b = self.builder
        first = b.insert_element(ir.Constant(self.vector, ir.Undefined), element, ir.Constant(_I32, 0))
        return b.shuffle_vector(first, ir.Constant(self.vector, ir.Undefined), self._whole(0))

    def lane(self, value: Any, number: int) -> Any:
        b = self.builder
        return b.shuffle_vector(value, ir.Constant(self.vector, ir.Undefined), self._whole(number))

    def zero(self) -> Any:
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def masked(self, value: Any) -> Any:
        keep = ir.Constant(ir.VectorType(ir.IntType(1), self.lanes), [int(k < self.size) for k in range(self.lanes)])
        return self.builder.select(keep, value, self.zero())

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        name = f"llvm.fma.v{self.lanes}{_NAMES[self.scalar]}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])

    def total(self, value: Any) -> Any:
        """The sum of all lanes, by halves."""
        b, width = self.builder, self.lanes
        while width > 1:
            width //= 2
            order = ir.Constant(ir.VectorType(_I32, width), list(range(width)))
            upper = ir.Constant(ir.VectorType(_I32, width), list(range(width, 2 * width)))
            nothing = ir.Constant(value.type, ir.Undefined)
            value = b.fadd(b.shuffle_vector(value, nothing, order), b.shuffle_vector(value, nothing, upper))
        return b.extract_element(value, ir.Constant(_I32, 0))

    def item(self, base: tuple[Any, str], position: Any) -> Any:
        """An element of an array of int32, as int64."""
        return self.builder.sext(self.builder.load(self.builder.gep(base[0], [position])), _I64)


@vector_code
def copy(typing: Any, into: Any, target: Any, out: Any, source: Any, first: Any, last: Any) -> Any:
    """target[l] = source[l] for l in first .. last, ascending, between layouts and kinds of numbers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], types.float64 if "float64" in str(kinds[3]) else types.float32)
        origin = _Emit(context, builder, kinds[2], types.float32)
        base, known = emit.base(kinds[1], values[1]), emit.base(kinds[3], values[3])
        with cgutils.for_range_slice(builder, values[4], values[5], ir.Constant(_I64, 1), _I64) as (current, _):
            to, at = emit.offset(current, emit.length), emit.offset(current, origin.length)
            # Each column spills into the next, which is written after it.
            for m in range(emit.size):
                emit.store(emit.load(known, at, m * origin.stride), base, to, m * emit.stride)
        return context.get_dummy_value()

    return types.void(into, target, out, source, types.int64, types.int64), generate


@vector_code
def round_columns(typing: Any, layout: Any, blocks: Any, first: Any, last: Any, kind: Any) -> Any:
    """Round blocks first .. last to the kind of numbers that the array `kind` (of at least PAD) holds."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, scratch = emit.base(kinds[1], values[1]), emit.base(kinds[4], values[4])
        if scratch[1] in ("uint16", "int16"):
            with cgutils.for_range_slice(builder, values[2], values[3], ir.Constant(_I64, 1), _I64) as (current, _):
                at = emit.offset(current, emit.length)
                for m in range(emit.size):
                    emit.store(emit.load(base, at, m * emit.stride), scratch, ir.Constant(_I64, 0))
                    emit.store(emit.load(scratch, ir.Constant(_I64, 0)), base, at, m * emit.stride)
        return context.get_dummy_value()

    return types.void(layout, blocks, types.int64, types.int64, kind), generate


@vector_code
def downdate(typing: Any, layout: Any, blocks: Any, first: Any, last: Any, pivot: Any, rows: Any, position: Any) -> Any:
    """blocks[position[rows[l]]] -= blocks[l] blocks[pivot]^T for l in first .. last."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, begin, end, at = emit.base(kinds[1], values[1]), values[2], values[3], emit.offset(values[4], emit.length)
        index, where = emit.base(kinds[5], values[5]), emit.base(kinds[6], values[6])
        size, stride = emit.size, emit.stride
        with cgutils.for_range_slice(builder, begin, end, ir.Constant(_I64, 1), _I64) as (current, _):
            source = emit.offset(current, emit.length)
            target = emit.offset(emit.item(where, emit.item(index, current)), emit.length)
            columns = [builder.fneg(emit.load(base, source, m * stride)) for m in range(size)]
            for k in range(size):
                value = emit.load(base, target, k * stride)
                for m in range(size):
                    value = emit.fma(columns[m], emit.number(base, at, m * stride + k), value)
                emit.store(value, base, target, k * stride)
        return context.get_dummy_value()

    return types.void(layout, blocks, types.int64, types.int64, types.int64, rows, position), generate


@vector_code
def downdate_diagonal(typing: Any, layout: Any, diagonal: Any, column: Any, blocks: Any, pivot: Any) -> Any:
    """diagonal[column] -= blocks[pivot] blocks[pivot]^T."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, source = emit.base(kinds[1], values[1]), emit.base(kinds[3], values[3])
        target, at = emit.offset(values[2], emit.length), emit.offset(values[4], emit.length)
        columns = [builder.fneg(emit.load(source, at, m * emit.stride)) for m in range(emit.size)]
        for k in range(emit.size):
            value = emit.load(base, target, k * emit.stride)
            for m in range(emit.size):
                value = emit.fma(columns[m], emit.number(source, at, m * emit.stride + k), value)
            emit.store(value, base, target, k * emit.stride)
        return context.get_dummy_value()

    return types.void(layout, diagonal, types.int64, blocks, types.int64), generate


@vector_code
def accumulate(typing: Any, layout: Any, blocks: Any, target: Any, packed: Any, jacobian: Any, a: Any, b: Any) -> Any:
    """blocks[target] += J_a^T J_b of two blocks of `jacobian`, which has them by rows."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, source = emit.base(kinds[1], values[1]), emit.base(kinds[4], values[4])
        stride = len(kinds[3].types[1])
        at = emit.offset(values[2], emit.length)
        left, right = (emit.offset(each, emit.size * stride) for each in values[5:])
        rows = [emit.load(source, left, m * stride) for m in range(emit.size)]
        for k in range(emit.size):
            value = emit.load(base, at, k * emit.stride)
            for m in range(emit.size):
                value = emit.fma(rows[m], emit.number(source, right, m * stride + k), value)
            emit.store(value, base, at, k * emit.stride)
        return context.get_dummy_value()

    return types.void(layout, blocks, types.int64, packed, jacobian, types.int64, types.int64), generate


@vector_code
def divide(typing: Any, layout: Any, blocks: Any, first: Any, last: Any, inverse: Any, pivot: Any) -> Any:
    """blocks[l] = blocks[l] inverse[pivot]^T for l in first .. last; `inverse` is lower triangular."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, table = emit.base(kinds[1], values[1]), emit.base(kinds[4], values[4])
        at, size, stride = emit.offset(values[5], emit.length), emit.size, emit.stride
        with cgutils.for_range_slice(builder, values[2], values[3], ir.Constant(_I64, 1), _I64) as (current, _):
            source = emit.offset(current, emit.length)
            columns = [emit.load(base, source, m * stride) for m in range(size)]
            for k in range(size):
                value = builder.fmul(columns[0], emit.number(table, at, k))
                for m in range(1, k + 1):
                    value = emit.fma(columns[m], emit.number(table, at, m * stride + k), value)
                emit.store(value, base, source, k * stride)
        return context.get_dummy_value()

    return types.void(layout, blocks, types.int64, types.int64, inverse, types.int64), generate


@vector_code
def eliminate(typing: Any, layout: Any, vector: Any, blocks: Any, first: Any, last: Any, rows: Any, column: Any) -> Any:
    """vector[rows[l]] -= blocks[l] vector[column] for l in first .. last."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, source, index = (emit.base(kinds[n], values[n]) for n in (1, 2, 5))
        known = builder.fneg(emit.load(base, emit.offset(values[6], emit.lanes)))
        spread = [emit.lane(known, m) for m in range(emit.size)]
        with cgutils.for_range_slice(builder, values[3], values[4], ir.Constant(_I64, 1), _I64) as (current, _):
            at = emit.offset(current, emit.length)
            target = emit.offset(emit.item(index, current), emit.lanes)
            value = emit.load(base, target)
            for m in range(emit.size):
                value = emit.fma(emit.load(source, at, m * emit.stride), spread[m], value)
            emit.store(value, base, target)
        return context.get_dummy_value()

    return types.void(layout, vector, blocks, types.int64, types.int64, rows, types.int64), generate


@vector_code
def gather(typing: Any, layout: Any, vector: Any, blocks: Any, first: Any, last: Any, rows: Any, column: Any) -> Any:
    """vector[column] -= sum of blocks[l]^T vector[rows[l]] for l in first .. last."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, source, index = (emit.base(kinds[n], values[n]) for n in (1, 2, 5))
        sums = [cgutils.alloca_once_value(builder, emit.zero()) for _ in range(emit.size)]
        for each in sums:
            builder.store(emit.zero(), each)
        with cgutils.for_range_slice(builder, values[3], values[4], ir.Constant(_I64, 1), _I64) as (current, _):
            at = emit.offset(current, emit.length)
            known = emit.load(base, emit.offset(emit.item(index, current), emit.lanes))
            for m, each in enumerate(sums):
                builder.store(emit.fma(emit.load(source, at, m * emit.stride), known, builder.load(each)), each)
        start = emit.offset(values[6], emit.lanes)
        for m, each in enumerate(sums):
            pointer = builder.gep(base[0], [builder.add(start, ir.Constant(_I64, m))])
            builder.store(builder.fsub(builder.load(pointer), emit.total(emit.masked(builder.load(each)))), pointer)
        return context.get_dummy_value()

    return types.void(layout, vector, blocks, types.int64, types.int64, rows, types.int64), generate


@vector_code
def multiply(typing: Any, layout: Any, vector: Any, inverse: Any, column: Any) -> Any:
    """vector[column] = inverse[column] vector[column]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, table = emit.base(kinds[1], values[1]), emit.base(kinds[2], values[2])
        start, at = emit.offset(values[3], emit.lanes), emit.offset(values[3], emit.length)
        known, value = emit.load(base, start), emit.zero()
        for m in range(emit.size):
            value = emit.fma(emit.load(table, at, m * emit.stride), emit.lane(known, m), value)
        emit.store(emit.masked(value), base, start)
        return context.get_dummy_value()

    return types.void(layout, vector, inverse, types.int64), generate


@vector_code
def multiply_transposed(typing: Any, layout: Any, vector: Any, inverse: Any, column: Any) -> Any:
    """vector[column] = inverse[column]^T vector[column]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        base, table = emit.base(kinds[1], values[1]), emit.base(kinds[2], values[2])
        start, at = emit.offset(values[3], emit.lanes), emit.offset(values[3], emit.length)
        known, value = emit.masked(emit.load(base, start)), emit.zero()
        for m in range(emit.size):
            product = builder.fmul(emit.load(table, at, m * emit.stride), known)
            value = builder.insert_element(value, emit.total(emit.masked(product)), ir.Constant(_I32, m))
        emit.store(value, base, start)
        return context.get_dummy_value()

    return types.void(layout, vector, inverse, types.int64), generate


@vector_code
def normal(typing: Any, layout: Any, product: Any, vector: Any, jacobian: Any, edge: Any, i: Any, j: Any) -> Any:
    """product += J^T J vector for one edge, whose two blocks `jacobian` has by rows; gives |J vector|^2."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        emit = _Emit(context, builder, kinds[0], kinds[1].dtype)
        out, base, source = (emit.base(kinds[n], values[n]) for n in (1, 2, 3))
        at = emit.offset(values[4], 2 * emit.length)
        ends = [emit.offset(each, emit.lanes) for each in values[5:]]
        known = [emit.load(base, each) for each in ends]
        sums, norm = [emit.zero(), emit.zero()], ir.Constant(emit.scalar, 0.0)
        for m in range(emit.size):
            rows = [emit.load(source, at, k * emit.length + m * emit.stride) for k in range(2)]
            number = emit.total(emit.masked(emit.fma(rows[1], known[1], builder.fmul(rows[0], known[0]))))
            norm = builder.fadd(norm, builder.fmul(number, number))
            spread = emit.spread(number)
            sums = [emit.fma(row, spread, each) for row, each in zip(rows, sums, strict=True)]
        for each, start in zip(sums, ends, strict=True):
            emit.store(emit.masked(builder.fadd(emit.load(out, start), each)), out, start)
        return norm

    return vector.dtype(layout, product, vector, jacobian, types.int64, types.int64, types.int64), generate
