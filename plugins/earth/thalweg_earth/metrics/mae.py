"""Mean absolute error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from thalweg import Totals

from ._errors import Pointwise, absolute, totals


class MAE(Pointwise):
    """Mean absolute error; of an ensemble, that of its mean.

        MAE = < w |estimate - truth| > / < w > / unit

    In the variable's units, over `unit`.
    """

    cite: ClassVar[str] = "10.3354/cr030079"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        return {"absolute_error": totals(absolute, estimate, truth, variable=self.variable, weights=self.weights)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["absolute_error"] / self.unit
