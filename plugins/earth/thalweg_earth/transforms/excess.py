"""What lies above a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Transform


class Excess(Transform):
    r"""Adds by how much a variable is above a threshold, $y = \max(x - t, 0)$, in its units, as float32.

    Of radar, whose values below 10 to 15 dBZ are clutter, a field that is 0 where it is dry and has no jump where rain
    begins: `{excess: {variable: reflectivity, over: 73, to: rain}}` is 1 and more from 74 on. Missing values stay so.
    A `valid_range` begins at 0.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "over": 0.4, "to": "rain"}

    variable: str = Field(description="the field that is read")
    over: float = Field(description="threshold $t$, in the units of the variable")
    to: str = Field(description="name of the new variable")

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        field = data[self.variable]
        # Numbers of numpy, so that the field stays in single precision.
        above = (field.astype(np.float32) - np.float32(self.over)).clip(min=np.float32(0.0))
        bounds = field.attrs.get("valid_range")
        if bounds is None and field.dtype == np.uint8:
            bounds = (0, 255)
        attrs = {"units": field.attrs.get("units", "1"), "long_name": f"excess of {self.variable} over {self.over:g}"}
        if bounds is not None:
            attrs["valid_range"] = [0.0, max(0.0, float(bounds[1]) - self.over)]
        return data.assign({self.to: above.assign_attrs(attrs)})

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: a field is added, and none is changed."""
        return estimate
