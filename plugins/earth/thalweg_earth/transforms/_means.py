"""Means over groups of steps, block by block."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.floating]


def means_by_group(array: xr.DataArray, positions: NDArray[np.integer], count: int) -> xr.DataArray:
    """The mean of the steps of each of `count` groups: float32 (group, ...), summed in double; missing ones left out.

    `positions` (time,) is the group of each step, negative for a step of none. A group without a value is NaN. Each
    block of a lazy array is read once: a selection of the steps of each group would be a task for each block of each.
    """
    moving = array.transpose("time", ...)
    found = _lazily(moving.data, positions, count) if moving.chunks else _mean(_sums(moving.values, positions, count))
    return xr.DataArray(found.astype(np.float32), dims=("group", *moving.dims[1:]), attrs=array.attrs)


def _lazily(values: Any, positions: NDArray[np.integer], count: int) -> Any:
    import dask.array as da

    along = da.from_array(
        positions.reshape(-1, *(1,) * (values.ndim - 1)), chunks=(values.chunks[0],) + (1,) * (values.ndim - 1)
    )
    return da.reduction(
        values,
        chunk=partial(_of_block, count=count),
        combine=_added,
        aggregate=_aggregated,
        axis=0,
        keepdims=True,
        dtype=np.float64,
        concatenate=False,
        weights=along,
        output_size=count,
        meta=np.empty((0,) * values.ndim),
    )


def _sums(values: Any, positions: NDArray[np.integer], count: int) -> tuple[Array, Array]:
    """Of each group the sum of its values, and how many there are."""
    total, number = np.zeros((2, count, *values.shape[1:]))
    for group in np.unique(positions[positions >= 0]):
        chosen = values[positions == group]
        there = ~np.isnan(chosen)
        total[group] = np.sum(chosen, axis=0, where=there, dtype=np.float64)
        number[group] = there.sum(axis=0)
    return total, number


def _of_block(values: Any, weights: Any, *, count: int, axis: Any = None, keepdims: bool = True) -> Any:  # noqa: ARG001
    return _sums(values, weights[(slice(None), *(0,) * (weights.ndim - 1))], count)


def _added(parts: Any, *, axis: Any = None, keepdims: bool = True) -> Any:  # noqa: ARG001
    flat = parts if isinstance(parts, list) else [parts]
    while flat and isinstance(flat[0], list):
        flat = [each for part in flat for each in part]
    return sum(each[0] for each in flat), sum(each[1] for each in flat)


def _mean(sums: tuple[Array, Array]) -> Array:
    total, number = sums
    found: Array = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return found


def _aggregated(parts: Any, *, axis: Any = None, keepdims: bool = True) -> Any:
    return _mean(_added(parts, axis=axis, keepdims=keepdims))
