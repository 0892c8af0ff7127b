"""The derivative at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import HandshakeError, Rows

from ._known import KnownLaw, Target
from ._matrix import MatrixRows, coordinate, space_of


class BoundaryFlux(KnownLaw):
    r"""The derivative along a dim is known at its first or last point (Neumann): $\sum_j c_j x_j = b$.

    $c$ is the one-sided stencil of `order` on the dim's coordinate, evenly spaced or not, positive along the dim:
    first order $(x_1 - x_0)/h$, third $(-11 x_0 + 18 x_1 - 9 x_2 + 2 x_3)/6h$. $b$ is in the variable's units over the
    coordinate's. Raises `HandshakeError` for fewer than `order + 1` points.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "side": "left", "target": 0.0}

    dim: str = Field(description="the dim along which the derivative is known")
    side: Literal["left", "right", "both"] = Field(
        "both", description="end of the dim: its first point, its last, or both"
    )
    order: int = Field(1, ge=1, le=6, description="order of accuracy of the one-sided difference")
    target: Target = 0.0

    def rows(self, grid: xr.Dataset) -> Rows:
        from scipy.sparse import csr_array

        (dim,) = space_of(grid[self.variable], (self.dim,), law="boundary-flux")
        points = coordinate(grid, dim, law="boundary-flux")
        size, reach = len(points), self.order + 1
        if size < reach:
            raise HandshakeError(
                f"a stencil of order {self.order} takes {reach} points, but {dim!r} has {size}",
                allowed=f"order up to {size - 1}",
                advice="lower `order`",
            )
        found = []
        if self.side != "right":
            found.append((np.arange(reach), stencil(points[:reach], points[0])))
        if self.side != "left":
            found.append((np.arange(size - reach, size), stencil(points[-reach:], points[-1])))
        matrix = np.zeros((len(found), size))
        for row, (cells, weights) in enumerate(found):
            matrix[row, cells] = weights
        return MatrixRows(self.variable, sizes={dim: size}, matrix=csr_array(matrix))


def stencil(points: NDArray[Any], at: float) -> NDArray[Any]:
    """Weights of the derivative at `at`, exact for polynomials through `points`."""
    scale = float(np.ptp(points))
    powers = np.vander((points - at) / scale, increasing=True).T
    wanted = np.zeros(len(points))
    wanted[1] = 1.0 / scale
    return np.linalg.solve(powers, wanted)
