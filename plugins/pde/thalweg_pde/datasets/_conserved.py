"""Problems of one conserved quantity in one dim, with an exact solution of one parameter."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from ._problem import Array, Problem, Sample


class Conserved(Problem):
    r"""`u(sample, time, x)` on a uniform grid, from a few points of it at other places.

    Inputs are a context of `context` x `context` points, `context_time`, `context_x` and `context_u` along `point`
    (times: one drawn in each of equal cells; places: drawn, sorted), and the budget `mass(sample, time)`, the exact
    $\int u \, dx$. `parameter(sample)` is what a sample was made with; it is no input.
    """

    inputs: ClassVar[tuple[str, ...]] = ("context_time", "context_x", "context_u", "mass")
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    end: ClassVar[float] = 1.0

    cells: PositiveInt = Field(201, description="of space, both ends among them")
    times: PositiveInt = Field(201, description="from 0 to the end")
    context: PositiveInt = Field(10, description="times, and places, of the context")

    @property
    @abstractmethod
    def drawn(self) -> tuple[float, float]:
        """Bounds of the parameter while learning."""

    @property
    @abstractmethod
    def tested(self) -> float | None:
        """The parameter of the test; drawn if None."""

    @abstractmethod
    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        """The exact solution at points."""

    @abstractmethod
    def mass(self, time: Array, *, parameter: float) -> Array:
        """The exact integral over the domain."""

    def axes(self) -> dict[str, Array]:
        return {"time": np.linspace(0.0, self.end, self.times), "x": np.linspace(*self.domain, self.cells)}

    def sample(self, random: np.random.Generator, *, test: bool) -> Sample:
        parameter = float(random.uniform(*self.drawn))
        if test and self.tested is not None:
            parameter = self.tested
        axes = self.axes()
        time = self.end * (np.arange(self.context) + random.uniform(size=self.context)) / self.context
        x = np.sort(random.uniform(*self.domain, size=self.context))
        points = [each.ravel() for each in np.meshgrid(time, x, indexing="ij")]
        whole = np.meshgrid(axes["time"], axes["x"], indexing="ij")
        return {
            "context_time": (("point",), points[0]),
            "context_x": (("point",), points[1]),
            "context_u": (("point",), self.solution(points[0], points[1], parameter=parameter)),
            "mass": (("time",), self.mass(axes["time"], parameter=parameter)),
            "parameter": ((), parameter),
            "u": (("time", "x"), self.solution(whole[0], whole[1], parameter=parameter)),
        }
