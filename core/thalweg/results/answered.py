"""Which points of a truth an estimate answers: how many, and a hash of which.

Two estimates whose hashes are equal answer the same points, so that their scores compare without reading a field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..samples.elements import owners

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]
KEPT = ("sample", "lead")


def hashes(truth: xr.Dataset) -> dict[str, xr.DataArray]:
    """A hash of the values of each field of a truth, `(sample, [lead])`, 64 bits."""
    found = {name: _kept(array, _hashed(_rows(array, array.values))) for name, array in _fields(truth)}
    return found | {name: _of_samples([_hash(each) for each in parts]) for name, _, parts in _in_rows(truth, _values)}


def answers(estimate: xr.Dataset, truth: xr.Dataset) -> dict[str, dict[str, xr.DataArray]]:
    """Of each field, `(sample, [lead])`: its `points` with a truth, how many were `answered`, and a hash of `which`.

    A point is answered where the estimate, all its members and its variance are there (not NaN).
    """
    found = {}
    for name, array in _fields(truth):
        there = _rows(array, _there(array.values))
        given = there & _rows(array, answered(estimate, array).values)
        counts = {"points": there.sum(-1), "answered": given.sum(-1), "which": _which(given)}
        found[name] = {part: _kept(array, values.astype("uint64")) for part, values in counts.items()}
    for name, array, known in _in_rows(truth, lambda array: _there(array.values)):
        split = _split(array, answered(estimate, array).values, truth)
        both = [one & other for one, other in zip(known, split, strict=True)]
        found[name] = {
            "points": _of_samples([int(each.sum()) for each in known]),
            "answered": _of_samples([int(each.sum()) for each in both]),
            "which": _of_samples([_hash(np.packbits(each)) for each in both]),
        }
    return found


def answered(estimate: xr.Dataset, truth: xr.DataArray) -> xr.DataArray:
    """Where a field of an estimate is there, along the truth's dims."""
    import xarray as xr

    found = xr.DataArray(np.ones(truth.shape, bool), dims=truth.dims)
    for name in (str(truth.name), f"{truth.name}_variance"):
        if name in estimate and estimate[name].dtype.kind == "f":
            array = estimate[name].variable
            there = array.copy(data=_there(array.values))
            there = there.all("member") if "member" in there.dims and "member" not in truth.dims else there
            found = found & xr.DataArray(there)
    return found.transpose(*truth.dims)


def _fields(truth: xr.Dataset) -> list[tuple[str, xr.DataArray]]:
    return [(str(name), array) for name, array in truth.data_vars.items() if "sample" in array.dims]


def _in_rows(
    truth: xr.Dataset, values: Callable[[xr.DataArray], Array]
) -> Iterator[tuple[str, xr.DataArray, list[Array]]]:
    """Each field along a ragged dim, with its values cut into those of each sample."""
    for name, array in truth.data_vars.items():
        if owners(truth).keys() & set(array.dims):
            yield str(name), array, _split(array, values(array), truth)


def _split(array: xr.DataArray, values: Array, truth: xr.Dataset) -> list[Array]:
    (dim,) = owners(truth).keys() & set(map(str, array.dims))
    turned = np.ascontiguousarray(np.moveaxis(values, array.dims.index(dim), 0))
    count = np.bincount(owners(truth)[dim], minlength=truth.sizes["sample"])
    return np.split(turned, np.cumsum(count)[:-1])


def _values(array: xr.DataArray) -> Array:
    return array.values


def _of_samples(values: list[int]) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(np.array(values, dtype="uint64"), dims="sample")


def _there(values: Array) -> Array:
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)


def _rows(array: xr.DataArray, values: Array) -> Array:
    """`(sample, [lead,] points)`, in the order of the array's dims."""
    kept = [dim for dim in KEPT if dim in array.dims]
    order = [array.dims.index(dim) for dim in (*kept, *(dim for dim in array.dims if dim not in kept))]
    turned = values.transpose(order)
    return np.ascontiguousarray(turned.reshape(*turned.shape[: len(kept)], -1))


def _kept(array: xr.DataArray, values: Array) -> xr.DataArray:
    import xarray as xr

    dims = [dim for dim in KEPT if dim in array.dims]
    coords = {"lead": array["lead"].values} if "lead" in dims and "lead" in array.coords else None
    return xr.DataArray(values, coords, dims)


def _which(given: Array) -> Array:
    size = given.shape[-1]
    found = np.full(given.shape[:-1], _all(size), "uint64")
    some = ~given.all(-1)
    if some.any():
        found[some] = _hashed(np.packbits(given[some], axis=-1))
    return found


@lru_cache(maxsize=16)
def _all(size: int) -> int:
    return _hash(np.packbits(np.ones(size, bool)))


def _hashed(rows: Array) -> Array:
    flat = rows.reshape(-1, rows.shape[-1])
    return np.array([_hash(row) for row in flat], "uint64").reshape(rows.shape[:-1])


def _hash(row: Array) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")
