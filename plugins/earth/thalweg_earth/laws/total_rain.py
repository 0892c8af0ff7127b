"""How much it rains in all, known from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import AfterValidator, Field
from thalweg import HandshakeError, OptionError, Rows

from ._over_leads import OverLeads, least_of, refuse_below, row_of

INPUTS = ("last-input", "mean-input")


def _not_negative(target: float | str) -> float | str:
    if isinstance(target, float) and not (np.isfinite(target) and target >= 0.0):
        raise OptionError(
            f"a total of {target!r}",
            allowed="0 or more",
            advice="give the sum over the cells of all leads, in the units of the variable",
        )
    return target


class TotalRain(OverLeads):
    r"""The sum of a forecast over its cells and leads is known: $\sum_l \sum_i w_i x_i(l) = b$.

    $b$ is a number, what it would be if it went on raining as in the last input or in the mean of the inputs, or an
    input of the sample: a gauge, another forecast. In the units of the variable times those of the weights; for an
    amount of water multiply by the length of a step and the area of a cell. Missing cells count as 0. Raises
    `OptionError` for a negative number, `EstimateError` for a negative input, with its sample.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field"}

    target: Annotated[
        Annotated[float | str, Field(union_mode="left_to_right")],
        AfterValidator(_not_negative),
        Field(
            description="the known sum: a number, `last-input` or `mean-input`, or the name of an input that has one "
            "value for each sample",
        ),
    ] = "last-input"

    def reads(self) -> tuple[str, ...]:
        named = isinstance(self.target, str) and self.target not in INPUTS
        return (str(self.target),) if named else (self.variable,)

    def rows(self, grid: xr.Dataset) -> Rows:
        return row_of(self, grid, self.of_cells(grid), gaps="sum")

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        field = grid[self.variable]
        if isinstance(self.target, float):
            found = xr.DataArray(self.target)
        elif self.target in INPUTS:
            cells = self.of_cells(grid)
            series = context[self.variable].astype(np.float64).weighted(cells).sum(cells.dims)
            chosen = series.isel(lead=-1) if self.target == "last-input" else series.mean("lead")
            found = grid.sizes["lead"] * chosen
        else:
            found = context[self.target].astype(np.float64)
            if set(found.dims) - {"sample"}:
                raise HandshakeError(
                    f"the target {self.target!r} lies along {', '.join(map(str, found.dims))}",
                    allowed="one value for each sample",
                    advice="add it up in preprocess, or name another input",
                )
        if "sample" in found.dims:
            refuse_below(found.expand_dims("row", -1), min(0.0, least_of(field)), context, law=self.name)
        return found.reset_coords(drop=True).expand_dims("row", -1).assign_attrs(units=field.attrs.get("units", "1"))
