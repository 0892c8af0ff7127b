"""Continuous ranked probability score of a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, chosen

from ._fields import check_spread, infinite, known, spread


class GaussianCRPS(Metric):
    r"""Mean of $\sigma \, (z (2 \Phi(z) - 1) + 2 \phi(z) - 1 / \sqrt \pi)$ with $z = (y - \mu) / \sigma$ over points.

    $\sigma^2$ is `NAME_variance`, or the unbiased variance of the members; where it is 0, the absolute error; NaN where
    it is negative or missing. `crps`
    scores the members themselves. In the variable's units. Raises `HandshakeError` for an estimate with neither.
    """

    cite: ClassVar[str] = "10.1175/MWR2904.1"
    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        check_spread(given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        from scipy.special import ndtr

        name = chosen(Signature.of(truth), self.variable).name
        mean, right = known(estimate, truth, variable=self.variable)
        scale = spread(estimate, name) ** 0.5
        error = right - mean
        z = (error / scale).where(scale > 0)
        below = xr.apply_ufunc(ndtr, z, dask="parallelized", output_dtypes=[np.float64])
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        score = scale * (z * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi))
        found = xr.where(scale > 0, score, abs(error).where(scale == 0))
        return {"crps": xr.where(infinite(mean, scale), np.inf, found)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["crps"]
