"""The times after the end of an axis, in every calendar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg.samples.calendar import LAST, MIDDLE, Step

AXES: dict[str, tuple[str, str, str]] = {
    "months": ("2000-01-01", "MS", "standard"),
    "month ends": ("2000-01-31", "ME", "standard"),
    "month ends from February": ("2001-02-28", "ME", "standard"),
    "month ends, noleap": ("2000-01-31", "ME", "noleap"),
    "months, 360_day": ("2000-01-16", "MS", "360_day"),
    "month ends, 360_day": ("2000-01-30", "ME", "360_day"),
    "quarters": ("2000-01-01", "QS", "standard"),
    "quarter ends": ("2000-03-31", "QE", "standard"),
    "years": ("2000-01-01", "YS", "standard"),
    "days": ("2000-02-20", "D", "standard"),
    "days, noleap": ("2000-02-20", "D", "noleap"),
    "days, 360_day": ("2000-02-20", "D", "360_day"),
    "six hours": ("2000-02-28T06:00", "6h", "standard"),
    "five minutes": ("2000-02-28T23:00", "5min", "standard"),
}


@pytest.mark.parametrize("known", [2, 5, 30])
@pytest.mark.parametrize("axis", AXES, ids=list(AXES))
def test_an_axis_is_continued(axis: str, known: int) -> None:
    start, freq, calendar = AXES[axis]
    whole = xr.date_range(start, periods=60, freq=freq, calendar=calendar, use_cftime=calendar != "standard")
    times = xr.DataArray(whole, dims="time")
    step = Step.of(times[:known])
    assert step is not None
    found = [step.after(times.values[known - 1], count) for count in range(1, 31)]
    np.testing.assert_array_equal(np.array(found), times.values[known : known + 30])
    assert step.regular(times[:known]).all()


def test_the_middle_of_months() -> None:
    first = np.arange("2000-01", "2005-01", dtype="datetime64[M]")
    start, stop = first.astype("datetime64[h]"), (first + 1).astype("datetime64[h]")
    times = xr.DataArray((start + (stop - start) / 2).astype("datetime64[ns]"), dims="time")
    step = Step.of(times[:24])
    assert step == Step("months", 1.0, MIDDLE)
    np.testing.assert_array_equal([step.after(times.values[23], i) for i in range(1, 20)], times.values[24:43])


def test_numbers_and_short_axes() -> None:
    assert Step.of(xr.DataArray([3], dims="time")) is None
    step = Step.of(xr.DataArray([0, 2, 4], dims="time"))
    assert step is not None
    assert step.after(np.int64(4), 3) == 10
    last: Any = Step.of(xr.DataArray(np.array(["2001-04-30", "2001-06-30"], "datetime64[ns]"), dims="time"))
    assert last.day == LAST
