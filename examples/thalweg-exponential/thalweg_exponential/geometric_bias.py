"""A metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from pydantic import Field
from thalweg import Metric


class GeometricBias(Metric):
    r"""The factor by which an estimate is too low: $\exp \overline{\ln (f / \hat f)}$ of a positive field $f$."""

    cite: ClassVar[str] = "10.1007/s00703-003-0070-7"
    best: ClassVar[float | None] = 1.0
    variable: str = Field("concentration", description="the field that is scored")

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        return {"log_ratio": xr.ufuncs.log(truth[self.variable] / estimate[self.variable])}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        bias: xr.DataArray = xr.ufuncs.exp(mean["log_ratio"])
        return bias
