"""No value is negative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field

from ._inequality import BoundedLaw, Limit


class Nonnegative(BoundedLaw):
    """No value is negative: $x \\ge 0$, in the units of the variable; the residual is the negative part."""

    example: ClassVar[Mapping[str, Any]] = {"variable": "field"}

    variable: str = Field(description="the field that the law is about")

    def limits(self, context: xr.Dataset, grid: xr.Dataset) -> tuple[Limit, Limit]:  # noqa: ARG002
        return 0.0, float("inf")
