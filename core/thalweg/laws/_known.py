"""Linear laws whose right-hand side is known beforehand."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import xarray as xr
from pydantic import AfterValidator, Field

from ..components import LinearLaw, Rows
from ..components.rows import applied
from ..errors import HandshakeError, OptionError
from ._expressions import evaluated, fields_of, parsed

INPUTS = ("last-input", "mean-input")


def _checked(target: float | str) -> float | str:
    """A target that could be one. Raises `OptionError` for an expression that is none, or a number not finite."""
    if isinstance(target, str) and target not in INPUTS:
        parsed(target)
    if isinstance(target, float) and not isfinite(target):
        raise OptionError(
            f"a target of {target!r} says nothing", allowed="a finite number", advice="give a number or an expression"
        )
    return target


Target = Annotated[
    Annotated[float | str, Field(union_mode="left_to_right")],
    AfterValidator(_checked),
    Field(
        description="a number; `last-input` or `mean-input`: what the law's rows give of the last input or of all; "
        "or an expression of names in the context, `row(field)` being what the rows give of a field",
    ),
]


def given_by(rows: Rows, field: xr.DataArray, *, law: str) -> xr.DataArray:
    """What rows give of a field that is known beforehand: of an input at each of its steps.

    Raises `HandshakeError` for rows over the leads of the estimate, which no input has.
    """
    if "target_lead" in field.dims:
        return applied(rows, field.rename(target_lead="lead"))
    if "lead" in rows.dims:
        raise HandshakeError(
            f"{law} goes over 'lead', the steps that are estimated, and {str(field.name)!r} has none of them",
            allowed="a target that is a number, or known at each `target_lead`",
            advice="give the target as a number or an expression without `row`, or leave 'lead' out of `dims`",
        )
    return applied(rows, field)


class KnownLaw(LinearLaw):
    """A linear law of one variable, with a target."""

    variable: str = Field(description="the field that the law is about")
    target: Target

    def reads(self) -> tuple[str, ...]:
        if self.target in INPUTS:
            return (self.variable,)
        return fields_of(self.target) if isinstance(self.target, str) else ()

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        def row(field: xr.DataArray) -> xr.DataArray:
            return given_by(self.rows(grid), field, law=self.name)

        if self.target in INPUTS:
            field = context[self.variable]
            if "lead" in field.dims:
                field = field.isel(lead=-1, drop=True) if self.target == "last-input" else field.mean("lead")
            found = row(field)
        elif isinstance(self.target, str):
            made = evaluated(self.target, context, functions={"row": row})
            found = made if isinstance(made, xr.DataArray) else xr.DataArray(made)
            self._refuse_steps(found)
        else:
            found = xr.DataArray(self.target)
        if "target_lead" in found.dims:
            found = found.rename(target_lead="lead")
        if "row" not in found.dims:
            found = found.expand_dims(row=self.rows(grid).count, axis=-1)
        units = grid[self.variable].attrs.get("units", "1")
        return found.reset_coords(drop=True).astype("float64").assign_attrs(units=units)

    def _refuse_steps(self, found: xr.DataArray) -> None:
        if "lead" in found.dims:
            raise HandshakeError(
                f"the target {self.target!r} has a value at each step of the inputs",
                allowed="one value of a sample, or one at each `target_lead`",
                advice=f"take the last step or the mean of them: `last({self.variable})`, `mean({self.variable})`",
            )
