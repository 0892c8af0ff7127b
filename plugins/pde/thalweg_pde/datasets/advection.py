"""A step that is carried along."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ._conserved import Conserved, Tested
from ._problem import Array


class Advection(Conserved):
    r"""A step that is carried along, $u_t + a u_x = 0$: $u = 1$ where $x - a t \le 1/2$, else 0; x and t in [0, 1].

    The mass is $1/2 + \min(a t, 1/2)$. The speed is a.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"

    speed: tuple[float, float] = Field(
        (1.0, 5.0), description="least and largest speed $a$; that of a training sample is drawn between them"
    )
    test_speed: Tested = Field(1.0, description="speeds $a$ of the test samples; drawn as those of training if none")

    @property
    def drawn(self) -> tuple[float, float]:
        return self.speed

    @property
    def tested(self) -> Tested:
        return self.test_speed

    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        return np.where(x - parameter * time <= 0.5, 1.0, 0.0)

    def mass(self, time: Array, *, parameter: float) -> Array:
        found: Array = 0.5 + np.minimum(parameter * time, 0.5)
        return found
