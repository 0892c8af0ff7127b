"""The kit finds what is wrong with a stranger's metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr
from thalweg import Metric, Totals
from thalweg.testing import check_metric


class Bias(Metric):
    """Mean of estimate minus truth."""

    best: ClassVar[float | None] = 0.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        return {"error": estimate["field"] - truth["field"]}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"]


class Relative(Bias):
    """Bias over the mean square of the truth, which it adds up over samples itself."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        error, square = estimate["field"] - truth["field"], truth["field"].astype("float64") ** 2
        square = square.where(error.notnull())
        return {"error": error, "square": Totals(square.sum(), square.count())}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"] / mean["square"]


class Eager(Bias):
    """Reads values while it should describe them."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        return {"error": (estimate["field"] - truth["field"]).compute()}


class Batchwise(Bias):
    """Averages what each batch gives, however many samples it has."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        error = estimate["field"] - truth["field"]
        return {"error": error - error.mean("sample")}


class Poisoned(Bias):
    """One missing point makes all of its score missing."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        error = estimate["field"] - truth["field"]
        dims = [dim for dim in error.dims if dim not in ("sample", "lead")]
        total = error.astype("float64").sum(dims, skipna=False)
        return {"error": Totals(total, xr.full_like(total, 1, dtype="int64"))}


class OneSided(Bias):
    """Takes what is missing in the truth as zero."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        return {"error": estimate["field"] - truth["field"].fillna(0.0)}


class Overwriting(Bias):
    """Works in its argument's memory."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:
        if isinstance(estimate["field"].data, np.ndarray):
            estimate["field"].data[...] = np.abs(estimate["field"].data) + 1.0
        return {"error": estimate["field"] - truth["field"]}


class Boastful(Bias):
    """Says that a perfect estimate has another value."""

    best: ClassVar[float | None] = 1.0


@pytest.mark.parametrize("metric", [Bias(), Relative()])
def test_a_strangers_metric_passes(metric: Bias) -> None:
    check_metric(metric)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Eager, "it reads values"),
        (Batchwise, "cut at samples"),
        (Poisoned, "make the whole score NaN"),
        (OneSided, "with NaN in the"),
        (Overwriting, "it changes the estimate"),
        (Boastful, "not best = 1.0"),
    ],
)
def test_a_broken_metric_is_told_what_is_wrong(wrong: type[Bias], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_metric(wrong())
