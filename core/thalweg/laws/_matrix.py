"""Rows given by a sparse matrix over all cells."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..components import Rows
from ..errors import HandshakeError

Gaps = Literal["sum", "mean", "void"]

NOT_SPACE = ("sample", "lead", "target_lead", "member", "rank")


class MatrixRows(Rows):
    """Rows `(count, cells)` over `dims`, of which a block is a choice of columns."""

    def __init__(self, variable: str, *, sizes: Mapping[str, int], matrix: Any, gaps: Gaps) -> None:
        from scipy.sparse import csr_array

        self.variable, self.dims, self.gaps = variable, tuple(sizes), gaps
        self._sizes = tuple(sizes.values())
        self._matrix = csr_array(matrix, dtype=np.float64)
        self.count = self._matrix.shape[0]

    def block(self, region: Mapping[str, slice]) -> Any:
        at = tuple(region[dim] for dim in self.dims)
        if all(part.indices(size) == (0, size, 1) for part, size in zip(at, self._sizes, strict=True)):
            return self._matrix
        chosen = np.arange(prod(self._sizes)).reshape(self._sizes)[at].ravel()
        return self._matrix[:, chosen]


class WeightRows(Rows):
    """One row: a weight for each cell over `dims`."""

    count = 1

    def __init__(self, variable: str, *, dims: tuple[str, ...], weights: NDArray[Any], gaps: Gaps) -> None:
        self.variable, self.dims, self._weights, self.gaps = variable, dims, weights, gaps

    def block(self, region: Mapping[str, slice]) -> Any:
        from scipy.sparse import csr_array

        return csr_array(self._weights[tuple(region[dim] for dim in self.dims)].reshape(1, -1))


def space_of(field: xr.DataArray, dims: tuple[str, ...], *, law: str) -> tuple[str, ...]:
    """The dims that a law reduces, in the field's order: `dims`, or all of space. Raises `HandshakeError`."""
    missing = [dim for dim in dims if dim not in field.dims]
    found = tuple(str(dim) for dim in field.dims if (dim in dims if dims else dim not in NOT_SPACE))
    if missing or not found:
        raise HandshakeError(
            f"{law} goes over {', '.join(map(repr, missing)) or 'no dim'}, which {str(field.name)!r} does not have",
            allowed=", ".join(str(dim) for dim in field.dims if dim not in NOT_SPACE) or "a field with dims of space",
            advice="set `dims` to dims of the variable",
        )
    return found


def coordinate(grid: xr.Dataset, dim: str, *, law: str) -> NDArray[Any]:
    """The coordinate along a dim as numbers. Raises `HandshakeError`."""
    if dim not in grid.coords:
        raise HandshakeError(
            f"{law} needs a coordinate along {dim!r}, to know how far its cells are apart",
            allowed=", ".join(map(str, grid.coords)) or "a grid with coordinates",
            advice=f"give {dim!r} a coordinate in ingest",
        )
    values = grid[dim].values
    return np.asarray(values.astype("float64") if values.dtype.kind != "M" else values.astype("int64") / 1e9)
