"""Squared error per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from thalweg import Totals

from ._errors import squared
from ._frames import PerFrame, per_frame


class FrameMSE(PerFrame):
    """Squared error added up over a frame and averaged over frames, channels and samples; of an ensemble, of its mean.

        MSE = < sum_cells (estimate - truth)^2 > / unit^2

    It grows with the size of the frame: compare at one size only. In the square of the variable's units, over that of
    `unit`.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1502.04681 10.48550/arXiv.2207.05833"
    units: ClassVar[str] = "square of the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        return per_frame(squared, estimate, truth, variable=self.variable, dims=self.dims)

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"] * mean["cells"] / self.unit**2
