"""Values stay between bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import xarray as xr
from pydantic import Field, model_validator

from ..components.signature import Signature
from ..errors import HandshakeError
from ._inequality import BoundedLaw, Limit


class Bounds(BoundedLaw):
    """Values stay between bounds: lower <= x <= upper, in the units of the variable; the residual is what is outside.

    A bound is a number, or the name of a variable in the context with the field's dims or fewer. Without either, they
    are the range that the variable declares (`valid_range`, or that of 8-bit values). Raises `ValueError` for a lower
    bound above the upper, and `HandshakeError` for a name that the context lacks, or a variable without a range.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "lower": 0.0, "upper": 1.0}

    variable: str = Field(description="the field that the law is about")
    lower: float | str | None = Field(
        None,
        description="least value: a number, or the name of a variable of the context, in the units of the variable; "
        "none if only `upper` is given",
    )
    upper: float | str | None = Field(
        None,
        description="largest value: a number, or the name of a variable of the context, in the units of the variable; "
        "none if only `lower` is given",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.lower, self.upper
        if low != low or high != high:
            raise ValueError(f"lower {low!r} and upper {high!r}: NaN is no bound")
        if isinstance(low, float) and isinstance(high, float) and not low <= high:
            raise ValueError(f"lower {low!r} is above upper {high!r}")
        return self

    def check(self, given: Signature) -> None:
        """Raise `HandshakeError` for a variable without a range, where no bound is given."""
        if self.variable in given and self.lower is None and self.upper is None:
            _declared(given, self.variable)

    def limits(self, context: xr.Dataset, grid: xr.Dataset) -> tuple[Limit, Limit]:
        if self.lower is None and self.upper is None:
            return _declared(Signature.of(grid), self.variable)
        least, most = float("-inf"), float("inf")
        return self._limit(self.lower, context, least), self._limit(self.upper, context, most)

    def _limit(self, given: float | str | None, context: xr.Dataset, none: float) -> Limit:
        if given is None:
            return none
        if not isinstance(given, str):
            return given
        if given not in context.variables:
            raise HandshakeError(
                f"bounds needs {given!r}, which is not known beforehand",
                allowed=", ".join(map(str, context.variables)),
                advice="name an input or a static field",
            )
        found = context[given]
        if "lead" in found.dims:
            raise HandshakeError(
                f"{given!r} lies along the steps of the inputs",
                allowed="a bound along `target_lead`, or along dims of the field other than `lead`",
                advice="name a static field, or a variable that is known at the leads that are estimated",
            )
        # Where it is missing there is no bound.
        found = found.fillna(none)
        found = found.rename(target_lead="lead") if "target_lead" in found.dims else found
        return found.reset_coords(drop=True)


def _declared(given: Signature, variable: str) -> tuple[float, float]:
    """The range of values that a variable declares."""
    found = given[variable].bounds
    if found is None:
        raise HandshakeError(
            f"{variable!r} declares no range of its values",
            allowed="a variable with the attribute `valid_range`, or of type uint8",
            advice="set `lower` or `upper`",
        )
    return found
