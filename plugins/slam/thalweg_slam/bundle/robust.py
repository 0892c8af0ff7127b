"""Losses that let outliers count for less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from thalweg import OptionError

from .problem import Array

Kernel = Literal["squared", "huber", "cauchy", "geman-mcclure"]


@dataclass(frozen=True)
class Loss:
    r"""$\rho(s)$ of $s = |r|^2 / \sigma^2$, per observation; `width` is where it leaves the square, in sigmas.

    squared $s$; huber $s$ to $w^2$, then $2 w \sqrt s - w^2$; cauchy $w^2 \log(1 + s / w^2)$;
    geman-mcclure $w^2 s / (w^2 + s)$.
    """

    kernel: Kernel = "squared"
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.kernel not in ("squared", "huber", "cauchy", "geman-mcclure"):
            raise OptionError(f"robust kernel {self.kernel!r}", allowed="squared, huber, cauchy, geman-mcclure")
        if not self.width > 0:
            raise OptionError(f"width of the robust kernel {self.width!r}", allowed="a number of sigmas > 0")

    def value(self, s: Array) -> float:
        r"""$\frac12 \sum \rho(s)$."""
        w = self.width**2
        if self.kernel == "huber":
            s = np.where(s <= w, s, 2.0 * self.width * np.sqrt(np.maximum(s, w)) - w)
        elif self.kernel == "cauchy":
            s = w * np.log1p(s / w)
        elif self.kernel == "geman-mcclure":
            s = w * s / (w + s)
        return 0.5 * float(s.sum())

    def weight(self, s: Array) -> Array:
        r"""$\rho'(s)$."""
        w = self.width**2
        if self.kernel == "huber":
            return np.asarray(self.width / np.sqrt(np.maximum(s, w)))
        if self.kernel == "cauchy":
            return np.asarray(1.0 / (1.0 + s / w))
        if self.kernel == "geman-mcclure":
            return np.asarray((w / (w + s)) ** 2)
        return np.ones_like(s)
