"""Gaussian means over the cells that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]

_NOTHING = 1e-6
"""Share of the weights below which nothing is there."""


def gaussian_mean(fields: Array, width: float | Sequence[float], there: Array) -> tuple[Array, Array]:
    r"""$\sum w x / \sum w$ over the cells that are `there`, and $\sum w$: 1 far from gaps, 0 where nothing is near.

    Where nothing is near the mean is 0, and so is its weight.
    """
    share = ndimage.gaussian_filter(there.astype(np.float64), width, mode="nearest")
    total = ndimage.gaussian_filter(np.where(there, fields, 0.0), width, mode="nearest")
    near = share > _NOTHING
    return np.where(near, total, 0.0) / np.where(near, share, 1.0), np.where(near, share, 0.0)
