"""The integral over space is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field

from ..components import Rows
from ._known import KnownLaw, Target
from ._matrix import WeightRows, space_of
from ._weights import Weights, cell_weights


class Integral(KnownLaw):
    r"""The integral of a variable is known: $\sum_i w_i x_i = b$.

    $w_i$ are the trapezoid rule of the dims' coordinates, the grid's `area`, $\cos\phi_i$ of its latitude, or 1. $b$ is
    a number, what the last input or the mean of the inputs has, or an expression of what is in the context, such as
    `0.9 * row(last(rain))` or `m ** (1 + 1 / m) / (m + 1) * t ** (1 + 1 / m)`; in the variable's units times those
    of the weights. Missing cells count as 0. Raises `HandshakeError` for a grid without what the weights need.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "weights": "trapezoid"}

    dims: tuple[str, ...] = Field((), description="dims to integrate over; all but sample, lead and member if empty")
    weights: Weights = Field(
        "equal",
        description="weights of the cells: the trapezoid rule, the grid's `area`, cosine of the latitude, or all equal",
    )
    target: Target = "last-input"

    def rows(self, grid: xr.Dataset) -> Rows:
        dims = space_of(grid[self.variable], self.dims, law="integral")
        return WeightRows(
            self.variable, dims=dims, weights=cell_weights(grid, self.variable, dims, self.weights), gaps="sum"
        )
