"""Means of a function of the difference between estimate and truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import Metric, Signature, Totals, chosen, pair

from ._fields import Weights, missing, points, weights_of
from ._sums import Kernel, sums


class Pointwise(Metric):
    """A mean over the points of the difference; a point that is missing in the estimate or the truth counts nowhere."""

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    unit: PositiveFloat = Field(
        1.0,
        description="number that both fields are divided by before they are scored: 255 for an 8-bit field on "
        "the scale 0 to 1",
    )
    weights: Weights = Field("none", description="weights of the cells: all equal, or by area (the cosine of latitude)")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` if it is not clear which field to score."""
        chosen(given, self.variable)


def totals(kernel: Kernel, estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, weights: Weights) -> Totals:
    """Weighted sums of a kernel whose last column is the count of its valid points."""
    left, right = pair(estimate, truth, variable=variable)
    cells = weights_of(right, weights)
    over = tuple(dim for dim in points(right) if dim not in cells.dims)
    found = sums(kernel, left, right, over=over, gives={"column": 2})
    total, count = found.isel(column=0), found.isel(column=1)
    if not cells.dims:
        return Totals(total, count.astype("int64"))
    return Totals((total * cells).sum(cells.dims, skipna=False), (count * cells).sum(cells.dims, skipna=False))


def squared(estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sum of squares, and count, of the differences of each row."""
    difference, count = _difference(estimate, truth)
    return np.stack([np.vecdot(difference, difference), count], axis=-1)


def absolute(estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sum of absolute values, and count, of the differences of each row."""
    difference, count = _difference(estimate, truth)
    return np.stack([np.abs(difference, out=difference).sum(-1), count], axis=-1)


def _difference(
    estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if estimate.dtype == truth.dtype == np.uint8:
        # Exact in int16, and quicker than two conversions to float64.
        difference = (estimate.astype(np.int16) - truth).astype(np.float64)
    else:
        difference = np.subtract(estimate, truth, dtype=np.float64)
    absent = missing(estimate, truth)
    count = np.full(len(truth), truth.shape[1], np.float64)
    if absent is not None:
        difference[absent] = 0.0
        count -= np.count_nonzero(absent, axis=-1)
    return difference, count
