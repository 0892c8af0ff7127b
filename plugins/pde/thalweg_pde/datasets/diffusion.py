"""Diffusion of a sine."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ._conserved import Conserved, Tested
from ._problem import Array


class Diffusion(Conserved):
    r"""Diffusion on a ring, $u_t = k u_{xx}$: $u = e^{-k t} \sin x$, x in [0, 2 pi], t in [0, 1].

    The published generator of this problem interpolated its solution on a wrong grid (13.6 % off on a 10 x 10 grid);
    this one is exact. The mass is 0.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    domain: ClassVar[tuple[float, float]] = (0.0, 2 * np.pi)

    diffusivity: tuple[float, float] = Field(
        (1.0, 5.0), description="least and largest diffusivity $k$; that of a training sample is drawn between them"
    )
    test_diffusivity: Tested = Field(
        1.0, description="diffusivities $k$ of the test samples; drawn as those of training if none"
    )

    @property
    def drawn(self) -> tuple[float, float]:
        return self.diffusivity

    @property
    def tested(self) -> Tested:
        return self.test_diffusivity

    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        return np.exp(-parameter * time) * np.sin(x)

    def mass(self, time: Array, *, parameter: float) -> Array:  # noqa: ARG002
        return np.zeros_like(time)
