"""One-sided differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def one_sided(positions: Array) -> Array:
    r"""Weights $c$ with $\sum_j c_j u(x_j) = u'(x_0)$ for polynomials of degree below the number of positions."""
    from_first = np.asarray(positions, dtype=np.float64) - positions[0]
    scale = np.abs(from_first).max()
    powers = np.vander(from_first / scale, increasing=True).T
    wanted = np.zeros(len(positions))
    wanted[1] = 1.0
    weights: Array = np.linalg.solve(powers, wanted) / scale
    return weights
