"""A method that learns nothing, and knows how wrong it may be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Signature, Solver


class ExponentialSmoothing(Solver):
    r"""The exponentially weighted mean of the inputs, cell by cell, at every lead.

    Level $\ell_t = \ell_{t-1} + \alpha e_t$, error $e_t = f_t - \ell_{t-1}$; the variance at lead $h$ is
    $\overline{e^2} (1 + \alpha^2 (h - 1))$, in the units of the field squared.
    """

    cite: ClassVar[str] = "10.1007/978-3-540-71918-2"
    weight: float = Field(0.5, gt=0, le=1, description="alpha: how far the level follows the last input")

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The mean and its variance."""
        return truth.with_variance()

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        estimate = xr.Dataset(coords={"lead": lead})
        for name in wanted.names:
            level, squared = self._smoothed(inputs[name])
            growth = 1 + self.weight**2 * xr.DataArray(lead - 1, {"lead": lead}, "lead")
            still = xr.ones_like(growth, dtype=level.dtype)
            estimate[name] = (level * still).transpose("sample", "lead", ...).assign_attrs(inputs[name].attrs)
            estimate[f"{name}_variance"] = (squared * growth).transpose("sample", "lead", ...).drop_attrs(deep=False)
        return estimate

    def _smoothed(self, field: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The last level, and the mean square of the errors on the way to it."""
        first, *others = (field.isel(lead=i, drop=True) for i in range(field.sizes["lead"]))
        level, squared = first, xr.zeros_like(first)
        for step in others:
            error = step - level
            level, squared = level + self.weight * error, squared + error**2
        return level, squared / max(len(others), 1)
