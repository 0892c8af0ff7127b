"""What a law may know of a batch that it is held on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

    from .signature import Signature


def context_of(inputs: xr.Dataset, wanted: Signature, truth: xr.Dataset | None = None) -> xr.Dataset:
    """What a law may know: the inputs, the leads that are estimated (`target_lead`), and for an oracle `truth_NAME`."""
    context = inputs
    if "lead" in wanted.sizes:
        context = context.assign_coords(target_lead=range(1, wanted.sizes["lead"] + 1))
    if truth is None:
        return context
    known = truth.rename(lead="target_lead") if "lead" in truth.dims else truth
    return context.assign({f"truth_{name}": known[name].variable for name in truth.data_vars})
