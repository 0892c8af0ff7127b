"""Missing values in scores: a lead without value marks the mean, and sums of nothing spoil nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from thalweg import Metric, Totals, score


class ByLead(Metric):
    """Mean over leads of the mean error, which it averages itself: NaN where nothing is there."""

    overall: ClassVar[Literal["pooled", "mean"]] = "mean"

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        error = (estimate["v"] - truth["v"]).astype("float64")
        count = error.notnull().sum("x")
        return {"error": Totals(error.mean("x") * count, count)}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"]

    def beside(self, mean: Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
        return {"twice": 2 * mean["error"]}


def fields() -> tuple[xr.Dataset, xr.Dataset]:
    truth = xr.Dataset({"v": (("sample", "lead", "x"), np.zeros((3, 2, 4)))})
    return truth + np.array([1.0, 3.0])[:, None], truth


def test_a_sample_without_truth_spoils_no_mean() -> None:
    estimate, truth = fields()
    truth.v[0] = np.nan
    assert score(ByLead(), estimate, truth).by_lead.values.tolist() == [1, 3]


def test_a_lead_without_value_marks_the_mean() -> None:
    estimate, truth = fields()
    assert score(ByLead(), estimate, truth).overall == 2
    truth.v[:, 1] = np.nan
    made = score(ByLead(), estimate, truth)
    np.testing.assert_equal(made.by_lead.values, [1, np.nan])
    assert np.isnan(made.overall), "the mean of the other leads is another score"


def test_what_stands_beside_a_score_is_pooled_over_leads() -> None:
    estimate, truth = fields()
    truth.v[1:, 0] = np.nan
    beside = score(ByLead(), estimate, truth).beside["twice"]
    assert beside.by_lead.values.tolist() == [2, 6]
    assert beside.overall == 2 * (1 + 3 * 3) / 4
