"""Estimates: whether one holds what is wanted, and reading those stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..components.signature import Signature
from ..errors import EstimateError
from ..quantities import same_units
from ..samples import Samples, has_index
from ..samples.elements import HELD, OWNER
from ..stores.arrays import read, reading

if TYPE_CHECKING:
    import xarray as xr


def estimate_at(url: str, at: slice | Sequence[int]) -> xr.Dataset:
    """The stored estimates of some samples, in memory; those of samples of unlike size in rows, as their truth is."""
    with reading(url):
        data = read(url)
        if has_index(data):
            return Samples.of(data).truth(at)
        return (data.isel(sample=at) if "sample" in data.dims else data).load()


def whole_estimate(url: str) -> xr.Dataset:
    """The stored estimates of all samples: dask-backed, or, of samples of unlike size, in memory and in rows."""
    data = read(url, dask=True)
    return estimate_at(url, slice(None)) if has_index(data) else data


def with_owners(estimate: xr.Dataset, inputs: xr.Dataset) -> xr.Dataset:
    """The estimate with what its inputs say of their elements, if they lie in rows: whose each is."""
    known = [f"{dim}{end}" for dim in estimate.dims for end in (OWNER, HELD) if f"{dim}{OWNER}" in inputs.coords]
    return estimate.assign_coords({name: inputs.coords[name] for name in known}) if known else estimate


def checked(estimate: xr.Dataset, gives: Signature, *, by: str, strict: bool = True) -> xr.Dataset:
    """The estimate, if it is what `gives` says: its fields with these dims, sizes and units.

    Units that it does not carry are added. With `strict` a field that `gives` does not name is refused: the plan did
    not count it. Raises `EstimateError`.
    """
    if not hasattr(estimate, "data_vars"):
        raise EstimateError(
            f"{by} gives a {type(estimate).__name__}", allowed="an xarray Dataset", advice=f"return one from {by}"
        )
    for field in gives.fields:
        if field.name not in estimate:
            raise EstimateError(f"{by} gives no {field.name!r}", allowed=str(gives), advice=f"return it from {by}")
        array = estimate[field.name]
        if set(field.dims) != set(map(str, array.dims)):
            raise EstimateError(
                f"{by} gives {field.name!r} with dims {array.dims!r}",
                allowed=f"dims {field.dims!r}",
                advice=f"say in `gives` of {by} what its estimate holds" if strict else f"keep the dims in {by}",
            )
        for dim in field.dims:
            if array.sizes[dim] != gives.sizes[dim]:
                raise EstimateError(
                    f"{by} gives {field.name!r} with {array.sizes[dim]} along {dim!r}", allowed=f"{gives.sizes[dim]}"
                )
        units = str(array.attrs.get("units", field.units))
        if not same_units(units, field.units):
            raise EstimateError(
                f"{by} gives {field.name!r} in {units!r}", allowed=f"{field.units!r}", advice=f"convert it in {by}"
            )
        if field.units:
            estimate[field.name].attrs["units"] = array.attrs.get("units", field.units)
    more = [str(name) for name in estimate.data_vars if name not in gives] if strict else []
    if more:
        raise EstimateError(
            f"{by} gives {', '.join(map(repr, more))} too",
            allowed=str(gives),
            advice=f"name it in `gives` of {by}, so that the plan counts it, or leave it out",
        )
    return estimate
