"""Logarithm of a Gaussian density at the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import Metric, Signature, chosen

from ._fields import check_spread, infinite, known, spread


class LogLikelihood(Metric):
    r"""Mean of $\log N(y \mid \mu, v) = -\frac12 (\log 2 \pi v + (y - \mu)^2 / v)$ over points.

    $v$ is `NAME_variance`, or the unbiased variance of the members; not less than `floor`. In nats. Raises
    `HandshakeError` for an estimate with neither.
    """

    cite: ClassVar[str] = "10.1198/016214506000001437"
    units: ClassVar[str] = "nat"
    higher_is_better: ClassVar[bool | None] = True

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    floor: PositiveFloat = Field(
        1e-8, description="smallest variance that is used, in the units of the variable squared"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        check_spread(given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        name = chosen(Signature.of(truth), self.variable).name
        mean, right = known(estimate, truth, variable=self.variable)
        variance = spread(estimate, name).clip(min=self.floor, keep_attrs=False)
        misfit = (right - mean) ** 2 / variance
        density = -0.5 * (misfit + np.log(2 * np.pi * variance))
        return {"log_density": xr.where(infinite(mean, variance), -np.inf, density)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["log_density"]
