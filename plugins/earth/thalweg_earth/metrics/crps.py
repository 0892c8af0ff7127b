"""Continuous ranked probability score of an ensemble, or of a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, chosen, pair

from ._members import Estimator, refuse_one


class CRPS(Metric):
    r"""Continuous ranked probability score of an ensemble, whose `m` members lie along `member`, or of a Gaussian.

        CRPS = 1/m sum_i |x_i - y| - 1/(2 k) sum_ij |x_i - x_j|        k = m^2 (ecdf), m (m - 1) (fair)

    `ecdf` is exact for the ensemble taken as the distribution; `fair` is unbiased for the distribution that it was
    drawn from. They are not comparable, so one must be named. Without `member`, an estimate with `NAME_variance` is
    scored as the Gaussian that it says, `estimator` aside:

        CRPS = s (z (2 P(z) - 1) + 2 p(z) - 1 / sqrt(pi))    z = (y - x) / s, s^2 the variance, p and P of N(0, 1)

    and one with neither by its absolute error, which is the CRPS of a certain estimate. In the variable's units. A
    point is missing where the truth, any member or the variance is; infinite where any of the latter is.
    """

    cite: ClassVar[str] = "10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2 10.1002/qj.2270"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0
    example: ClassVar[Mapping[str, Any]] = {"estimator": "ecdf"}

    estimator: Estimator
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = chosen(given, self.variable)
        members = given.sizes.get("member", 2) if "member" in field.dims else 2
        refuse_one(self.estimator, members, score="CRPS")

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        left, right = pair(estimate, truth, variable=self.variable, members=True)
        spread = estimate.get(f"{right.name}_variance")
        if "member" not in left.dims and spread is not None:
            return {
                "crps": xr.apply_ufunc(
                    _gaussian, left, spread, right, dask="parallelized", output_dtypes=[np.float64], join="override"
                )
            }
        if "member" not in left.dims:
            left = left.expand_dims("member", axis=-1)
        else:
            refuse_one(self.estimator, left.sizes["member"], score="CRPS")
        if left.chunks is not None:
            left = left.chunk(member=-1)
        found = xr.apply_ufunc(
            partial(_crps, fair=self.estimator == "fair"),
            left,
            right,
            input_core_dims=[["member"], []],
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        return {"crps": found}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["crps"]


def _crps(members: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], *, fair: bool) -> np.ndarray[Any, Any]:
    size = members.shape[-1]
    ordered = np.sort(members.astype(np.float64), axis=-1)
    error = np.abs(ordered - truth.astype(np.float64)[..., None]).mean(-1)
    # sum_ij |x_i - x_j| = 2 sum_i (2 i - m - 1) x_(i): sorting makes it O(m log m).
    rank = 2.0 * np.arange(1, size + 1) - size - 1
    pairs = size * (size - 1 if fair and size > 1 else size)
    with np.errstate(invalid="ignore"):
        found: np.ndarray[Any, Any] = error - ordered @ rank / pairs
    # inf - inf is NaN, which would count as a point without an answer.
    wild = np.isinf(ordered).any(-1) & ~np.isnan(ordered).any(-1) & np.isfinite(truth)
    return np.where(wild, np.inf, found)


def _gaussian(
    mean: np.ndarray[Any, Any], variance: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The CRPS of N(mean, variance); the absolute error where the variance is 0, NaN where it is negative or NaN."""
    from scipy.special import ndtr

    error, spread = truth.astype(np.float64) - mean, np.sqrt(np.where(variance < 0, np.nan, variance), dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = error / spread
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        score = spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    found = np.where(spread == 0, np.abs(error), score)
    wild = (np.isinf(mean) | np.isinf(spread)) & ~np.isnan(error) & ~np.isnan(spread)
    return np.where(wild, np.inf, found)
