"""Spread of an ensemble over the error of its mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature

from ._members import check_members, ensemble


class SpreadSkill(Metric):
    r"""Spread of `m` members over the root mean square error of their mean: 1 of a reliable ensemble.

        ratio = sqrt(mean((m + 1) / m s^2) / mean((x - y)^2))     s^2 unbiased variance of the members, x their mean

    below 1 of members that are too much alike. `spread` and `skill` (the error) stand beside it, in the variable's
    units. A point is missing where the truth or any member is. Dimensionless. Raises `HandshakeError` for fewer than
    two members, unless `alone: zero` scores such an estimate as one without a spread.
    """

    cite: ClassVar[str] = "10.1175/JHM-D-14-0008.1"

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    alone: Literal["refuse", "zero"] = Field(
        "refuse",
        description="what an estimate without members is: refused, or one whose spread is 0, beside ensembles in one "
        "table",
    )

    @property
    def _least(self) -> int:
        return 2 if self.alone == "refuse" else 1

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        check_members(given, variable=self.variable, least=self._least, metric=self.name)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        left, right = ensemble(estimate, truth, variable=self.variable, least=self._least, metric=self.name)
        found = xr.apply_ufunc(
            _squares,
            left,
            right,
            input_core_dims=[["member"], []],
            output_core_dims=[["part"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"part": 2}},
        )
        units = right.attrs.get("units", "1")
        return {name: found.isel(part=i).assign_attrs(units=units) for i, name in enumerate(("variance", "error"))}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        # Of infinite members both are infinite.
        ratio = (mean["variance"] / mean["error"]) ** 0.5
        return ratio.where(mean["error"] < np.inf, 0.0).where(mean["error"].notnull())

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
        units = "the variable's units"
        return {
            "spread": (mean["variance"] ** 0.5).assign_attrs(units=units),
            "skill": (mean["error"] ** 0.5).assign_attrs(units=units, better="lower"),
        }


def _squares(members: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Variance of the members, widened by (m + 1) / m, and squared error of their mean: (..., 2)."""
    count = members.shape[-1]
    wide = members.astype(np.float64)
    missing = np.isnan(wide).any(-1) | np.isnan(truth.astype(np.float64))
    with np.errstate(invalid="ignore"):
        spread = wide.var(-1, ddof=1) * (count + 1) / count if count > 1 else np.zeros(wide.shape[:-1])
        found = np.stack([spread, (wide.mean(-1) - truth.astype(np.float64)) ** 2], -1)
    wild = np.isinf(wide).any(-1) & ~missing
    found[wild] = np.inf
    found[missing] = np.nan
    return found
