"""Rain from the reflectivity of radar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import Transform


class RainRate(Transform):
    r"""Adds the rain rate of a radar reflectivity, $Z = a R^b$ with $Z = 10^{\mathrm{dBZ} / 10}$, in mm h-1, float32.

    $\mathrm{dBZ}$ is the variable times `by`. No rain below `minimum` dBZ, where radars see clutter. Unlike the
    reflectivity, rain adds up. The defaults are those of Marshall and Palmer, for $Z$ in mm6 m-3.
    """

    cite: ClassVar[str] = "10.1175/1520-0469(1948)005<0165:TDORWS>2.0.CO;2"
    example: ClassVar[Mapping[str, Any]] = {"variable": "reflectivity", "by": 0.20588}

    variable: str = Field(description="the field that is read")
    by: PositiveFloat = Field(1.0, description="dBZ in one unit of the variable: 0.5 where it counts half dBZ")
    a: PositiveFloat = Field(200.0, description="factor $a$ of $Z = a R^b$, with $R$ in mm h-1 and $Z$ in mm6 m-3")
    b: PositiveFloat = Field(1.6, description="exponent $b$ of $Z = a R^b$")
    minimum: float = Field(10.0, description="reflectivity below which it does not rain, dBZ")
    to: str = Field("rain", description="name of the new variable")

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        # A number of numpy, so that the field stays in single precision.
        dbz = data[self.variable].astype(np.float32) * np.float32(self.by)
        rate = (np.float32(10.0) ** (dbz / np.float32(10.0)) / np.float32(self.a)) ** np.float32(1 / self.b)
        rain = rate.where((dbz >= self.minimum) | dbz.isnull(), np.float32(0.0))
        return data.assign({self.to: rain.assign_attrs(units="mm h-1", long_name="rain rate", standard_name=_STANDARD)})

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: a field is added, and none is changed."""
        return estimate


_STANDARD = "rainfall_rate"
