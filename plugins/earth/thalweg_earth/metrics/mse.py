"""Mean squared error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from thalweg import Totals

from ._errors import Pointwise, squared, totals


class MSE(Pointwise):
    """Mean squared error; of an ensemble, that of its mean.

        MSE = < w (estimate - truth)^2 > / < w > / unit^2

    In the square of the variable's units, over that of `unit`.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2"
    units: ClassVar[str] = "square of the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        return {"squared_error": totals(squared, estimate, truth, variable=self.variable, weights=self.weights)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["squared_error"] / self.unit**2
