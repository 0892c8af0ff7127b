"""The porous medium equation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ._conserved import Conserved, Tested
from ._problem import Array


class PorousMedium(Conserved):
    r"""A front that fills a porous medium, $u_t = (u^m u_x)_x$: $u = (m \max(t - x, 0))^{1/m}$, x and t in [0, 1].

    The front is at x = t. The mass is $m^{1 + 1/m} t^{1 + 1/m} / (m + 1)$. The exponent is m.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"

    exponent: tuple[float, float] = Field(
        (1.0, 6.0), description="least and largest exponent $m$; that of a training sample is drawn between them"
    )
    test_exponent: Tested = Field(
        1.0, description="exponents $m$ of the test samples; drawn as those of training if none"
    )

    @property
    def drawn(self) -> tuple[float, float]:
        return self.exponent

    @property
    def tested(self) -> Tested:
        return self.test_exponent

    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        found: Array = (parameter * np.maximum(time - x, 0.0)) ** (1 / parameter)
        return found

    def mass(self, time: Array, *, parameter: float) -> Array:
        power = 1 + 1 / parameter
        found: Array = (parameter * time) ** power / (parameter + 1)
        return found
