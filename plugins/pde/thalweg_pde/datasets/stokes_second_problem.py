"""Stokes' second problem."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat

from ._marching import Marching
from ._problem import Array, Sample


class StokesSecondProblem(Marching):
    r"""Fluid above a plate that oscillates, $u_t = \nu u_{xx}$: $u = U e^{-k x} \cos(k x - \omega t)$, x in [0, 1].

    $k = \sqrt{\omega / 2 \nu}$. From t = 0 to `end`; `left` and `right` are the values there. $\omega$ is drawn.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"

    viscosity: PositiveFloat = Field(0.02, description=r"viscosity $\nu$, dimensionless")
    amplitude: PositiveFloat = Field(2.0, description="largest speed $U$ of the plate")
    frequency: tuple[PositiveFloat, PositiveFloat] = Field(
        (2.0, 8.0), description=r"least and largest frequency $\omega$ of the plate; a sample's is drawn between them"
    )
    end: PositiveFloat = Field(1.2, description="time of the truth, where the inputs are at time 0")

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        omega = float(random.uniform(*self.frequency))
        x = self.axes()["x"]
        u = self.solution(x, time=self.end, omega=omega)
        return {
            "initial": (("x",), self.solution(x, time=0.0, omega=omega)),
            "left": ((), u[0]),
            "right": ((), u[-1]),
            "mass": ((), self.mass(time=self.end, omega=omega)),
            "u": (("x",), u),
        }

    def solution(self, x: Array, *, time: float, omega: float) -> Array:
        """The exact solution."""
        k = np.sqrt(omega / (2 * self.viscosity))
        found: Array = self.amplitude * np.exp(-k * x) * np.cos(k * x - omega * time)
        return found

    def mass(self, *, time: float, omega: float) -> float:
        """The exact integral."""
        k = np.sqrt(omega / (2 * self.viscosity))
        # u is the real part of U exp((i - 1) k x - i w t).
        whole = (np.exp((1j - 1) * k) - 1) / ((1j - 1) * k) * np.exp(-1j * omega * time)
        return float(self.amplitude * whole.real)
