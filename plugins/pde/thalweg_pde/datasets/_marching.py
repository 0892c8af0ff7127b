"""Problems from an initial to a final field, under known boundaries."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from ._problem import Array, Problem


class Marching(Problem):
    r"""`initial(sample, x)` to `u(sample, x)` at the time `end`.

    Beside it what holds at the ends then, `left(sample)` and `right(sample)`, and the budget `mass(sample)`, the
    $\int u \, dx$.
    """

    inputs: ClassVar[tuple[str, ...]] = ("initial", "left", "right", "mass")

    cells: PositiveInt = Field(128, description="cells of the grid in space, both ends included")

    def axes(self) -> dict[str, Array]:
        return {"x": np.linspace(0.0, 1.0, self.cells)}
