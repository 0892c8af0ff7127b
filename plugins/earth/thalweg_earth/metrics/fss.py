"""Fractions skill score."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import Metric, Signature, Totals, pair

from ._contingency import Empty, Thresholds, levels, ratio, told_apart
from ._fields import fits, infinite, missing, plane

Boundary = Literal["inside", "zeros"]


class FSS(Metric):
    """Fractions skill score of events at or above each threshold, in square windows of n x n cells.

        FSS = 1 - sum (f_e - f_t)^2 / sum (f_e^2 + f_t^2)        f fraction of a window's cells with an event

    `boundary: inside` takes every window that lies in the field; `zeros` takes one around every cell, without events
    outside the field. Cells that are missing in either have no event in both; a field of an estimate that is infinite
    somewhere is wrong everywhere. Dimensionless, 0 to 1, along `threshold`; NaN where there is no event at all, or 0 by
    `empty`.
    """

    cite: ClassVar[str] = "10.1175/2007MWR2123.1 10.1175/MWR-D-18-0106.1"
    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0
    example: ClassVar[Mapping[str, Any]] = {"thresholds": [0.3, 0.6], "window": 3}

    thresholds: Thresholds
    window: PositiveInt = Field(description="side of a window, in cells")
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    boundary: Boundary = Field(
        "inside",
        description="windows at the edge: only those inside the field, or one around every cell, with zeros outside",
    )
    dims: tuple[str, str] | None = Field(None, description="the two dims of a window; the last two if null")
    empty: Empty = Field(
        "nan", description="score where there is no event at all: NaN, or 0 as in some published tables"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = told_apart(self.thresholds, given, self.variable)
        fits(self.window if self.boundary == "inside" else 1, field, given, self.dims)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = pair(estimate, truth, variable=self.variable)
        dims = plane(right.dims, self.dims)
        left, right = (each if each.chunks is None else each.chunk(dict.fromkeys(dims, -1)) for each in (left, right))
        found = xr.apply_ufunc(
            partial(_powers, np.asarray(self.thresholds), self.window, self.boundary == "zeros"),
            left,
            right,
            input_core_dims=[list(dims), list(dims)],
            output_core_dims=[["power", "threshold"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"power": 2, "threshold": len(self.thresholds)}},
        ).assign_coords(threshold=list(self.thresholds))
        windows = prod(right.sizes[dim] - (self.window - 1 if self.boundary == "inside" else 0) for dim in dims)
        # A field of which nothing is there has no windows; one without events has.
        there = (left.notnull() & right.notnull()).any(dims)
        count = there.astype("int64") * windows
        return {"difference": Totals(found.isel(power=0), count), "reference": Totals(found.isel(power=1), count)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return ratio(mean["reference"] - mean["difference"], mean["reference"], self.empty)


def _powers(
    thresholds: np.ndarray[Any, Any],
    window: int,
    padded: bool,
    estimate: np.ndarray[Any, Any],
    truth: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Sums over windows of (f_e - f_t)^2 and f_e^2 + f_t^2: `(..., y, x) x 2 -> (..., 2, thresholds)`."""
    found = np.zeros((*truth.shape[:-2], 2, len(thresholds)))
    for at in np.ndindex(truth.shape[:-2]):
        absent, wild = missing(estimate[at], truth[at]), infinite(estimate[at])
        for k in range(len(thresholds)):
            e, t = (
                _windows((each >= levels(thresholds, each.dtype)[k]) & (absent is None or ~absent), window, padded)
                for each in (estimate[at], truth[at])
            )
            if wild is not None:
                # The worst that a field can score: events everywhere, none of them right.
                worst = np.full_like(t, window**2)
                found[at][:, k] = np.vdot(worst, worst) + np.vdot(t, t)
                continue
            # Whole numbers until the end: exact, whatever the chunks.
            found[at][:, k] = np.vdot(e - t, e - t), np.vdot(e, e) + np.vdot(t, t)
    return found / window**4


def _windows(events: np.ndarray[Any, Any], side: int, padded: bool) -> np.ndarray[Any, Any]:
    """How many events lie in every window, from a summed-area table."""
    before, after = (side // 2, side - 1 - side // 2) if padded else (0, 0)
    table = np.pad(events, ((before + 1, after), (before + 1, after))).cumsum(0, dtype=np.int64).cumsum(1)
    counts: np.ndarray[Any, Any] = (
        table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    )
    return counts
