"""Root mean squared error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from thalweg import Totals

from ._errors import Pointwise, squared, totals


class RMSE(Pointwise):
    """Root mean squared error; of an ensemble, that of its mean.

        RMSE = sqrt(< w (estimate - truth)^2 > / < w >) / unit

    In the variable's units, over `unit`. Over all leads it is the root of the pooled mean, not the mean of the roots.
    """

    cite: ClassVar[str] = "10.5194/gmd-15-5481-2022"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        return {"squared_error": totals(squared, estimate, truth, variable=self.variable, weights=self.weights)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["squared_error"] ** 0.5 / self.unit
