"""The nearest field that never falls along a line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sorted_along(mean: NDArray[Any], variance: NDArray[Any], *, rising: bool) -> NDArray[Any]:
    """The nearest rising (falling) field (..., n), in the metric of the variance, by pooling adjacent violators.

    Missing cells are stepped over; cells of no variance move last.
    """
    from scipy.optimize import isotonic_regression

    found = mean.reshape(-1, mean.shape[-1]).astype(np.float64)
    spread = variance.reshape(found.shape)
    for line, own in zip(found, spread, strict=True):
        there = ~np.isnan(line)
        values = line[there]
        step = np.diff(values) if rising else -np.diff(values)
        if (step < 0.0).any():
            weights = 1.0 / np.maximum(own[there], 1e-12 * max(float(own[there].max()), 1e-300))
            line[there] = isotonic_regression(values, weights=weights, increasing=rising).x
    return found.reshape(mean.shape)
