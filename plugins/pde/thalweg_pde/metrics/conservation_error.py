"""Error of an integral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, chosen

from ._fields import across, infinite, known, position


class ConservationError(Metric):
    r"""Integral of the estimate less that of the truth along a dim, by the trapezoid rule on its coordinate.

    $\sum_i w_i (x_i - y_i)$ with $w_i = (s_{i+1} - s_{i-1}) / 2$, half of a step at the ends; `signed`, its absolute
    value or its square, on average. In the variable's units times the coordinate's. Missing cells weigh nothing.
    What is lost against an exact budget, the residual of a law says.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    units: ClassVar[str] = "the variable's units times the coordinate's"
    best: ClassVar[float | None] = 0.0

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    dim: str = Field("", description="dim of space; the last one if empty")
    kind: Literal["signed", "absolute", "squared"] = Field(
        "signed", description="the error: the difference, its absolute value, or its square"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        across(chosen(given, self.variable), self.dim)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        field = chosen(Signature.of(truth), self.variable)
        dim = across(field, self.dim)
        left, right = known(estimate, truth, variable=self.variable)
        steps = np.diff(position(truth[field.name], dim).values)
        weights = xr.DataArray((np.append(steps, 0.0) + np.append(0.0, steps)) / 2, dims=dim)
        gap = left - right
        error = (gap * weights).sum(dim).where(gap.notnull().any(dim))
        error = xr.where(infinite(gap).any(dim), np.inf, error)
        return {"error": {"signed": error, "absolute": abs(error), "squared": error**2}[self.kind]}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"]
