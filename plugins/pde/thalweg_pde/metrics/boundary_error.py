"""Error at the boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, chosen

from ._fields import across, known


class BoundaryError(Metric):
    """Root mean squared error of the first and last cells across a dim.

    In the variable's units. Raises `HandshakeError` for a field without the dim.
    """

    units: ClassVar[str] = "the variable's units"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    dim: str = Field("", description="dim of space; the last one if empty")
    sides: Literal["left", "right", "both"] = Field(
        "both", description="ends of the dim where errors are taken: the first cells, the last ones, or both"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        across(chosen(given, self.variable), self.dim)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        dim = across(chosen(Signature.of(truth), self.variable), self.dim)
        left, right = known(estimate, truth, variable=self.variable)
        cells = {"left": [0], "right": [-1], "both": [0, -1]}[self.sides]
        return {"squared_error": ((left - right) ** 2).isel({dim: cells})}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["squared_error"] ** 0.5
