"""The rows `G` of laws as an operator: dense, or sparse and never made dense."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from thalweg.laws import Matrix

from ._arrays import Array, double, is_sparse, namespace, product, transposed


class Operator(Protocol):
    """`G` (k, n), by its products."""

    count: int
    cells: int

    @property
    def disjoint(self) -> bool:
        """Whether no cell is in two rows, so that `G diag(v) G^T` is diagonal and given as such, (..., k)."""

    def times(self, field: Array) -> Array:
        """`G x`: (..., n) -> (..., k)."""

    def sizes(self, field: Array) -> Array:
        """`|G| x`."""

    def back(self, multiplier: Array) -> Array:
        """`G^T l`: (..., k) -> (..., n)."""

    def times_factor(self, factor: Array) -> Array:
        """`G U`: (..., n, r) -> (..., k, r)."""

    def back_factor(self, multipliers: Array) -> Array:
        """`G^T Y`: (..., k, r) -> (..., n, r)."""

    def gram(self, variance: Array) -> Array:
        """`G diag(v) G^T`: (..., k, k), or its diagonal (..., k) if disjoint."""

    def reduction(self, variance: Array, root: Array) -> Array:
        """The diagonal of `V G^T R^T R G V` for `root` (..., k, k), or (..., k) for a diagonal one."""


def operator(rows: Any, *, like: Array, tied: bool = False, apart: bool = False) -> Operator:
    """The operator of an array (..., k, n), a tensor, or a scipy sparse matrix (k, n).

    `tied` where something else ties rows that share no cell (a factor, noise, other chunks), so that their system is a
    matrix all the same; `apart` for a part of rows that share no cell anywhere.
    """
    if apart and rows.shape[-2] > 1:
        return sparse(rows)
    if not is_sparse(rows):
        return Dense(double(rows, like=like), tied=tied)
    # An index and a value for each entry is more than a value for each cell.
    full = rows.nnz * 12 >= rows.shape[0] * rows.shape[1] * 8
    return Dense(double(rows.toarray(), like=like), tied=tied) if full else sparse(rows, tied=tied)


class Columns:
    """Rows (k, n), to be asked for by a stretch of their columns."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __call__(self, region: tuple[slice, ...]) -> Any:
        return self._rows[:, region[0]]


class Dense:
    """Rows as an array (..., k, n)."""

    def __init__(self, matrix: Array, *, tied: bool = False) -> None:
        self.matrix = matrix
        self.count, self.cells = matrix.shape[-2:]
        self.disjoint = self.count == 1 and not tied

    def times(self, field: Array) -> Array:
        return field @ self.matrix.T if self.matrix.ndim == 2 else product(self.matrix, field)

    def sizes(self, field: Array) -> Array:
        rows = [Dense(abs(self.matrix[..., row : row + 1, :])).times(field) for row in range(self.count)]
        return namespace(field).concatenate(rows, -1) if self.count > 1 else rows[0]

    def back(self, multiplier: Array) -> Array:
        if self.matrix.ndim == 2:
            return multiplier @ self.matrix
        return product(transposed(self.matrix), multiplier)

    def times_factor(self, factor: Array) -> Array:
        return self.matrix @ factor

    def back_factor(self, multipliers: Array) -> Array:
        return transposed(self.matrix) @ multipliers

    def gram(self, variance: Array) -> Array:
        # Row by row: k arrays of the size of the field would be the largest thing here.
        rows = [self.times(variance * self.matrix[..., row, :]) for row in range(self.count)]
        return rows[0] if self.disjoint else namespace(rows[0]).stack(rows, -2)

    def reduction(self, variance: Array, root: Array) -> Array:
        total = (variance * self.back(root if self.disjoint else root[..., 0, :])) ** 2
        for row in range(1, self.count):
            total = total + (variance * self.back(root[..., row, :])) ** 2
        return total


def sparse(rows: Any, *, tied: bool = False) -> Matrix:
    """The operator of a scipy sparse matrix."""
    from scipy.sparse import csr_array

    matrix = csr_array(rows, dtype=np.float64)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return Matrix(matrix, traced=False, tied=tied)
