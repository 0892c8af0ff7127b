"""Values stay between bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import xarray as xr
from pydantic import Field, model_validator

from ..errors import HandshakeError
from ._inequality import BoundedLaw, Limit, beyond


class Bounds(BoundedLaw):
    """Values stay between bounds: lower <= x <= upper, in the units of the variable; the residual is what is outside.

    A bound is a number, or the name of a variable in the context with the field's dims or fewer. Raises `ValueError`
    for a lower bound above the upper, and `HandshakeError` for a name that the context lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "lower": 0.0, "upper": 1.0}

    variable: str = Field(description="the field that the law is about")
    lower: float | str = Field(
        float("-inf"),
        description="least value: a number, or the name of a variable of the context, in the units of the variable",
    )
    upper: float | str = Field(
        float("inf"),
        description="largest value: a number, or the name of a variable of the context, in the units of the variable",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.lower, self.upper
        if not isinstance(low, str) and not isinstance(high, str) and not low <= high:
            raise ValueError(f"lower {low!r} is above upper {high!r}")
        return self

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        return beyond(fields[self.variable], *self.limits(context))

    def limits(self, context: xr.Dataset) -> tuple[Limit, Limit]:
        return self._limit(self.lower, context), self._limit(self.upper, context)

    def _limit(self, given: float | str, context: xr.Dataset) -> Limit:
        if not isinstance(given, str):
            return given
        if given not in context.variables:
            raise HandshakeError(
                f"bounds needs {given!r}, which is not known beforehand",
                allowed=", ".join(map(str, context.variables)),
                advice="name an input or a static field",
            )
        found = context[given]
        found = found.rename(target_lead="lead") if "target_lead" in found.dims else found
        return found.reset_coords(drop=True)
