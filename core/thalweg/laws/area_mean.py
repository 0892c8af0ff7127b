"""The mean over an area is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from .. import quantities
from ..components import LinearLaw, Rows
from ..errors import HandshakeError
from ._known import given_by
from ._matrix import WeightRows, space_of


class AreaMean(LinearLaw):
    r"""The area mean of a variable is known: $\sum_i a_i x_i / \sum_i a_i = b$, over the cells that are there.

    $a_i$ is $\cos\phi_i$ of the coordinate `latitude`, the grid's `area`, or 1. $b$ is the mean of the last input, or
    that of all inputs, or a number, in the units of the variable. Raises `HandshakeError` for a grid without what the
    weights need.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field"}

    variable: str = Field(description="the field that the law is about")
    dims: tuple[str, ...] = Field((), description="dims that are averaged; all but sample, lead and member if empty")
    weights: Literal["cosine", "area", "equal"] = Field(
        "cosine", description="weights of the cells: cosine of the latitude, the grid's `area`, or all equal"
    )
    target: Literal["last-input", "mean-input", "zero"] | float = Field(
        "last-input",
        description="known mean: that of the last input, of all inputs, or a number in the units of the variable",
    )

    def reads(self) -> tuple[str, ...]:
        return (self.variable,)

    def rows(self, grid: xr.Dataset) -> Rows:
        dims = space_of(grid[self.variable], self.dims, law="area-mean")
        sizes = {dim: grid.sizes[dim] for dim in dims}
        area = self._area(grid, dims)
        area = area.expand_dims({dim: size for dim, size in sizes.items() if dim not in area.dims})
        weights = area.transpose(*dims).values.astype(np.float64)
        return WeightRows(self.variable, dims=dims, weights=weights / weights.sum(), gaps="mean")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        units = grid[self.variable].attrs.get("units", "1")
        if isinstance(self.target, float) or self.target == "zero":
            known = xr.DataArray(0.0 if self.target == "zero" else self.target).expand_dims("row", -1)
        else:
            by_lead = given_by(self.rows(grid), context[self.variable], law=self.name)
            known = by_lead.isel(lead=-1) if self.target == "last-input" else by_lead.mean("lead")
        return known.reset_coords(drop=True).assign_attrs(units=units)

    def _area(self, grid: xr.Dataset, dims: tuple[str, ...]) -> xr.DataArray:
        if self.weights == "equal":
            return xr.DataArray(1.0)
        if self.weights == "area":
            found = [grid["area"]] if "area" in grid.variables else []
        else:
            latitude = quantities.find_axis(grid, "latitude")
            found = [] if latitude is None else [quantities.cosine_of_latitude(latitude)]
        if not found or not set(found[0].dims) <= set(dims):
            needed = "an `area`" if self.weights == "area" else "a latitude"
            raise HandshakeError(
                f"area-mean needs {needed} along {', '.join(dims)} to weigh the cells of {self.variable!r} by",
                allowed=f"weights: cosine, area or equal; the grid has {', '.join(map(str, grid.coords))}",
                advice="set `weights: equal` for a plane of equal cells",
            )
        return found[0].clip(min=0.0).drop_vars(list(found[0].coords))
