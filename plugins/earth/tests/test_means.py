"""Means over groups of steps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg_earth.transforms._means import means_by_group


@pytest.mark.parametrize("chunks", [None, {"time": 7, "y": 2, "x": 3}, {"time": 1}])
def test_they_are_those_of_each_selection(chunks: dict[str, int] | None) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 30, 5)).astype("float32")
    values[rng.random(values.shape) < 0.2] = np.nan
    values[0, :, 0] = np.nan
    groups = np.arange(30) % 3
    groups[20:] = -1
    array = xr.DataArray(values, dims=("y", "time", "x"), attrs={"units": "K"})
    found = means_by_group(array if chunks is None else array.chunk(chunks), groups, 4)
    assert (found.dims, found.dtype, found.attrs) == (("group", "y", "x"), np.float32, {"units": "K"})
    for group in range(3):
        alone = array.isel(time=np.flatnonzero(groups == group)).mean("time", dtype="float64")
        np.testing.assert_allclose(found.isel(group=group), alone.astype("float32"), rtol=1e-7)
    assert found.isel(group=3).isnull().all(), "of no step"
    assert found.isel(y=0, x=0).isnull().all()
