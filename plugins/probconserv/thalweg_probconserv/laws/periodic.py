"""The first and the last value along a dim are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import LinearLaw, Rows

from ._matrix import MatrixRows, space_of


class Periodic(LinearLaw):
    """The field closes on itself along a dim: $x_0 - x_n = 0$, where first and last point are one place.

    Raises `HandshakeError` for a dim that the variable lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x"}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field(description="the dim whose two ends are one place")

    def rows(self, grid: xr.Dataset) -> Rows:
        from scipy.sparse import csr_array

        (dim,) = space_of(grid[self.variable], (self.dim,), law="periodic")
        size = grid.sizes[dim]
        matrix = csr_array(([1.0, -1.0], ([0, 0], [0, size - 1])), shape=(1, size))
        return MatrixRows(self.variable, sizes={dim: size}, matrix=matrix)

    def targets(self, context: xr.Dataset) -> xr.DataArray:
        units = context[self.variable].attrs.get("units", "1") if self.variable in context else "1"
        return xr.DataArray(np.zeros(1), dims="row", attrs={"units": units})
