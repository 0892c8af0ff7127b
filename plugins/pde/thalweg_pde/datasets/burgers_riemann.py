"""Burgers' equation between two states."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat

from ._marching import Marching
from ._problem import Array, Sample


class BurgersRiemann(Marching):
    r"""A viscous front between two states, $u_t + u u_x = \nu u_{xx}$, x in [0, 1].

    $u = m - d \tanh(d (x - x_0 - m t) / 2 \nu)$ with the mean m of the states and half their difference d. From t = 0
    to `end`; `left` and `right` are the values there. m, d and $x_0$ are drawn.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"

    viscosity: PositiveFloat = Field(0.02, description=r"viscosity $\nu$, dimensionless")
    mean: tuple[float, float] = Field(
        (0.2, 0.8), description="least and largest mean $m$ of the two states; a sample's is drawn between them"
    )
    half_difference: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.2, 0.8),
        description="least and largest half difference $d$ of the two states; a sample's is drawn between them",
    )
    place: tuple[float, float] = Field(
        (0.2, 0.5),
        description="least and largest place $x_0$ of the front at $t = 0$; a sample's is drawn between them",
    )
    end: PositiveFloat = Field(0.5, description="time of the truth, where the inputs are at time 0")

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        mean, half, place = (float(random.uniform(*each)) for each in (self.mean, self.half_difference, self.place))
        x = self.axes()["x"]
        u = self.solution(x, centre=place + mean * self.end, mean=mean, half=half)
        return {
            "initial": (("x",), self.solution(x, centre=place, mean=mean, half=half)),
            "left": ((), u[0]),
            "right": ((), u[-1]),
            "mass": ((), self.mass(centre=place + mean * self.end, mean=mean, half=half)),
            "u": (("x",), u),
        }

    def solution(self, x: Array, *, centre: float, mean: float, half: float) -> Array:
        """The exact solution with its front at `centre`."""
        found: Array = mean - half * np.tanh(half * (x - centre) / (2 * self.viscosity))
        return found

    def mass(self, *, centre: float, mean: float, half: float) -> float:
        """The exact integral."""
        steep = half / (2 * self.viscosity)
        # log cosh z = |z| + log((1 + exp(-2 |z|)) / 2), which does not overflow.
        ends = np.abs(steep * (np.array([0.0, 1.0]) - centre))
        right_less_left = np.diff(ends + np.log1p(np.exp(-2 * ends)))[0]
        return float(mean - 2 * self.viscosity * right_less_left)
