"""The first and the last value along a dim are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ..components import FaceLaw, Line


class Periodic(FaceLaw):
    """The field closes on itself along a dim: $x_0 - x_n = 0$, where first and last point are one place.

    A grid that leaves the last point out has no such law to obey. Raises `HandshakeError` for a dim that the variable
    lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x"}

    def lines(self, grid: xr.Dataset) -> tuple[Line, ...]:  # noqa: ARG002
        return (Line("both", (1.0, -1.0)),)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        return xr.DataArray(np.zeros(1), dims="row", attrs={"units": grid[self.variable].attrs.get("units", "1")})
