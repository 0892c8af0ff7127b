"""Losses that grow more slowly than the square, for measurements that may be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from thalweg import OptionError

Array = np.ndarray[Any, np.dtype[Any]]
CODES = {"none": 0, "huber": 1, "cauchy": 2, "geman-mcclure": 3}


@dataclass(frozen=True)
class Robust:
    """A loss of s = e^T Omega e with scale c.

    huber: s up to c^2, then 2 c sqrt(s) - c^2; cauchy: c^2 log(1 + s / c^2); geman-mcclure: s / (1 + s / c^2), at most
    c^2. sqrt(s) and c are in standard deviations.
    """

    loss: Literal["none", "huber", "cauchy", "geman-mcclure"] = "huber"
    scale: float = 1.345
    loops_only: bool = True
    """Odometry and priors keep the square."""

    def __post_init__(self) -> None:
        if self.loss not in CODES:
            raise OptionError(f"loss {self.loss!r}", allowed=", ".join(CODES), advice="take one of these")
        if not self.scale > 0:
            raise OptionError(f"scale {self.scale!r} of a loss", allowed="above 0", advice="try 1.345")

    def weight(self, square: Array) -> Array:
        """The derivative of the loss where e^T Omega e is `square`: what an edge weighs, 1 of the square itself."""
        ratio = square / self.scale**2
        if self.loss == "huber":
            return np.asarray(1 / np.sqrt(np.maximum(ratio, 1)))
        if self.loss == "cauchy":
            return np.asarray(1 / (1 + ratio))
        return np.asarray(1 / (1 + ratio) ** 2 if self.loss == "geman-mcclure" else np.ones_like(ratio))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def influence(loss, scale, square):  # type: ignore[no-untyped-def]
    """The loss of a square, and its derivative: the weight of the edge."""
    if loss == 0:
        return square, 1.0
    ratio = square / (scale * scale)
    if loss == 1:
        if ratio <= 1:
            return square, 1.0
        root = math.sqrt(ratio)
        return scale * scale * (2 * root - 1), 1 / root
    if loss == 2:
        return scale * scale * math.log1p(ratio), 1 / (1 + ratio)
    return square / (1 + ratio), 1 / ((1 + ratio) * (1 + ratio))
