"""A sum of the value and the derivative at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import xarray as xr
from pydantic import Field, model_validator

from ..errors import OptionError
from ._boundary import BoundaryLaw, Side, inwards, stencil


class Robin(BoundaryLaw):
    r"""A sum of value and derivative is known at the first or last point along a dim: $a x_0 + b\,\partial x_0 = c$.

    The derivative is that of `boundary-flux`: along the dim, not along the outward normal. $c$ is in the units of
    $a x$; `slope` is in those of the coordinate times those of `value`. Raises `HandshakeError` for fewer than
    `order + 1` points, and `OptionError` where both weights are 0.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "side": "left", "slope": 100.0}

    value: float = Field(1.0, description="weight a of the value at the face")
    slope: float = Field(description="weight b of the derivative along the dim, in units of the coordinate")
    order: int = Field(1, ge=1, le=6, description="order of accuracy of the one-sided difference")

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if self.value == 0.0 and self.slope == 0.0:
            raise OptionError(
                "`value` and `slope` are 0: the law says nothing of the field",
                allowed="one of them other than 0",
                advice="give the weight of the value or of the derivative",
            )
        return self

    def line(self, grid: xr.Dataset, side: Side) -> Sequence[float]:
        inner, *rest = self.slope * stencil(inwards(grid, self.dim, side), self.order)
        return (self.value + inner, *rest)
