"""Estimates: whether one holds what is wanted, and what a law may know that is held on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.signature import Signature
from ..errors import EstimateError

if TYPE_CHECKING:
    import xarray as xr


def context_of(inputs: xr.Dataset, wanted: Signature, truth: xr.Dataset | None = None) -> xr.Dataset:
    """What a law may know: the inputs, the leads that are estimated (`target_lead`), and for an oracle `truth_NAME`."""
    context = inputs
    if "lead" in wanted.sizes:
        context = context.assign_coords(target_lead=range(1, wanted.sizes["lead"] + 1))
    if truth is None:
        return context
    known = truth.rename(lead="target_lead") if "lead" in truth.dims else truth
    return context.assign({f"truth_{name}": known[name].variable for name in truth.data_vars})


def checked(estimate: xr.Dataset, wanted: Signature, *, by: str) -> xr.Dataset:
    """The estimate, if it is one: the wanted variables with the wanted sizes. Raises `EstimateError`."""
    for field in wanted.fields:
        if field.name not in estimate:
            raise EstimateError(f"{by} gives no {field.name!r}", allowed=str(wanted), advice=f"return it from {by}")
        array = estimate[field.name]
        if not set(field.dims) <= set(map(str, array.dims)):
            raise EstimateError(f"{by} gives {field.name!r} with dims {array.dims!r}", allowed=f"dims {field.dims!r}")
        for dim in field.dims:
            if array.sizes[dim] != wanted.sizes[dim]:
                raise EstimateError(
                    f"{by} gives {field.name!r} with {array.sizes[dim]} along {dim!r}", allowed=f"{wanted.sizes[dim]}"
                )
    return estimate
