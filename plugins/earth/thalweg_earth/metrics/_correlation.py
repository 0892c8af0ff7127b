"""Correlation from means, so that it does not depend on how the data were cut."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

MOMENTS = ("estimate", "truth", "estimate_squared", "truth_squared", "product")

_ROUNDING = 1e-13


def correlation(mean: Mapping[str, xr.DataArray], *, centred: bool = True) -> xr.DataArray:
    """Pearson correlation of the estimate and the truth, about zero if not `centred`; NaN where either is constant."""
    e, t, ee, tt, et = (mean[name] for name in MOMENTS)
    if not centred:
        return et / np.sqrt(_positive(ee, ee) * _positive(tt, tt))
    return (et - e * t) / np.sqrt(_positive(ee - e * e, ee) * _positive(tt - t * t, tt))


def _positive(variance: xr.DataArray, square: xr.DataArray) -> xr.DataArray:
    # The variance of a constant is a difference of equal numbers: what rounding leaves of it is not a signal.
    return variance.where(variance > _ROUNDING * square)
