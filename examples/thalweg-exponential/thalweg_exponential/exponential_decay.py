"""A linear law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from scipy.sparse import csr_array
from thalweg import LinearLaw, Rows


class ExponentialDecay(LinearLaw):
    r"""The area mean decays from that of the last input: $\bar f(h) = \bar f(0) e^{-h/\tau}$, in units of the field."""

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "lifetime": 40.0, "leads": 4}
    variable: str = Field(description="the field that the law is about")
    dims: tuple[str, ...] = Field(("y", "x"), description="dims that are averaged over")
    lifetime: float = Field(gt=0, description="lifetime tau of the mean, in steps")
    leads: int = Field(gt=0, description="number of steps that are estimated")

    def rows(self, grid: xr.Dataset) -> Rows:
        return _Mean(self.variable, self.dims, [grid.sizes[dim] for dim in self.dims])

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        lead = np.arange(self.leads) + 1
        decay = xr.DataArray(np.exp(-lead / self.lifetime), {"lead": lead}, "lead")
        last = context[self.variable].sel(lead=0, drop=True)
        return (last.mean(self.dims) * decay).expand_dims("row", -1).assign_attrs(units=last.attrs.get("units", "1"))


class _Mean(Rows):
    count = 1
    gaps = "mean"

    def __init__(self, variable: str, dims: tuple[str, ...], sizes: list[int]) -> None:
        self.variable, self.dims = variable, dims
        self._weight = 1 / np.prod(sizes)

    def block(self, region: Mapping[str, slice]) -> Any:
        cells = int(np.prod([region[dim].stop - region[dim].start for dim in self.dims]))
        return csr_array(np.full((1, cells), self._weight))
