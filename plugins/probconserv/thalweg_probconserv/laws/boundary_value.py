"""The value at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import xarray as xr
from pydantic import Field
from thalweg import Rows

from ._known import KnownLaw, Target
from ._matrix import MatrixRows, space_of


class BoundaryValue(KnownLaw):
    """The first or last value along a dim is known (Dirichlet): $x_0 = a$, $x_n = b$.

    With a diagonal covariance no neighbour moves: that takes members, a factor, or smoothing. Raises `HandshakeError`
    for a dim that the variable lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "side": "both", "target": 0.0}

    dim: str = Field(description="the dim along which the boundary lies")
    side: Literal["left", "right", "both"] = Field(
        "both", description="end of the dim: its first point, its last, or both"
    )
    target: Target = 0.0

    def rows(self, grid: xr.Dataset) -> Rows:
        from scipy.sparse import csr_array

        (dim,) = space_of(grid[self.variable], (self.dim,), law="boundary-value")
        size = grid.sizes[dim]
        cells = {"left": [0], "right": [size - 1], "both": [0, size - 1]}[self.side]
        matrix = csr_array(([1.0] * len(cells), (range(len(cells)), cells)), shape=(len(cells), size))
        return MatrixRows(self.variable, sizes={dim: size}, matrix=matrix)
