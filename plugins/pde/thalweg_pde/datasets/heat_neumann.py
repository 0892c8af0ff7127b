"""Heat in a rod, with known fluxes at its ends."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat

from ._marching import Marching
from ._problem import Array, Sample


class HeatNeumann(Marching):
    r"""Heat in a rod that is heated at an end, $u_t = k u_{xx} + U \pi x^2 / 2 \cos \pi t$, x in [0, 1].

    $u = U x^2 / 2 \sin \pi t + k U / \pi (1 - \cos \pi t) + \sum a_n e^{-k n^2 \pi^2 t} \cos n \pi x$, the cosines of
    $u_0 = \cos(\omega \pi x)$. From t = 0 to `end`; `left` and `right` are the slopes then, 0 and $U \sin \pi t$, and
    $\omega$ is drawn.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"

    diffusivity: PositiveFloat = Field(0.01, description="diffusivity $k$, dimensionless")
    forcing: PositiveFloat = Field(5.0, description="$U$, amplitude of the heating")
    frequency: tuple[PositiveFloat, PositiveFloat] = Field(
        (2.01, 3.99),
        description=r"least and largest frequency $\omega$ of the initial field; a sample's is drawn between them",
    )
    end: PositiveFloat = Field(0.5, description="time of the truth, where the inputs are at time 0")

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        omega = float(random.uniform(*self.frequency))
        x = self.axes()["x"]
        return {
            "initial": (("x",), np.cos(omega * np.pi * x)),
            "left": ((), 0.0),
            "right": ((), self.forcing * np.sin(np.pi * self.end)),
            "mass": ((), self.mass(time=self.end, omega=omega)),
            "u": (("x",), self.solution(x, time=self.end, omega=omega)),
        }

    def solution(self, x: Array, *, time: float, omega: float) -> Array:
        """The exact solution at a time after 0; the series ends where its terms are below rounding."""
        terms = int(np.ceil(np.sqrt(40 / (self.diffusivity * np.pi**2 * time)))) + 1
        n = np.arange(terms)
        a = np.sinc(omega - n) + np.sinc(omega + n)
        a[0] /= 2
        a *= np.exp(-self.diffusivity * (n * np.pi) ** 2 * time)
        found: Array = self._forced(x**2 / 2, time=time) + np.cos(np.pi * np.multiply.outer(x, n)) @ a
        return found

    def mass(self, *, time: float, omega: float) -> float:
        """The exact integral."""
        return float(self._forced(np.array(1 / 6), time=time) + np.sinc(omega))

    def _forced(self, half_square: Array, *, time: float) -> Array:
        steady = self.diffusivity * self.forcing / np.pi * (1 - np.cos(np.pi * time))
        found: Array = self.forcing * half_square * np.sin(np.pi * time) + steady
        return found
