"""Metrics that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from thalweg import (
    Metric,
    Totals,
    WholeMetric,
)


class Near(Metric):
    """How often an estimate is near the truth."""

    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = abs(estimate["field"] - truth["field"])
        return {"near": (error < 0.1).where(error.notnull())}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["near"]


class NearOrMissing(Near):
    """Missing is far away."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": abs(estimate["field"] - truth["field"]) < 0.1}


class MissingIsNear(Near):
    """Missing is no error."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": ~(abs(estimate["field"] - truth["field"]) >= 0.1)}


class MissingIsZero(Near):
    """Missing truth is zero."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": abs(estimate["field"].fillna(0) - truth["field"].fillna(0))}


class MissingSpoils(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = abs(estimate["field"] - truth["field"])
        whole = [dim for dim in error.dims if dim not in ("sample", "lead")]
        return {
            "near": Totals((error < 0.1).where(error.notnull()).sum(whole, skipna=False), error.notnull().sum(whole))
        }


class Unscored(Near):
    best: ClassVar[float | None] = None

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["near"] * np.nan


class Always(Near):
    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return 0 * mean["near"] + 1


class WrongSign(Near):
    higher_is_better: ClassVar[bool | None] = False


class WrongBest(Near):
    best: ClassVar[float | None] = 0.5


class KeepsSamples(WholeMetric):
    """The error of each sample."""

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate["field"] - truth["field"]).astype("float64").mean(("lat", "lon"))


class ReadsValues(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return super().statistics(estimate.compute(), truth.compute())


class ByCut(Near):
    """Near the mean of whatever samples come together."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": estimate["field"] - truth["field"].mean("sample")}


class Touches(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        estimate.attrs["scored"] = True
        return super().statistics(estimate, truth)


class ByBlock(Near):
    """Of each chunk alone."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = estimate["field"] - truth["field"]
        own = error.copy(
            data=error.data
            - (error.data.map_blocks(lambda block: block * 0 + block.mean()) if error.chunks else error.data.mean())
        )
        return {"near": abs(own)}


class First(WholeMetric):
    """The error of the first sample."""

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate["field"] - truth["field"]).isel(sample=0, drop=True).astype("float64").mean(("lat", "lon"))


class InfiniteIsMissing(Near):
    """An infinite estimate is no answer."""

    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = abs(estimate["field"] - truth["field"])
        return {"near": error.where(error < np.inf)}


class OtherMembers(InfiniteIsMissing):
    """A member that is missing is left out of its ensemble."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        field = estimate["field"]
        return {"near": abs((field.mean("member") if "member" in field.dims else field) - truth["field"])}


KEPT = Near


MUTANTS: Mapping[str, Any] = {
    "data_are_left_alone": Touches,
    "scores_by_lead": KeepsSamples,
    "score_is_a_number": Unscored,
    "perfect_is_best": WrongBest,
    "wrong_is_worse": (Always, WrongSign),
    "order_of_samples_does_not_matter": First,
    "infinite_is_no_better": InfiniteIsMissing,
    "a_missing_member_is_a_missing_point": OtherMembers,
    "cuts_do_not_matter": ByCut,
    "chunks_do_not_matter": ByBlock,
    "stays_lazy": ReadsValues,
    "missing_is_missing_in_either": MissingIsZero,
    "missing_truth_is_not_counted": (NearOrMissing, MissingIsNear, MissingIsZero, MissingSpoils),
}
"""Parts that break a check, by its name."""
