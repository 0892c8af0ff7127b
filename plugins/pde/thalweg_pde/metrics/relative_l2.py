"""Relative error in L2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr
from pydantic import Field
from thalweg import KEPT, Metric, Signature, chosen

from ._fields import known


class RelativeL2(Metric):
    r"""Norm of the error over that of the truth, $\|x - y\|_2 / \|y\|_2$ of each sample (and lead), on average.

    Dimensionless. A sample whose truth is 0 everywhere does not count.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2010.08895"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` if it is not clear which field to score."""
        chosen(given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        left, right = known(estimate, truth, variable=self.variable)
        over = [dim for dim in right.dims if dim not in KEPT]
        error, norm = ((each**2).sum(over) ** 0.5 for each in (left - right, right))
        return {"ratio": error / norm.where(norm > 0)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["ratio"]
