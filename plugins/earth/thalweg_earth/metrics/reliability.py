"""Whether events come as often as an ensemble says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Metric, Signature, Totals

from ._contingency import Thresholds, levels, told_apart
from ._fields import points
from ._members import ensemble, whole
from ._sums import Array

PARTS = ("share", "probability", "frequency")


class Reliability(Metric):
    r"""Reliability of the probability of events at or above each threshold: the mean squared difference of what an
    ensemble says, `p`, and how often it happens, `o`, over `bins` of `p` of one width.

        reliability = sum_b f_b (p_b - o_b)^2      f_b share of the points in bin b

    `p` is the share of the members with the event. `brier`, $\overline{(p - o)^2}$, and `resolution`,
    $\sum_b f_b (o_b - \bar o)^2$, stand beside it. Dimensionless, along `threshold`; 0 is reliable. A point is missing
    where the truth or any member is. Raises `HandshakeError` without members.
    """

    cite: ClassVar[str] = "10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0
    example: ClassVar[Mapping[str, Any]] = {"thresholds": [0.3, 0.6]}

    thresholds: Thresholds
    bins: int = Field(10, ge=2, description="bins of the probability, of one width")
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        told_apart(self.thresholds, given, self.variable)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = ensemble(estimate, truth, variable=self.variable, least=1, metric=self.name)
        over = points(right)
        left, right = whole(left, right, dims=over)
        found = xr.apply_ufunc(
            partial(_binned, np.asarray(self.thresholds), self.bins, len(over)),
            left,
            right,
            input_core_dims=[[*over, "member"], [*over]],
            output_core_dims=[["threshold", "part", "bin"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"threshold": len(self.thresholds), "part": 5, "bin": self.bins}},
        ).assign_coords(threshold=list(self.thresholds))
        valid = found.isel(part=4, bin=0, threshold=0, drop=True).astype("int64")
        totals = {name: Totals(found.isel(part=i), valid) for i, name in enumerate(PARTS)}
        return {**totals, "brier": Totals(found.isel(part=3, bin=0, drop=True), valid)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        away = (mean["probability"] - mean["frequency"]) ** 2
        return _over(away, mean["share"])

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
        usual = mean["frequency"].sum("bin", skipna=False)
        apart = (mean["frequency"] - usual * mean["share"]) ** 2
        return {
            "brier": mean["brier"].assign_attrs(units="1", better="lower"),
            "resolution": _over(apart, mean["share"]).assign_attrs(units="1", better="higher"),
        }


def _over(squares: xr.DataArray, share: xr.DataArray) -> xr.DataArray:
    """Squares of sums over a bin's points, as means over all points; an empty bin adds nothing."""
    found = (squares / share.where(share > 0.0, 1.0)).sum("bin", skipna=False)
    return found.where(share.notnull().all("bin"))


def _binned(thresholds: Array, bins: int, depth: int, members: Array, truth: Array) -> Array:
    """Sums by bin of 1, p and o; in bin 0 those of (p - o)^2 and the count of points: (..., threshold, 5, bins)."""
    count = members.shape[-1]
    kept = truth.shape[: truth.ndim - depth]
    members, truth = members.reshape(*kept, -1, count), truth.reshape(*kept, -1)
    there = ~(np.isnan(members.astype(np.float64)).any(-1) | np.isnan(truth.astype(np.float64)))
    wild = np.isinf(members).any(-1) if members.dtype.kind == "f" else np.zeros_like(there)
    found = np.zeros((*kept, len(thresholds), 5, bins))
    said, seen = levels(thresholds, members.dtype), levels(thresholds, truth.dtype)
    for k in range(len(thresholds)):
        event = (truth >= seen[k]).astype(np.float64)
        # A member that is infinite makes the whole ensemble wrong.
        probability = np.where(wild, 1.0 - event, (members >= said[k][..., None]).mean(-1))
        place = np.minimum((probability * bins).astype(np.int64), bins - 1)
        for number in range(bins):
            within = there & (place == number)
            found[..., k, 0, number] = within.sum(-1)
            found[..., k, 1, number] = np.where(within, probability, 0.0).sum(-1)
            found[..., k, 2, number] = np.where(within, event, 0.0).sum(-1)
        found[..., k, 3, 0] = np.where(there, (probability - event) ** 2, 0.0).sum(-1)
        found[..., k, 4, 0] = there.sum(-1)
    return found
