"""The Stefan problem."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ._conserved import Conserved, Tested
from ._problem import Array


class Stefan(Conserved):
    r"""A melting front, $u_t = (k(u) u_x)_x$ with k = 1 where $u \ge u^*$, else 0; x in [0, 1], t in [0, 0.1].

    $u = 1 - c \, \mathrm{erf}(x / 2 \sqrt t)$ up to the front at $x = \alpha \sqrt t$, 0 beyond, with
    $c = (1 - u^*) / \mathrm{erf}(\alpha / 2)$ and $\alpha = 2 z$,
    $u^* \mathrm{erf}(z) z e^{z^2} = (1 - u^*) / \sqrt\pi$.
    The mass is $2 c \sqrt{t / \pi}$. The threshold is u*.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    end: ClassVar[float] = 0.1

    threshold: tuple[float, float] = Field(
        (0.55, 0.7), description="least and largest threshold $u^*$; that of a training sample is drawn between them"
    )
    test_threshold: Tested = Field(
        0.6, description="thresholds $u^*$ of the test samples; drawn as those of training if none"
    )

    @property
    def drawn(self) -> tuple[float, float]:
        return self.threshold

    @property
    def tested(self) -> Tested:
        return self.test_threshold

    def solution(self, time: Array, x: Array, *, parameter: float) -> Array:
        from scipy.special import erf

        alpha, amplitude = constants(parameter)
        root = np.sqrt(np.maximum(time, np.finfo(np.float64).tiny))
        profile = 1 - amplitude * erf(x / (2 * root))
        return np.where((x <= alpha * root) & ((time > 0) | (x == 0)), profile, 0.0)

    def mass(self, time: Array, *, parameter: float) -> Array:
        found: Array = 2 * constants(parameter)[1] * np.sqrt(time / np.pi)
        return found


def constants(threshold: float) -> tuple[float, float]:
    r"""$\alpha$ and $c$."""
    from scipy.optimize import brentq
    from scipy.special import erf

    wanted = (1 - threshold) / np.sqrt(np.pi)
    z = float(brentq(lambda z: threshold * erf(z) * z * np.exp(z * z) - wanted, 0.0, 10.0, xtol=1e-15))
    return 2 * z, (1 - threshold) / float(erf(z))
