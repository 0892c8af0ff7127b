"""Both boundaries are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import LinearLaw, Rows, Signature

from ._faces import FaceRows, across, has_cells, targets, units_of


class Periodic(LinearLaw):
    r"""The first and the last cells across `dim` are one place: $u_0 - u_{N-1} = 0$, in the variable's units.

    For a grid that holds both ends. One that leaves the last out has no such law to obey. Raises `HandshakeError`
    without the dim.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x"}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field("x", description="the dim whose two ends are one place")

    def check(self, given: Signature) -> None:
        has_cells(given, variable=self.variable, dim=self.dim, count=3)

    def rows(self, grid: xr.Dataset) -> Rows:
        dims, sizes = across(grid, variable=self.variable, dim=self.dim)
        line = np.zeros((1, sizes[dims.index(self.dim)]))
        line[0, 0], line[0, -1] = 1.0, -1.0
        return FaceRows(self.variable, dims, sizes, self.dim, line)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        units = units_of(context, variable=self.variable, values={})
        return targets(context, {"left": 0.0}, variable=self.variable, dim=self.dim, units=units)
