"""The derivative at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field

from ._boundary import BoundaryLaw, Side, inwards, stencil


class BoundaryFlux(BoundaryLaw):
    r"""The derivative along a dim is known at its first or last point (Neumann): $\sum_j c_j x_j = b$.

    $c$ is the one-sided stencil of `order` on the dim's coordinate, evenly spaced or not, positive along the dim:
    first order $(x_1 - x_0)/h$, third $(-11 x_0 + 18 x_1 - 9 x_2 + 2 x_3)/6h$. $b$ is in the variable's units over the
    coordinate's. Raises `HandshakeError` for fewer than `order + 1` points.
    """

    slopes: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "side": "left", "target": 0.0}

    order: int = Field(1, ge=1, le=6, description="order of accuracy of the one-sided difference")

    def line(self, grid: xr.Dataset, side: Side) -> Sequence[float]:
        return tuple(stencil(inwards(grid, self.dim, side), self.order))
