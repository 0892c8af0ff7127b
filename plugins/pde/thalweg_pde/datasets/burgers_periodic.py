"""Burgers' equation on a ring."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from ._marching import Marching
from ._problem import Array, Sample


class BurgersPeriodic(Marching):
    r"""Smooth waves that steepen on a ring, $u_t + u u_x = \nu u_{xx}$, x in [0, 1], both ends one place.

    Solved without steps in time, by the Cole-Hopf transform: $u = -2 \nu \phi_x / \phi$ and
    $\phi_t = \nu \phi_{xx}$ from $\phi_0 = \exp(-\int u_0 / 2 \nu)$,
    on a grid `refine` times finer. `initial` are `waves` waves with random phases and amplitudes that fall with the
    frequency, of mean 0, as is the mass. `left` and `right` are the values at `end`.
    """

    cite: ClassVar[str] = "10.1002/cpa.3160030302 10.48550/arXiv.2212.07477"

    viscosity: PositiveFloat = Field(0.01, description=r"viscosity $\nu$, dimensionless")
    waves: PositiveInt = Field(4, description="waves of the initial field")
    end: PositiveFloat = Field(0.5, description="time of the truth, where the inputs are at time 0")
    refine: PositiveInt = Field(16, description="cells of the solution's grid in one of the result's")

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        k = 2 * np.pi * np.arange(1, self.waves + 1)
        cosine, sine = random.normal(size=(2, self.waves)) * 0.5 / np.arange(1, self.waves + 1)
        fine = np.arange((self.cells - 1) * self.refine) / ((self.cells - 1) * self.refine)
        angle = np.multiply.outer(fine, k)
        initial = np.cos(angle) @ cosine + np.sin(angle) @ sine
        integral = np.sin(angle) @ (cosine / k) - np.cos(angle) @ (sine / k)
        u = cole_hopf(integral, time=self.end, viscosity=self.viscosity)
        coarse = [np.append(each[:: self.refine], each[0]) for each in (initial, u)]
        return {
            "initial": (("x",), coarse[0]),
            "left": ((), coarse[1][0]),
            "right": ((), coarse[1][-1]),
            "mass": ((), 0.0),
            "u": (("x",), coarse[1]),
        }


def cole_hopf(integral: Array, *, time: float, viscosity: float) -> Array:
    """The solution on a ring of length 1 from the integral of the initial field, which is periodic (mean 0)."""
    exponent = -integral / (2 * viscosity)
    phi = np.fft.rfft(np.exp(exponent - exponent.max()))
    k = 2 * np.pi * np.arange(len(phi))
    phi = phi * np.exp(-viscosity * k**2 * time)
    slope = np.fft.irfft(1j * k * phi, n=len(integral))
    found: Array = -2 * viscosity * slope / np.fft.irfft(phi, n=len(integral))
    return found
