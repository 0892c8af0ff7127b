"""Values rise, or fall, along a dim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field

from ..components import DifferentiableLaw, Fields
from ..components.fields import Array, aligned, differences, where
from ..errors import HandshakeError
from ._matrix import space_of


class Monotone(DifferentiableLaw):
    """Values never fall along a dim (`rising`), or never rise: $x_{i+1} \\ge x_i$, in the units of the variable.

    The residual is the size of each step the wrong way. Raises `HandshakeError` for a dim that the variable lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x"}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field(description="the dim along which values rise or fall")
    rising: bool = Field(True, description="whether values rise along the dim; else they fall")

    def known(self, context: xr.Dataset, grid: xr.Dataset) -> Mapping[str, xr.DataArray]:  # noqa: ARG002
        space_of(grid[self.variable], (self.dim,), law="monotone")
        return {}

    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:
        field, dims = fields.values[self.variable], fields.dims[self.variable]
        if self.dim not in dims:
            raise HandshakeError(
                f"monotone goes along {self.dim!r}, and the method learns from scattered points",
                allowed="a method that learns from whole fields",
                advice="hold the law at the output",
            )
        axis = dims.index(self.dim)
        step = differences(field, axis)
        wrong = step.clip(None, 0.0) if self.rising else step.clip(0.0, None)
        if "there" not in known:
            return wrong
        there = aligned(known["there"], ("sample", *map(str, grid[self.variable].dims)), dims)
        if there.shape[axis] > 1:
            low, high = ((slice(None),) * axis + (at,) for at in (slice(None, -1), slice(1, None)))
            there = there[low] & there[high]
        return where(there, wrong)
