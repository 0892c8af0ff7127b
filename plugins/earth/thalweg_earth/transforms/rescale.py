"""Other units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, field_validator
from thalweg import OptionError, Transform, quantities


class Rescale(Transform):
    r"""A variable in other units, $y = \mathrm{by}\,x + \mathrm{offset}$, as float32 (float64 stays).

    `{rescale: {variable: slp, units: Pa, by: 0.01, to: hPa}}`. A `valid_range` is rescaled, too.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "slp", "units": "Pa", "by": 0.01, "to": "hPa"}

    variable: str = Field(description="the field that is read")
    by: float = Field(1.0, description="number that the variable is multiplied by")
    offset: float = Field(0.0, description="number that is added after the multiplication, in the new units")
    to: str = Field(description="the new units")
    units: str = Field("", description="units that the variable must have before; any if empty")

    @field_validator("by")
    @classmethod
    def _invertible(cls, value: float) -> float:
        if not np.isfinite(value) or value == 0:
            raise OptionError(
                f"by {value!r} loses the field", allowed="a finite factor other than 0", advice="give `by`"
            )
        return value

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        array = data[self.variable]
        kind = array.dtype.type if array.dtype == np.float64 else np.float32
        scaled = array.astype(kind) * kind(self.by) + kind(self.offset)
        scaled.attrs = {**array.attrs, "units": quantities.canonical_units(self.to)}
        bounds = array.attrs.get("valid_range")
        if bounds is None and array.dtype == np.uint8:
            bounds = (0, 255)
        if bounds is not None:
            scaled.attrs["valid_range"] = sorted(float(each) * self.by + self.offset for each in bounds)
        return data.assign({self.variable: scaled})

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        powers = {self.variable: 1, f"{self.variable}_factor": 1, f"{self.variable}_variance": 2}
        made = {}
        for name in set(powers) & set(map(str, estimate.data_vars)):
            array = estimate[name]
            kind = array.dtype.type
            offset = self.offset if name == self.variable else 0.0
            made[name] = (array - kind(offset)) / kind(abs(self.by) ** powers[name] if powers[name] > 1 else self.by)
        return estimate.assign(made)
