"""Structural similarity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from scipy import ndimage
from thalweg import Metric, OptionError, Signature, Totals, chosen, pair

from ._fields import fits, missing, plane

Array = np.ndarray[Any, Any]


class SSIM(Metric):
    r"""Structural similarity of a frame, averaged over frames; of an ensemble, that of its mean.

        SSIM = (2 m_e m_t + c_1) (2 s_et + c_2) / ((m_e^2 + m_t^2 + c_1) (s_ee + s_tt + c_2))

    with $c_1 = (0.01 L)^2$, $c_2 = (0.03 L)^2$, $L$ the `data_range`, means m and covariances s in Gaussian windows
    that lie in the frame. A window counts where its central cell is there; other missing cells weigh nothing.
    Dimensionless, up to 1. Raises `OptionError` where the field's values span more than `data_range`.
    """

    cite: ClassVar[str] = "10.1109/TIP.2003.819861"
    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0
    example: ClassVar[Mapping[str, Any]] = {"window": 5, "width": 0.8}

    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    data_range: PositiveFloat = Field(
        1.0, description="largest minus smallest value that the field can take: 255 for an 8-bit field"
    )
    window: PositiveInt = Field(11, description="side of a window, in cells; an odd number")
    width: PositiveFloat = Field(1.5, description="standard deviation of the window's weights, in cells")
    dims: tuple[str, str] | None = Field(None, description="the two dims of a frame; the last two if null")

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("a window has a central cell: its side is odd")
        return window

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = chosen(given, self.variable)
        fits(self.window, field, given, self.dims)
        if field.bounds and field.bounds[1] - field.bounds[0] > self.data_range:
            low, high = field.bounds
            raise OptionError(
                f"data_range {self.data_range!r} is less than {field.name!r} spans, {low} to {high}",
                allowed=f"at least {high - low}",
                advice="set `data_range` to what the field spans as it is scored",
            )

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = pair(estimate, truth, variable=self.variable)
        dims = plane(right.dims, self.dims)
        left, right = (each if each.chunks is None else each.chunk(dict.fromkeys(dims, -1)) for each in (left, right))
        found = xr.apply_ufunc(
            partial(_similarity, _gaussian(self.window, self.width), self.data_range),
            left,
            right,
            input_core_dims=[list(dims), list(dims)],
            output_core_dims=[["part"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"part": 2}},
        )
        return {"similarity": Totals(found.isel(part=0), found.isel(part=1).astype("int64"))}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["similarity"]


def _gaussian(side: int, width: float) -> Array:
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / width) ** 2)
    return np.asarray(weights / weights.sum())


def _similarity(weights: Array, span: float, estimate: Array, truth: Array) -> Array:
    """Sum and count of the similarities of the windows of a plane: `(..., y, x) x 2 -> (..., 2)`."""
    found = np.zeros((*truth.shape[:-2], 2))
    first, second = (0.01 * span) ** 2, (0.03 * span) ** 2
    half = len(weights) // 2
    inside = tuple(slice(half, size - half) for size in truth.shape[-2:])

    def mean(plane: Array) -> Array:
        along = ndimage.correlate1d(plane, weights, axis=0, mode="nearest")
        return np.asarray(ndimage.correlate1d(along, weights, axis=1, mode="nearest")[inside])

    for at in np.ndindex(truth.shape[:-2]):
        absent = missing(estimate[at], truth[at])
        there = np.ones(truth.shape[-2:], bool) if absent is None else ~absent
        counts = there[inside]
        weight = np.where(counts, mean(there.astype(np.float64)), 1.0)
        one, other = (np.where(there, each[at], 0).astype(np.float64) for each in (estimate, truth))
        mean_one, mean_other = mean(one) / weight, mean(other) / weight
        variance_one = mean(one * one) / weight - mean_one**2
        variance_other = mean(other * other) / weight - mean_other**2
        covariance = mean(one * other) / weight - mean_one * mean_other
        similarity = (2 * mean_one * mean_other + first) * (2 * covariance + second)
        similarity /= (mean_one**2 + mean_other**2 + first) * (variance_one + variance_other + second)
        found[at] = similarity[counts].sum(), np.count_nonzero(counts)
    return found
