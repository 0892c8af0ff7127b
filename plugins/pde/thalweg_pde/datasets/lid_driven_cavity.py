"""Flow in a box whose lid moves."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from ._problem import Array, Problem, Sample


class LidDrivenCavity(Problem):
    r"""Flow in a square box whose lid moves, $\omega_t + u \cdot \nabla \omega = \Delta \omega / Re$.

    From rest, x and y in [0, 1]: `lid(sample, y, x)`, the speed of the lid where it is and 0 elsewhere, to the
    `vorticity(sample, y, x)` and the `stream(sample, y, x)` function at `end`. $\Delta \psi = -\omega$, $u = \psi_y$,
    $v = -\psi_x$; walls by Thom's formula, central differences, steps of the classical Runge-Kutta method, $\psi$ by a
    sine transform. The speed is drawn from `speed`; the Reynolds number is that of speed 1. `mass(sample)`, the
    $\int \omega$ over the box, is minus the lid's speed.
    """

    cite: ClassVar[str] = "10.1016/0021-9991(82)90058-4 10.48550/arXiv.2212.07477"
    inputs: ClassVar[tuple[str, ...]] = ("lid", "mass")
    truth: ClassVar[tuple[str, ...]] = ("vorticity", "stream")

    cells: PositiveInt = Field(50, description="cells of the grid along each side, both walls included")
    reynolds: PositiveFloat = Field(100.0, description="Reynolds number of a lid of speed 1")
    speed: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.5, 1.5), description="least and largest speed of the lid; a sample's is drawn between them"
    )
    end: PositiveFloat = Field(2.0, description="time of the truth, where the inputs are at time 0")
    chunk: PositiveInt = Field(10, description="samples that are generated together")

    def axes(self) -> dict[str, Array]:
        return {name: np.linspace(0.0, 1.0, self.cells) for name in ("y", "x")}

    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:  # noqa: ARG002
        speed = float(random.uniform(*self.speed))
        vorticity, stream = cavity(self.cells, reynolds=self.reynolds, speed=speed, end=self.end)
        lid = np.zeros_like(stream)
        lid[-1, 1:-1] = speed
        return {
            "lid": (("y", "x"), lid),
            "mass": ((), -speed),
            "vorticity": (("y", "x"), vorticity),
            "stream": (("y", "x"), stream),
        }


def cavity(cells: int, *, reynolds: float, speed: float, end: float) -> tuple[Array, Array]:
    """Vorticity and stream function, `(y, x)`, at a time after the lid began to move."""
    step = 1.0 / (cells - 1)
    # Both limits of the explicit method, with room: diffusion, and the fastest cell's advection.
    count = int(np.ceil(end / min(0.4 * step**2 * reynolds / 2, 0.7 * step / speed)))
    time_step = end / max(1, count)
    poisson = Poisson(cells)
    vorticity = np.zeros((cells, cells))

    def rate(inside: Array) -> Array:
        whole, stream = _with_walls(inside, poisson, speed=speed, step=step)
        u, v = velocity(stream, step=step)
        slope_x, slope_y = whole[1:-1, 2:] - whole[1:-1, :-2], whole[2:, 1:-1] - whole[:-2, 1:-1]
        around = whole[1:-1, 2:] + whole[1:-1, :-2] + whole[2:, 1:-1] + whole[:-2, 1:-1]
        changed: Array = (around - 4 * inside) / (step**2 * reynolds) - (u * slope_x + v * slope_y) / (2 * step)
        return changed

    inside = vorticity[1:-1, 1:-1]
    for _ in range(count):
        k1 = rate(inside)
        k2 = rate(inside + time_step / 2 * k1)
        k3 = rate(inside + time_step / 2 * k2)
        k4 = rate(inside + time_step * k3)
        inside = inside + time_step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return _with_walls(inside, poisson, speed=speed, step=step)


def velocity(stream: Array, *, step: float) -> tuple[Array, Array]:
    """Along x and y, in the inside of the box."""
    u = (stream[2:, 1:-1] - stream[:-2, 1:-1]) / (2 * step)
    return u, -(stream[1:-1, 2:] - stream[1:-1, :-2]) / (2 * step)


def _with_walls(inside: Array, poisson: Poisson, *, speed: float, step: float) -> tuple[Array, Array]:
    vorticity, stream = (np.zeros((len(inside) + 2,) * 2) for _ in range(2))
    vorticity[1:-1, 1:-1], stream[1:-1, 1:-1] = inside, poisson.solve(inside)
    # Thom's formula: the wall's vorticity is what makes it not slip, from the stream function one cell in.
    vorticity[0, 1:-1] = -2 * stream[1, 1:-1] / step**2
    vorticity[-1, 1:-1] = -2 * stream[-2, 1:-1] / step**2 - 2 * speed / step
    vorticity[1:-1, 0] = -2 * stream[1:-1, 1] / step**2
    vorticity[1:-1, -1] = -2 * stream[1:-1, -2] / step**2
    return vorticity, stream


class Poisson:
    r"""$\Delta \psi = -\omega$ on the inside of a square with $\psi = 0$ on its walls, by five points, exactly."""

    def __init__(self, cells: int) -> None:
        self._size = cells - 2
        wave = 2 * (np.cos(np.pi * np.arange(1, cells - 1) / (cells - 1)) - 1) * (cells - 1) ** 2
        self._eigenvalues = np.add.outer(wave, wave)

    def solve(self, vorticity: Array) -> Array:
        """The stream function."""
        from scipy.fft import dstn, idstn

        found: Array = idstn(dstn(-vorticity, type=1) / self._eigenvalues, type=1)
        return found
