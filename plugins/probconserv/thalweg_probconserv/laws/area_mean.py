"""The mean over an area is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import EstimateError, HandshakeError, LinearLaw, Rows, quantities

from ._matrix import WeightRows

Array = NDArray[Any]

_NOT_AREA = ("sample", "lead", "member")


class AreaMean(LinearLaw):
    r"""The area mean of a variable is known: $\sum_i a_i x_i / \sum_i a_i = b$, over the cells that are there.

    $a_i$ is $\cos\phi_i$ of the coordinate `latitude`, the grid's `area`, or 1. $b$ is the mean of the last input, or
    that of all inputs, or a number, in the units of the variable. Raises `HandshakeError` for a grid without what the
    weights need, `EstimateError` if the same cells are not missing in every sample and lead.
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
        dims, weights = self._weights(grid)
        return WeightRows(self.variable, dims=dims, weights=weights)

    def targets(self, context: xr.Dataset) -> xr.DataArray:
        field = context[self.variable]
        if isinstance(self.target, float) or self.target == "zero":
            mean = xr.DataArray(0.0 if self.target == "zero" else self.target)
        else:
            dims, weights = self._weights(context)
            kept = [dim for dim in field.dims if dim not in dims]
            values = field.transpose(*kept, *dims).fillna(0.0).values.astype(np.float64)
            product = (values * weights).sum(tuple(range(len(kept), values.ndim)))
            by_lead = xr.DataArray(product, dims=kept)
            mean = by_lead.isel(lead=-1) if self.target == "last-input" else by_lead.mean("lead")
        return mean.expand_dims("row", -1).assign_attrs(units=field.attrs.get("units", "1"))

    def _weights(self, grid: xr.Dataset) -> tuple[tuple[str, ...], Array]:
        """The dims averaged, in the field's order, and weights over them that add up to 1."""
        field = grid[self.variable]
        dims = tuple(str(dim) for dim in field.dims if (dim in self.dims if self.dims else dim not in _NOT_AREA))
        there = field.notnull()
        outer = [dim for dim in field.dims if dim not in dims]
        valid = there.any(outer)
        if not bool((there | ~valid).all()):
            raise EstimateError(
                f"cells of {self.variable!r} are missing in some samples or leads and not in others",
                allowed="the same missing cells (land) throughout",
                advice="fill them in preprocess, or in the method",
            )
        area = self._area(grid, dims).broadcast_like(valid).transpose(*dims).values.astype(np.float64)
        area = np.where(valid.transpose(*dims).values, area, 0.0)
        if not area.sum() > 0.0:
            raise EstimateError(
                f"no cell of {self.variable!r} has both a value and an area",
                allowed="at least one",
                advice="look at what is missing",
            )
        return dims, area / area.sum()

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
