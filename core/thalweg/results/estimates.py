"""Estimates: whether one holds what is wanted, and what a law may know that is held on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.signature import Signature
from ..errors import EstimateError
from ..quantities import same_units

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


def checked(estimate: xr.Dataset, gives: Signature, *, by: str, strict: bool = True) -> xr.Dataset:
    """The estimate, if it is what `gives` says: its fields with these dims, sizes and units.

    Units that it does not carry are added. With `strict` a field that `gives` does not name is refused: the plan did
    not count it. Raises `EstimateError`.
    """
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
