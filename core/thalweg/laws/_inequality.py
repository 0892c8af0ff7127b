"""Laws of what values a field may take."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import xarray as xr

from ..components import Law

Limit = float | xr.DataArray


class BoundedLaw(Law):
    """Each value lies between two limits; held together with linear laws."""

    variable: str

    @abstractmethod
    def limits(self, context: xr.Dataset, grid: xr.Dataset) -> tuple[Limit, Limit]:
        """Lower and upper, numbers or fields; infinite where there is none."""


def beyond(field: xr.DataArray, lower: Limit, upper: Limit) -> xr.Dataset:
    """How far values are outside, negative below; missing ones are not outside."""
    above = (field - upper).clip(min=0.0) if np.ndim(upper) or np.isfinite(upper) else 0.0 * field
    below = (field - lower).clip(max=0.0) if np.ndim(lower) or np.isfinite(lower) else 0.0 * field
    found = (above + below).fillna(0.0)
    return found.assign_attrs(units=field.attrs.get("units", "1")).to_dataset(name=str(field.name))
