"""Problems of one conserved quantity in one dim, with an exact solution of one parameter."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from ._problem import Array, Problem, Sample

Tested = float | tuple[float, ...] | None
"""One parameter for the test, several in turn, or None to draw it."""


class Conserved(Problem):
    r"""`u(sample, time, x)` on a uniform grid, from a few points of it at other places.

    Inputs are a context of `context` x `context` points, `context_time`, `context_x` and `context_u` along `point`
    (times: one drawn in each of equal cells; places: drawn, sorted); `target_time(sample, time)`, when `u` is asked
    for; and for laws the budget `mass(sample, time)`, the exact $\int u \, dx$, and `parameter(sample)`, what the
    sample was made with.
    """

    inputs: ClassVar[tuple[str, ...]] = ("context_time", "context_x", "context_u", "target_time", "mass", "parameter")
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    end: ClassVar[float] = 1.0

    cells: PositiveInt = Field(201, description="cells of the grid in space, both ends included")
    times: PositiveInt | tuple[NonNegativeFloat, ...] = Field(
        201, description="times of the truth: so many from 0 to the end, or a list of times"
    )
    drawn_times: bool = Field(
        False,
        description="whether the times of samples that are not test samples are drawn at random, as many for "
        "each; `target_time` holds them",
    )
    context: PositiveInt = Field(10, description="times, and places, that the context has values at")

    @property
    @abstractmethod
    def drawn(self) -> tuple[float, float]:
        """Bounds of the parameter while learning."""

    @property
    @abstractmethod
    def tested(self) -> Tested:
        """The parameter of the test."""

    @abstractmethod
    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        """The exact solution at points."""

    @abstractmethod
    def mass(self, time: Array, *, parameter: float) -> Array:
        """The exact integral over the domain."""

    def axes(self) -> dict[str, Array]:
        times = np.linspace(0.0, self.end, self.times) if isinstance(self.times, int) else np.array(self.times)
        return {"time": times, "x": np.linspace(*self.domain, self.cells)}

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:
        parameter = float(random.uniform(*self.drawn))
        if test is not None and self.tested is not None:
            parameter = self.tested[test % len(self.tested)] if isinstance(self.tested, tuple) else self.tested
        axes = self.axes()
        time = self.end * (np.arange(self.context) + random.uniform(size=self.context)) / self.context
        x = np.sort(random.uniform(*self.domain, size=self.context))
        points = [each.ravel() for each in np.meshgrid(time, x, indexing="ij")]
        asked = axes["time"]
        if self.drawn_times and test is None:
            asked = np.sort(random.uniform(0.0, self.end, size=asked.size))
        whole = np.meshgrid(asked, axes["x"], indexing="ij")
        return {
            "context_time": (("point",), points[0]),
            "context_x": (("point",), points[1]),
            "context_u": (("point",), self.solution(points[0], points[1], parameter=parameter)),
            "target_time": (("time",), asked),
            "mass": (("time",), self.mass(asked, parameter=parameter)),
            "parameter": ((), parameter),
            "u": (("time", "x"), self.solution(whole[0], whole[1], parameter=parameter)),
        }
