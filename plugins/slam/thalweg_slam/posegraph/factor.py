"""Cholesky factor of a sparse matrix of small dense blocks, and solves with it, in a choice of precisions.

Left-looking, one column of blocks at a time, on the structure `Symbolic` found beforehand. A diagonal block of the
factor is kept as its inverse, so that a solve has no division.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from .lanes import (
    PACKED,
    PAD,
    PADDED,
    accumulate,
    copy,
    divide,
    downdate,
    downdate_diagonal,
    eliminate,
    gather,
    multiply,
    multiply_transposed,
    round_columns,
)
from .symbolic import Symbolic

Array = np.ndarray[Any, np.dtype[Any]]

STORED = {"fp64": np.float64, "fp32": np.float32, "fp16": np.uint16, "bf16": np.int16}
"""How a kind of number is held in arrays: see `lanes`."""


def flat(blocks: int, length: int, kind: Any) -> Array:
    """Room for `blocks` of `length` numbers, and for reading beyond the last."""
    return np.zeros(blocks * length + PAD, kind)


@dataclass(frozen=True)
class Matrix:
    """A symmetric block matrix, its lower half, in the structure of its factor; and then, in place, that factor."""

    symbolic: Symbolic
    size: int
    lower: Array
    diagonal: Array

    @classmethod
    def empty(cls, symbolic: Symbolic, size: int, kind: str) -> Matrix:
        length = size * len(PADDED[size][1])
        dtype = STORED[kind]
        count = len(symbolic.order)
        return cls(symbolic, size, flat(symbolic.blocks, length, dtype), flat(count, length, dtype))

    def clear(self) -> None:
        self.lower[:] = 0
        self.diagonal[:] = 0

    def assemble(self, jacobian: Array, *, ends: Array, places: Array, idle: Array) -> None:
        """J^T J of Jacobians by rows (edge, side, size, size); 1 on the diagonal of poses that do not move."""
        self.clear()
        layout, packed = PADDED[self.size], PACKED[self.size]
        _assemble(layout, packed, self.lower, self.diagonal, jacobian, ends, places, idle)

    def factorise(self, *, shift: float = 0.0, rounded: str | None = None, floor: float = 0.0) -> tuple[int, float]:
        """Replace the matrix plus `shift` on its diagonal by its factor.

        Gives the column whose pivot was not above `floor`, or -1, and the smallest pivot.
        `rounded`: the kind of number ("fp16", "bf16") to which each finished column is rounded.
        """
        symbolic = self.symbolic
        kind = np.empty(PAD, self.lower.dtype if rounded is None else STORED[rounded])
        column, least = _factorise(
            PADDED[self.size], self.lower, self.diagonal, symbolic.starts, symbolic.rows, shift, kind, floor
        )
        return int(column), float(least)

    def solve(self, vector: Array) -> None:
        """Divide a vector of `lanes` numbers a block by the factor, in place."""
        solve(PADDED[self.size], self.lower, self.diagonal, self.symbolic.starts, self.symbolic.rows, vector)

    def packed(self, kind: str, vectors: str) -> Packed:
        """The factor for solving alone: without gaps, blocks below the diagonal in `kind`."""
        lower = flat(self.symbolic.blocks, self.size**2, STORED[kind])
        _copy(PACKED[self.size], lower, PADDED[self.size], self.lower, self.symbolic.blocks)
        return Packed(self.symbolic, self.size, lower, self.diagonal.astype(STORED[vectors]))


@dataclass(frozen=True)
class Packed:
    symbolic: Symbolic
    size: int
    lower: Array
    diagonal: Array

    def solve(self, vector: Array) -> None:
        symbolic = self.symbolic
        back_and_forth(
            PACKED[self.size], PADDED[self.size], self.lower, self.diagonal, symbolic.starts, symbolic.rows, vector
        )


def solve(layout: Any, lower: Array, diagonal: Array, starts: Array, rows: Array, vector: Array) -> None:
    back_and_forth(layout, layout, lower, diagonal, starts, rows, vector)


def converted(jacobian: Array, kind: str, size: int) -> Array:
    """The same numbers in another kind."""
    blocks = (len(jacobian) - PAD) // size**2
    found = flat(blocks, size**2, STORED[kind])
    _copy(PACKED[size], found, PACKED[size], jacobian, blocks)
    return found


@njit(cache=True, nogil=True)
def scale_columns(size, lanes, ends, jacobian, scale):  # type: ignore[no-untyped-def]
    """Each column of the Jacobian times the number for its pose's coordinate."""
    for e in range(len(ends)):
        for side in range(2):
            at, n = (2 * e + side) * size * size, ends[e, side] * lanes
            for m in range(size):
                for k in range(size):
                    jacobian[at + m * size + k] *= scale[n + k]


@njit(cache=True, nogil=True)
def _copy(into, target, out, source, blocks):  # type: ignore[no-untyped-def]
    copy(into, target, out, source, 0, blocks)


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(layout, diagonal, column, shift):  # type: ignore[no-untyped-def]
    """A diagonal block, replaced by the inverse of its Cholesky factor; the smallest pivot."""
    least = np.inf
    size, stride = len(layout[0]), len(layout[1])
    at = column * size * stride
    for k in range(size):
        pivot = diagonal[at + k * stride + k] + shift
        for m in range(k):
            pivot -= diagonal[at + m * stride + k] * diagonal[at + m * stride + k]
        if not pivot > 0:
            return 0.0
        least = min(least, pivot)
        # The diagonal holds reciprocals from here on.
        reciprocal = 1 / np.sqrt(pivot)
        diagonal[at + k * stride + k] = reciprocal
        for i in range(k + 1, size):
            value = diagonal[at + k * stride + i]
            for m in range(k):
                value -= diagonal[at + m * stride + i] * diagonal[at + m * stride + k]
            diagonal[at + k * stride + i] = value * reciprocal
    for k in range(size):
        for i in range(k + 1, size):
            value = diagonal[at + k * stride + i] * diagonal[at + k * stride + k]
            for m in range(k + 1, i):
                value += diagonal[at + m * stride + i] * diagonal[at + k * stride + m]
            diagonal[at + k * stride + i] = -value * diagonal[at + i * stride + i]
            diagonal[at + i * stride + k] = 0
    return least


@njit(cache=True, nogil=True, error_model="numpy")
def _factorise(layout, lower, diagonal, starts, rows, shift, rounded, floor):  # type: ignore[no-untyped-def]
    count = len(starts) - 1
    least = np.inf
    position = np.zeros(count, np.int32)
    # Of each column, the block whose row is the next to be eliminated; columns that wait for one row form a list.
    upcoming, waiting, following = np.empty(count, np.int64), np.empty(count, np.int32), np.empty(count, np.int32)
    for j in range(count):
        upcoming[j], waiting[j], following[j] = starts[j], -1, -1
    for j in range(count):
        first, last = starts[j], starts[j + 1]
        for at in range(first, last):
            position[rows[at]] = at
        k = waiting[j]
        while k >= 0:
            after = following[k]
            at = upcoming[k]
            downdate_diagonal(layout, diagonal, j, lower, at)
            downdate(layout, lower, at + 1, starts[k + 1], at, rows, position)
            if at + 1 < starts[k + 1]:
                upcoming[k] = at + 1
                row = rows[at + 1]
                following[k] = waiting[row]
                waiting[row] = k
            k = after
        pivot = _invert(layout, diagonal, j, shift)
        if not pivot > floor:
            return j, 0.0
        least = min(least, pivot)
        divide(layout, lower, first, last, diagonal, j)
        round_columns(layout, lower, first, last, rounded)
        if last > first:
            row = rows[first]
            following[j] = waiting[row]
            waiting[row] = j
    return -1, least


@njit(cache=True, nogil=True)
def _assemble(layout, packed, lower, diagonal, jacobian, ends, places, idle):  # type: ignore[no-untyped-def]
    size, stride = len(layout[0]), len(layout[1])
    for e in range(len(ends)):
        i, j = ends[e, 0], ends[e, 1]
        accumulate(layout, diagonal, j, packed, jacobian, 2 * e + 1, 2 * e + 1)
        if i != j:
            accumulate(layout, diagonal, i, packed, jacobian, 2 * e, 2 * e)
            row, column = (2 * e, 2 * e + 1) if i > j else (2 * e + 1, 2 * e)
            accumulate(layout, lower, places[e], packed, jacobian, row, column)
    for n in range(len(idle)):
        if idle[n]:
            for k in range(size):
                diagonal[n * size * stride + k * stride + k] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def back_and_forth(layout, padded, lower, diagonal, starts, rows, vector):  # type: ignore[no-untyped-def]
    count = len(starts) - 1
    for j in range(count):
        multiply(padded, vector, diagonal, j)
        eliminate(layout, vector, lower, starts[j], starts[j + 1], rows, j)
    for j in range(count - 1, -1, -1):
        gather(layout, vector, lower, starts[j], starts[j + 1], rows, j)
        multiply_transposed(padded, vector, diagonal, j)
