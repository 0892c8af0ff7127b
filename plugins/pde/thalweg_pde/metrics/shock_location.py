"""Error of the place of a front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, chosen

from ._fields import across, infinite, known, position


class ShockLocation(Metric):
    r"""Distance between the fronts of the estimate and of the truth along a dim, on average.

    A front is at the first cell whose value is `threshold` or below; at the last cell where there is none. Of an
    ensemble the distances of its members are averaged. In the coordinate's units. Missing cells are no front.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    units: ClassVar[str] = "the coordinate's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    dim: str = Field("", description="dim of space; the last one if empty")
    threshold: float = Field(0.0, description="value at or below which the front has passed")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        across(chosen(given, self.variable), self.dim)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        field = chosen(Signature.of(truth), self.variable)
        dim = across(field, self.dim)
        left, right = known(estimate, truth, variable=self.variable, members=True)
        along = position(truth[field.name], dim)
        distance = abs(self._place(left, along) - self._place(right, along))
        # A field that is infinite somewhere has no front that could be right.
        distance = xr.where(infinite(left).any(dim) & distance.notnull(), np.inf, distance)
        return {"distance": distance.mean("member", skipna=False) if "member" in distance.dims else distance}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["distance"]

    def _place(self, field: xr.DataArray, along: xr.DataArray) -> xr.DataArray:
        dim = str(along.dims[0])
        first = xr.where(field <= self.threshold, along, np.inf).min(dim)
        there = field.notnull().any(dim)
        placed: xr.DataArray = xr.where(there, np.minimum(first, float(along[-1])), np.nan)
        return placed
