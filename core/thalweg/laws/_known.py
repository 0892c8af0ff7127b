"""Linear laws whose right-hand side is known beforehand."""

from __future__ import annotations

from typing import Annotated

import xarray as xr
from pydantic import AfterValidator, Field

from ..components import LinearLaw
from ..components.rows import applied
from ._expressions import evaluated, fields_of, parsed

INPUTS = ("last-input", "mean-input")


def _checked(target: float | str) -> float | str:
    if isinstance(target, str) and target not in INPUTS:
        parsed(target)
    return target


Target = Annotated[
    Annotated[float | str, Field(union_mode="left_to_right")],
    AfterValidator(_checked),
    Field(
        description="a number; `last-input` or `mean-input`: what the law's rows give of the last input or of all; "
        "or an expression of names in the context, `row(field)` being what the rows give of a field",
    ),
]


class KnownLaw(LinearLaw):
    """A linear law of one variable, with a target."""

    variable: str = Field(description="the field that the law is about")
    target: Target

    def reads(self) -> tuple[str, ...]:
        if self.target in INPUTS:
            return (self.variable,)
        return fields_of(self.target) if isinstance(self.target, str) else ()

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        if self.target in INPUTS:
            field = context[self.variable]
            if "lead" in field.dims:
                field = field.isel(lead=-1, drop=True) if self.target == "last-input" else field.mean("lead")
            found = applied(self.rows(grid), field)
        elif isinstance(self.target, str):
            made = evaluated(self.target, context, functions={"row": lambda field: applied(self.rows(grid), field)})
            found = made if isinstance(made, xr.DataArray) else xr.DataArray(made)
        else:
            found = xr.DataArray(self.target)
        if "target_lead" in found.dims:
            found = found.rename(target_lead="lead")
        if "row" not in found.dims:
            found = found.expand_dims(row=self.rows(grid).count, axis=-1)
        units = grid[self.variable].attrs.get("units", "1")
        return found.reset_coords(drop=True).astype("float64").assign_attrs(units=units)
