"""Waves in a closed basin."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from ._problem import Array, Problem, Sample


class Wave(Problem):
    r"""Waves in a closed square basin, $u_{tt} = c^2 \Delta u$ with no slope at the walls, x and y in [0, 1].

    $u = \sum a_{mn} \cos m \pi x \cos n \pi y \cos(c \pi \sqrt{m^2 + n^2} \, t)$, at rest at t = 0, for m and n
    from 1 to `modes`, with $a_{mn}$ drawn. `initial(sample, y, x)` to `u(sample, y, x)` at `end`. The mass is 0.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2212.07477"
    inputs: ClassVar[tuple[str, ...]] = ("initial", "mass")

    cells: PositiveInt = Field(50, description="cells of the grid along each side, both walls included")
    speed: PositiveFloat = Field(1.0, description="speed $c$ of the waves")
    modes: PositiveInt = Field(3, description="largest number of half waves along a side")
    end: PositiveFloat = Field(0.7, description="time of the truth, where the inputs are at time 0")

    def axes(self) -> dict[str, Array]:
        return {name: np.linspace(0.0, 1.0, self.cells) for name in ("y", "x")}

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        number = np.arange(1, self.modes + 1)
        amplitude = random.normal(size=(self.modes, self.modes)) / np.add.outer(number, number)
        return {
            "initial": (("y", "x"), self.solution(amplitude, time=0.0)),
            "mass": ((), 0.0),
            "u": (("y", "x"), self.solution(amplitude, time=self.end)),
        }

    def solution(self, amplitude: Array, *, time: float) -> Array:
        """The exact solution on the grid, of amplitudes by the number of waves along y and x."""
        number = np.arange(1, len(amplitude) + 1)
        beat = np.cos(self.speed * np.pi * np.hypot(*np.meshgrid(number, number)) * time)
        cosines = np.cos(np.pi * np.multiply.outer(self.axes()["x"], number))
        found: Array = cosines @ (amplitude * beat) @ cosines.T
        return found
