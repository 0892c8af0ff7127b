"""The slope at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat, model_validator
from thalweg import LinearLaw, Rows, Signature

from ..stencil import one_sided
from ._faces import SIDES, FaceRows, Side, Value, across, has_cells, some_side, targets


class Neumann(LinearLaw):
    r"""Slopes at the first (`left`) or last (`right`) cells across `dim`: $\partial_x u|_{\partial} = \alpha$.

    Along `dim`, not along the outward normal. Taken by a one-sided difference of `order` on the coordinate (or on
    steps of `spacing`), in the variable's units per unit of the coordinate. $\alpha$ is a number or an input variable,
    as for `dirichlet`. Raises `OptionError` without a side, `HandshakeError` without the dim, the input, or `order` + 1
    cells.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "left": 0.0, "right": 0.0}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field("x", description="the dim across which the boundary lies")
    left: Value = Field(
        None,
        description="slope at the first cells, along `dim`: a number, or the name of an input, in units of the "
        "variable "
        "per unit of the coordinate; unknown if null",
    )
    right: Value = Field(
        None,
        description="slope at the last cells, along `dim`: a number, or the name of an input, in units of the variable "
        "per unit of the coordinate; unknown if null",
    )
    order: Annotated[int, Field(ge=1, le=4)] = Field(2, description="order of accuracy of the one-sided difference")
    spacing: PositiveFloat | None = Field(
        None, description="distance between cells, in the coordinate's units; the coordinate's own if null"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Neumann:
        some_side(self.values)
        return self

    def reads(self) -> tuple[str, ...]:
        return tuple(value for value in self.values.values() if isinstance(value, str))

    def check(self, given: Signature) -> None:
        has_cells(given, variable=self.variable, dim=self.dim, count=self.order + 1)

    @property
    def values(self) -> dict[Side, Value]:
        """By side, where there is one."""
        return {side: value for side, value in zip(SIDES, (self.left, self.right), strict=True) if value is not None}

    def rows(self, grid: xr.Dataset) -> Rows:
        dims, sizes = across(grid, variable=self.variable, dim=self.dim)
        size = sizes[dims.index(self.dim)]
        steps = np.arange(size) * (self.spacing or 1.0)
        position = grid[self.dim].values if self.spacing is None and self.dim in grid.coords else steps
        lines = np.zeros((len(self.values), size))
        for line, side in zip(lines, self.values, strict=True):
            near = slice(0, self.order + 1) if side == "left" else slice(-1, -self.order - 2, -1)
            line[near] = one_sided(position[near])
        return FaceRows(self.variable, dims, sizes, self.dim, lines)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        units = context[self.variable].attrs.get("units", "1") if self.variable in context else "1"
        along = context[self.dim].attrs.get("units", "1") if self.dim in context.coords else "1"
        per = f"{units} / {along}"
        return targets(context, self.values, variable=self.variable, dim=self.dim, units=per)
