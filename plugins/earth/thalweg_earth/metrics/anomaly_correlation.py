"""Anomaly correlation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, Totals, chosen, pair

from ._correlation import MOMENTS, correlation
from ._fields import Weights, missing, points, weights_of
from ._sums import sums


class AnomalyCorrelation(Metric):
    """Correlation of the anomalies of estimate and truth, over samples and cells; of an ensemble, that of its mean.

        ACC = < w e t > / sqrt(< w e^2 > < w t^2 >)        e, t anomalies, less their means if `centred`

    Dimensionless, -1 to 1; NaN where either is constant. The fields must be anomalies already, as the
    transform `anomaly` makes them.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(1989)117<0572:SSACCI>2.0.CO;2"
    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    centred: bool = Field(False, description="whether the mean over samples and cells is subtracted first")
    weights: Weights = Field("none", description="weights of the cells: all equal, or by area (the cosine of latitude)")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` if it is not clear which field to score."""
        chosen(given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = pair(estimate, truth, variable=self.variable)
        cells = weights_of(right, self.weights)
        over = tuple(dim for dim in points(right) if dim not in cells.dims)
        found = sums(_moments, left, right, over=over, gives={"moment": len(MOMENTS) + 1}) * cells
        found = found.sum(cells.dims, skipna=False)
        count = found.isel(moment=-1)
        return {name: Totals(found.isel(moment=i), count) for i, name in enumerate(MOMENTS)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return correlation(mean, centred=self.centred)


def _moments(estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    e, t = estimate.astype(np.float64), truth.astype(np.float64)
    count = np.full(len(t), t.shape[1], np.float64)
    absent = missing(estimate, truth)
    if absent is not None:
        e[absent] = t[absent] = 0.0
        count -= np.count_nonzero(absent, axis=-1)
    return np.stack([e.sum(-1), t.sum(-1), np.vecdot(e, e), np.vecdot(t, t), np.vecdot(e, t), count], axis=-1)
