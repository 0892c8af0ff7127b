"""Sums over the points of two fields, in one pass over memory, block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
import xarray as xr

Array = np.ndarray[Any, Any]
Kernel = Callable[[Array, Array], Array]
"""`(rows, points), (rows, points) -> (rows, ...)`: summed over its points."""

CELLS = 1 << 17
"""Points given to a kernel at once: few enough that its temporaries stay in the cache."""


def sums(
    kernel: Kernel,
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    over: Sequence[str],
    gives: Mapping[str, int],
    dtype: str = "float64",
) -> xr.DataArray:
    """A kernel's sums over the dims `over`, along the new dims `gives`; lazy where its arguments are."""
    kept = [dim for dim in truth.dims if dim not in over]
    estimate, truth = estimate.transpose(*kept, *over), truth.transpose(*kept, *over)
    block = partial(_block, kernel, len(over), tuple(gives.values()), dtype)
    if estimate.chunks is None and truth.chunks is None:
        data: Any = block(estimate.values, truth.values).sum(axis=tuple(range(len(kept), truth.ndim)))
    else:
        data = _lazily(block, estimate, truth, depth=len(over), sizes=tuple(gives.values()), dtype=dtype)
    coords = {name: each for name, each in truth.coords.items() if set(each.dims) <= set(kept)}
    return xr.DataArray(data, coords, [*kept, *gives])


def _lazily(
    block: Callable[[Array, Array], Array],
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    depth: int,
    sizes: tuple[int, ...],
    dtype: str,
) -> Any:
    import dask.array as da

    estimate, truth = xr.unify_chunks(estimate.chunk().drop_vars(list(estimate.coords)), truth.chunk())
    before, ndim = truth.ndim - depth, truth.ndim
    chunks = truth.data.chunks
    # dask's own signature has no types.
    map_blocks: Any = da.map_blocks
    blocks = map_blocks(
        block,
        estimate.data,
        truth.data,
        chunks=(*chunks[:before], *((1,) * len(each) for each in chunks[before:]), *((size,) for size in sizes)),
        new_axis=list(range(ndim, ndim + len(sizes))),
        dtype=dtype,
        meta=np.empty((0,) * (ndim + len(sizes)), dtype),
    )
    return blocks.sum(axis=tuple(range(before, ndim))) if depth else blocks


def _block(kernel: Kernel, depth: int, sizes: tuple[int, ...], dtype: str, estimate: Array, truth: Array) -> Array:
    kept = estimate.shape[: estimate.ndim - depth]
    rows, points = prod(kept), prod(estimate.shape[estimate.ndim - depth :])
    estimate, truth = estimate.reshape(rows, points), truth.reshape(rows, points)
    total = np.zeros((rows, *sizes), dtype)
    width = max(1, min(points, CELLS))
    height = max(1, CELLS // width)
    for row in range(0, rows, height):
        for column in range(0, points, width):
            at = slice(row, row + height), slice(column, column + width)
            total[at[0]] += kernel(estimate[at], truth[at])
    return total.reshape(*kept, *(1,) * depth, *sizes)
