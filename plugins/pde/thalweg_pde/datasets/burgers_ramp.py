"""A ramp that breaks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ._conserved import Conserved, Tested
from ._problem import Array


class BurgersRamp(Conserved):
    r"""A ramp that steepens and breaks, $u_t + u u_x = 0$, x in [-1, 1], t in [0, 1].

    Until t = 1/a: a up to $x = a t - 1$, then $-a x / (1 - a t)$ up to 0, then 0. After it a step at
    $x = (a t - 1) / 2$. The mass is $a (1 + a t) / 2$ until the step leaves. The slope is a.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    slope: tuple[float, float] = Field(
        (1.0, 4.0), description="least and largest slope $a$; that of a training sample is drawn between them"
    )
    test_slope: Tested = Field(1.0, description="slopes $a$ of the test samples; drawn as those of training if none")

    @property
    def drawn(self) -> tuple[float, float]:
        return self.slope

    @property
    def tested(self) -> Tested:
        return self.test_slope

    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        left = 1 - parameter * time
        # The ramp has no width at the moment it breaks, where x / left is 0 / 0.
        ramp = np.clip(-x / np.where(left > 0, left, 1.0), 0.0, 1.0)
        return parameter * np.where(left > 0, ramp, np.where(x <= -left / 2, 1.0, 0.0))

    def mass(self, time: Array, *, parameter: float) -> Array:
        found: Array = parameter / 2 * (1 + parameter * time)
        return np.minimum(found, 2 * parameter)
