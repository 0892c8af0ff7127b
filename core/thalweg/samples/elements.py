"""Batches whose samples have elements in a row: whose each element is, and sums by sample."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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


def of_points(there: xr.DataArray, array: xr.DataArray, of: Mapping[str, Ints]) -> xr.DataArray:
    """A value for each sample as one for each element of `array`, where it lies along a ragged dim."""
    ragged = [str(dim) for dim in array.dims if dim in of]
    if there.dims != ("sample",) or not ragged:
        return there
    import xarray as xr

    return xr.DataArray(there.values[of[ragged[0]]], dims=ragged[0])


def taken(data: xr.Dataset, at: slice | Sequence[int], *, count: int | None = None) -> xr.Dataset:
    """The samples of a batch at these positions, in this order, with their elements; `count` is how many it has."""
    import numpy as np

    size = data.sizes.get("sample", 0) if count is None else count
    numbers = np.arange(size)[at if isinstance(at, slice) else np.asarray(at, dtype=np.int64)]
    for dim, owner in owners(data).items():
        parts = [np.flatnonzero(owner == each) for each in numbers]
        whose = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
        data = data.isel({dim: np.concatenate([*parts, np.zeros(0, dtype=np.int64)])})
        data = data.assign_coords({f"{dim}{OWNER}": (dim, whose, data[f"{dim}{OWNER}"].attrs)})
    return data.isel(sample=numbers) if "sample" in data.dims else data


def joined(singles: Sequence[xr.Dataset]) -> xr.Dataset:
    """Batches of one sample each as one batch."""
    import numpy as np
    import xarray as xr

    ragged = owners(singles[0])
    if not ragged:
        return xr.concat(singles, "sample")
    found = {}
    for name, array in singles[0].variables.items():
        along = [dim for dim in array.dims if dim == "sample" or dim in ragged]
        if along:
            parts = [each[name].transpose(*array.dims).values for each in singles]
            found[name] = xr.Variable(array.dims, np.concatenate(parts, axis=array.dims.index(along[0])), array.attrs)
        else:
            found[name] = array
    for dim in ragged:
        sizes = [each.sizes[dim] for each in singles]
        found[f"{dim}{OWNER}"] = xr.Variable(dim, np.repeat(np.arange(len(singles)), sizes))
    return xr.Dataset(found).set_coords(list(singles[0].coords))


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
