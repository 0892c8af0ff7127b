"""The value at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, model_validator
from thalweg import LinearLaw, Rows, Signature

from ._faces import SIDES, FaceRows, Side, Value, across, has_cells, some_side, targets, units_of


class Dirichlet(LinearLaw):
    r"""Values on the first (`left`) or last (`right`) cells across `dim`: $u|_{\partial} = \alpha$.

    $\alpha$ is a number, or an input variable: of what varies along `dim` its cell at the boundary counts, of what
    varies in time its last step, so that the variable itself keeps its last boundary. In the variable's units. Raises
    `OptionError` without a side, `HandshakeError` without the dim or the input.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "left": 0.0, "right": 0.0}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field("x", description="the dim across which the boundary lies")
    left: Value = Field(
        None,
        description="value of the first cells along `dim`: a number, or the name of an input, in the units of the "
        "variable; unknown if null",
    )
    right: Value = Field(
        None,
        description="value of the last cells along `dim`: a number, or the name of an input, in the units of the "
        "variable; unknown if null",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Dirichlet:
        some_side(self.values)
        return self

    def reads(self) -> tuple[str, ...]:
        return tuple(value for value in self.values.values() if isinstance(value, str))

    def check(self, given: Signature) -> None:
        has_cells(given, variable=self.variable, dim=self.dim, count=2)

    @property
    def values(self) -> dict[Side, Value]:
        """By side, where there is one."""
        return {side: value for side, value in zip(SIDES, (self.left, self.right), strict=True) if value is not None}

    def rows(self, grid: xr.Dataset) -> Rows:
        dims, sizes = across(grid, variable=self.variable, dim=self.dim)
        lines = np.zeros((len(self.values), sizes[dims.index(self.dim)]))
        for line, side in zip(lines, self.values, strict=True):
            line[0 if side == "left" else -1] = 1.0
        return FaceRows(self.variable, dims, sizes, self.dim, lines)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        units = units_of(context, variable=self.variable, values=self.values)
        return targets(context, self.values, variable=self.variable, dim=self.dim, units=units)
