"""Values rise, or fall, along a dim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field

from ..components import Law
from ._matrix import space_of


class Monotone(Law):
    """Values never fall along a dim (`rising`), or never rise: $x_{i+1} \\ge x_i$, in the units of the variable.

    The residual is the size of each step the wrong way. Raises `HandshakeError` for a dim that the variable lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x"}

    variable: str = Field(description="the field that the law is about")
    dim: str = Field(description="the dim along which values rise or fall")
    rising: bool = Field(True, description="whether values rise along the dim; else they fall")

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        field = fields[self.variable]
        (dim,) = space_of(field, (self.dim,), law="monotone")
        later, earlier = field.isel({dim: slice(1, None)}), field.isel({dim: slice(None, -1)})
        step = later.drop_vars(dim, errors="ignore") - earlier.drop_vars(dim, errors="ignore")
        wrong = step.clip(max=0.0) if self.rising else step.clip(min=0.0)
        return wrong.fillna(0.0).assign_attrs(units=field.attrs.get("units", "1")).to_dataset(name=self.variable)
