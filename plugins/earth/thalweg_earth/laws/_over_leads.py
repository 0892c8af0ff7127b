"""What laws of a whole forecast have in common: one row over the cells of all leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import EstimateError, HandshakeError, LinearLaw, Rows, Signature
from thalweg.laws import Gaps, cell_weights

NOT_CELLS = ("sample", "member", "rank", "lead", "target_lead")


class OverLeads(LinearLaw):
    """A law of one number for each sample, of its cells at all leads."""

    variable: str = Field(description="the field that the law is about")
    weights: Literal["equal", "cos-lat", "cell-area"] = Field(
        "equal", description="weights of the cells: all equal, cosine of the latitude, or the grid's `area`"
    )

    def check(self, given: Signature) -> None:
        if self.variable in given and "lead" not in given[self.variable].dims:
            raise HandshakeError(
                f"{self.name} is of all leads, and {str(given[self.variable])!r} has none",
                allowed="a field along 'lead'",
                advice="use `area-mean` or `integral`",
            )

    def reads(self) -> tuple[str, ...]:
        return (self.variable,)

    def of_cells(self, grid: xr.Dataset) -> xr.DataArray:
        """The weights of the cells of one lead."""
        field = grid[self.variable]
        dims = tuple(str(dim) for dim in field.dims if dim not in NOT_CELLS)
        return xr.DataArray(cell_weights(grid, self.variable, dims, self.weights), dims=dims)


class LeadRows(Rows):
    """One row: the weights of the cells of a lead, the same at each."""

    count = 1

    def __init__(self, variable: str, cells: xr.DataArray, *, leads: int, dims: tuple[str, ...], gaps: Gaps) -> None:
        self.variable, self.dims, self.gaps = variable, dims, gaps
        whole = cells.expand_dims(lead=leads).transpose(*dims)
        self._weights = np.ascontiguousarray(whole.values, dtype=np.float64)

    def block(self, region: Mapping[str, slice]) -> Any:
        from scipy.sparse import csr_array

        return csr_array(self._weights[tuple(region[dim] for dim in self.dims)].reshape(1, -1))


def row_of(law: OverLeads, grid: xr.Dataset, cells: xr.DataArray, *, gaps: Gaps) -> LeadRows:
    """The row of a law on a grid."""
    field = grid[law.variable]
    dims = tuple(str(dim) for dim in field.dims if dim not in ("sample", "member", "rank"))
    return LeadRows(law.variable, cells, leads=field.sizes["lead"], dims=dims, gaps=gaps)


def refuse_below(targets: xr.DataArray, least: float, context: xr.Dataset, *, law: str) -> None:
    """Raise `EstimateError`, with the sample, for a target that no field of values from `least` on can have."""
    wrong = np.flatnonzero(
        (targets < least).transpose("sample", ...).values.reshape(targets.sizes["sample"], -1).any(1)
    )
    if wrong.size:
        at = int(wrong[0])
        times = context.coords.get("reference_time")
        which = f"sample {at}" if times is None or times.dims != ("sample",) else f"{str(times.values[at])[:16]}"
        value = float(targets.isel(sample=at).min())
        raise EstimateError(
            f"the target of {law} is {value:.6g} for {which}, and the field is nowhere below {least:g}",
            allowed=f"{least:g} or more",
            advice="ask for fewer standard deviations below the mean, or for a larger total",
        )


def least_of(field: xr.DataArray) -> float:
    """The lowest value of a field: of its `valid_range`, or 0 of what has no range and no sign of one."""
    bounds = field.attrs.get("valid_range")
    return 0.0 if bounds is None else float(bounds[0])
