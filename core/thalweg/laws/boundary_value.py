"""The value at a boundary is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import xarray as xr

from ._boundary import BoundaryLaw, Side


class BoundaryValue(BoundaryLaw):
    """The first or last value along a dim is known (Dirichlet): $x_0 = a$, $x_n = b$, in the units of the variable.

    With a diagonal covariance no neighbour moves: that takes members, a factor, smoothing, or a network. Raises
    `HandshakeError` for a dim that the variable lacks.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "dim": "x", "side": "both", "target": 0.0}

    def line(self, grid: xr.Dataset, side: Side) -> Sequence[float]:  # noqa: ARG002
        return (1.0,)
