"""The rows of laws as one linear operator, of arrays of numpy and tensors of torch; of Dask, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

Array = Any
"""An array of numpy, or a tensor."""

FEW = 8
"""Rows up to which tensors are multiplied by a dense matrix."""


class Matrix:
    """`G` `(k, n)`, from a scipy CSR array, by its products with arrays of numpy and tensors; never made dense.

    `traced` where products with tensors are to be part of one compiled graph; else they are torch's own of sparse
    matrices, which take half the time. `tied` where something else ties rows that share no cell (a factor, noise, other
    chunks), so that `G diag(v) G^T` is a matrix all the same.
    """

    def __init__(self, matrix: Any, *, traced: bool = True, tied: bool = False) -> None:
        self.sparse = matrix
        self.count, self.cells = matrix.shape
        self._traced, self._tied = traced, tied
        self._tensors: dict[str, tuple[Array, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**{name: self.__dict__[name] for name in _KEPT}, "_tensors": {}}

    def times(self, field: Array) -> Array:
        """`G x`: `(..., n)` to `(..., k)`."""
        if not hasattr(field, "new_tensor"):
            return _plain_times(self.sparse, field)
        if self._traced:
            return _times(self.tensors(field), field, self.count)
        return _sparse_times(self._sparse_tensor("times", self.sparse, field), field)

    def back(self, multiplier: Array) -> Array:
        """`G^T l`: `(..., k)` to `(..., n)`."""
        if not hasattr(multiplier, "new_tensor"):
            return _plain_times(self._transposed, multiplier)
        if self._traced:
            return _back(self.tensors(multiplier), multiplier, self.cells)
        return _sparse_times(self._sparse_tensor("back", self._transposed, multiplier), multiplier)

    def sizes(self, field: Array) -> Array:
        """`|G| x`: `(..., n)` to `(..., k)`."""
        return self._absolute.times(field)

    def times_factor(self, factor: Array) -> Array:
        """`G U`: `(..., n, r)` to `(..., k, r)`."""
        return self.times(factor.swapaxes(-1, -2)).swapaxes(-1, -2)

    def back_factor(self, multipliers: Array) -> Array:
        """`G^T Y`: `(..., k, r)` to `(..., n, r)`."""
        return self.back(multipliers.swapaxes(-1, -2)).swapaxes(-1, -2)

    @cached_property
    def disjoint(self) -> bool:
        """Whether no cell is in two rows, and nothing ties them, so that `G diag(v) G^T` is diagonal."""
        import numpy as np

        return not self._tied and bool((np.bincount(self.sparse.indices, minlength=self.cells) <= 1).all())

    @cached_property
    def squares(self) -> Matrix:
        """`P` with `P v = vec(G diag(v) G^T)`, `(k k, n)`; of its diagonal, `(k, n)`, if disjoint."""
        return Matrix(self.sparse.power(2) if self.disjoint else pairs_of(self.sparse), traced=self._traced)

    def gram(self, variance: Array) -> Array:
        """`G diag(v) G^T`: `(..., n)` to `(..., k, k)`, or to its diagonal `(..., k)` if disjoint."""
        flat = self.squares.times(variance)
        return flat if self.disjoint else flat.reshape(*flat.shape[:-1], self.count, self.count)

    def reduction(self, variance: Array, root: Array) -> Array:
        """The diagonal of `V G^T R^T R G V` for `root` `(..., k, k)`, or `(..., k)` for a diagonal one."""
        inverse = root**2 if self.disjoint else (root.swapaxes(-1, -2) @ root).reshape(*root.shape[:-2], -1)
        return variance**2 * self.squares.back(inverse)

    @cached_property
    def _absolute(self) -> Matrix:
        return Matrix(abs(self.sparse), traced=self._traced)

    @cached_property
    def _transposed(self) -> Any:
        return self.sparse.T.tocsr()

    def tensors(self, like: Array) -> tuple[Array, ...]:
        """The dense matrix, or rows, columns and values of the entries, where a tensor lies."""
        return self._kept(str(like.device), lambda: self._made(like.device))

    def _sparse_tensor(self, name: str, matrix: Any, like: Array, /) -> Array:
        return self._kept(f"{name} {like.device}", lambda: (_tensor_of(matrix, like.device),))[0]

    def _kept(self, key: str, make: Callable[[], tuple[Array, ...]], /) -> tuple[Array, ...]:
        if key not in self._tensors:
            import torch

            # What is made in inference mode is of no use to a gradient.
            with torch.inference_mode(False):
                self._tensors[key] = make()
        return self._tensors[key]

    def _made(self, device: Any) -> tuple[Array, ...]:
        import torch

        if self.count <= FEW:
            return (torch.tensor(self.sparse.toarray(), dtype=torch.float64, device=device),)
        entries = self.sparse.tocoo()
        at = (torch.tensor(each, dtype=torch.int64, device=device) for each in (entries.row, entries.col))
        return (*at, torch.tensor(entries.data, dtype=torch.float64, device=device))


_KEPT = ("sparse", "count", "cells", "_traced", "_tied")


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


def _plain_times(matrix: Any, vectors: Array) -> Array:
    import numpy as np

    flat = vectors.reshape(-1, matrix.shape[1]).T
    return (matrix @ np.ascontiguousarray(flat)).T.reshape(*vectors.shape[:-1], matrix.shape[0])


def _tensor_of(matrix: Any, device: Any) -> Array:
    """A scipy CSR array as a sparse tensor."""
    import numpy as np
    import torch

    entries = matrix.tocoo()
    at = torch.as_tensor(np.stack([entries.row, entries.col]).astype(np.int64), device=device)
    values = torch.as_tensor(entries.data, device=device)
    return torch.sparse_coo_tensor(at, values, matrix.shape, check_invariants=False).coalesce()


def _sparse_times(matrix: Array, vectors: Array) -> Array:
    import torch

    flat = vectors.reshape(-1, matrix.shape[1]).T
    return torch.sparse.mm(matrix, flat).T.reshape(*vectors.shape[:-1], matrix.shape[0])


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
