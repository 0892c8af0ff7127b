"""Batches whose samples have elements in a row: whose each element is, and sums by sample."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Ints = np.ndarray[Any, np.dtype[np.int64]]

OWNER, HELD = "_sample", "_count"
"""After the name of a ragged dim: coordinates that say whose an element is, and how many a sample has."""


def owners(*data: xr.Dataset) -> dict[str, Ints]:
    """Of each ragged dim of a batch, the position of the sample that each element belongs to; empty if none is."""
    return {
        str(dim): each.coords[f"{dim}{OWNER}"].values
        for each in data
        for dim in each.dims
        if f"{dim}{OWNER}" in each.coords and each.coords[f"{dim}{OWNER}"].dims == (dim,)
    }


def kept_dims(array: xr.DataArray) -> tuple[str, ...]:
    """The dims of a field that a statistic keeps, for means are taken within each: sample, lead, and ragged dims."""
    return tuple(str(dim) for dim in array.dims if dim in ("sample", "lead") or f"{dim}{OWNER}" in array.coords)


def has_samples(array: xr.DataArray, of: Mapping[str, Ints]) -> bool:
    """Whether an array has values by sample: along `sample`, or along a ragged dim of `owners`."""
    return "sample" in array.dims or any(dim in of for dim in array.dims)


def by_sample(array: xr.DataArray, of: Mapping[str, Ints], *, count: int) -> xr.DataArray:
    """An array with its elements added up to one value for each of `count` samples, 0 where one has none."""
    return _reduced(array, of, count=count, how="sum")


def largest_by_sample(array: xr.DataArray, of: Mapping[str, Ints], *, count: int) -> xr.DataArray:
    """An array of floats with the largest element of each of `count` samples, NaN where one has none."""
    return _reduced(array, of, count=count, how="max")


def _reduced(array: xr.DataArray, of: Mapping[str, Ints], *, count: int, how: Literal["sum", "max"]) -> xr.DataArray:
    import numpy as np
    import xarray as xr

    ragged: list[Hashable] = [dim for dim in array.dims if dim in of]
    if not ragged:
        return array
    (dim,) = ragged
    turned = array.transpose(dim, ...)
    shape = (count, *turned.shape[1:])
    if how == "sum":
        # Counts are exact at any size; booleans would not add up at all.
        found = np.zeros(shape, dtype="int64" if turned.dtype.kind in "biu" else turned.dtype)
        np.add.at(found, of[str(dim)], turned.values)
    else:
        found = np.full(shape, np.nan, dtype=turned.dtype)
        np.fmax.at(found, of[str(dim)], turned.values)
    coords = {name: each for name, each in turned.coords.items() if dim not in each.dims}
    return xr.DataArray(found, coords, ("sample", *turned.dims[1:]), str(array.name), array.attrs)
