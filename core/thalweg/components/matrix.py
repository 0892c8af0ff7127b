"""A sparse matrix that multiplies arrays of numpy and tensors of torch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

Array = Any
"""An array of numpy, or a tensor."""

FEW = 8
"""Rows up to which tensors are multiplied by a dense matrix."""


class Matrix:
    """`G` `(k, n)`, from a scipy CSR array; its tensors are kept for each device."""

    def __init__(self, matrix: Any) -> None:
        self.sparse = matrix
        self.count, self.cells = matrix.shape
        self._tensors: dict[str, tuple[Array, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"sparse": self.sparse, "count": self.count, "cells": self.cells, "_tensors": {}}

    def times(self, field: Array) -> Array:
        """`G x`: `(..., n)` to `(..., k)`."""
        if hasattr(field, "new_tensor"):
            return _times(self.tensors(field), field, self.count)
        flat = field.reshape(-1, self.cells)
        return (self.sparse @ flat.T).T.reshape(*field.shape[:-1], self.count)

    def back(self, multiplier: Array) -> Array:
        """`G^T l`: `(..., k)` to `(..., n)`."""
        if hasattr(multiplier, "new_tensor"):
            return _back(self.tensors(multiplier), multiplier, self.cells)
        flat = multiplier.reshape(-1, self.count)
        return (self._transposed @ flat.T).T.reshape(*multiplier.shape[:-1], self.cells)

    @cached_property
    def disjoint(self) -> bool:
        """Whether no cell is in two rows, so that `G diag(v) G^T` is diagonal."""
        import numpy as np

        return bool((np.bincount(self.sparse.indices, minlength=self.cells) <= 1).all())

    @cached_property
    def squares(self) -> Matrix:
        """`P` with `P v = vec(G diag(v) G^T)`, `(k k, n)`; of its diagonal, `(k, n)`, if disjoint."""
        return Matrix(self.sparse.power(2) if self.disjoint else pairs_of(self.sparse))

    def gram(self, variance: Array) -> Array:
        """`G diag(v) G^T`: `(..., n)` to `(..., k, k)`, or to its diagonal `(..., k)` if disjoint."""
        flat = self.squares.times(variance)
        return flat if self.disjoint else flat.reshape(*flat.shape[:-1], self.count, self.count)

    @cached_property
    def _transposed(self) -> Any:
        return self.sparse.T.tocsr()

    def tensors(self, like: Array) -> tuple[Array, ...]:
        """The dense matrix, or rows, columns and values of the entries, where a tensor lies."""
        key = str(like.device)
        if key not in self._tensors:
            import torch

            # What is made in inference mode is of no use to a gradient.
            with torch.inference_mode(False):
                self._tensors[key] = self._made(like.device)
        return self._tensors[key]

    def _made(self, device: Any) -> tuple[Array, ...]:
        import torch

        if self.count <= FEW:
            return (torch.tensor(self.sparse.toarray(), dtype=torch.float64, device=device),)
        entries = self.sparse.tocoo()
        at = (torch.tensor(each, dtype=torch.int64, device=device) for each in (entries.row, entries.col))
        return (*at, torch.tensor(entries.data, dtype=torch.float64, device=device))


def pairs_of(matrix: Any) -> Any:
    """`P` `(k k, n)` of a CSR array `G` `(k, n)`, with `P v = vec(G diag(v) G^T)`."""
    import numpy as np
    from scipy.sparse import csr_array

    count, cells = matrix.shape
    columns = matrix.tocsc()
    many = np.diff(columns.indptr)
    column = np.repeat(np.arange(cells), many)
    first = np.repeat(np.arange(columns.nnz), many[column])
    begin = np.repeat(np.cumsum(many[column]) - many[column], many[column])
    second = columns.indptr[:-1][column[first]] + np.arange(len(first)) - begin
    at = columns.indices.astype(np.int64)[first] * count + columns.indices[second]
    values = columns.data[first] * columns.data[second]
    return csr_array((values, (at, column[first])), shape=(count**2, cells))


def _times(tensors: tuple[Array, ...], field: Array, count: int) -> Array:
    if len(tensors) == 1:
        return field @ tensors[0].T
    row, column, value = tensors
    return field.new_zeros(*field.shape[:-1], count).index_add(-1, row, field.index_select(-1, column) * value)


def _back(tensors: tuple[Array, ...], multiplier: Array, cells: int) -> Array:
    if len(tensors) == 1:
        return multiplier @ tensors[0]
    row, column, value = tensors
    made = multiplier.new_zeros(*multiplier.shape[:-1], cells)
    return made.index_add(-1, column, multiplier.index_select(-1, row) * value)
