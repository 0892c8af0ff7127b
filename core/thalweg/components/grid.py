"""The grid of an estimate: what a law's rows and weights are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

_OUTER = ("sample", "member")


def grid_of(fields: xr.Dataset, static: xr.Dataset) -> xr.Dataset:
    """One sample of `fields` over empty memory, with its coordinates and units, and the static fields of `static`.

    Static is what lies along no sample and no lead: `area`, a land mask, a height. Reads no value but those.
    """
    import xarray as xr

    moving = {"sample", "lead", "member"}
    still = {
        name: each
        for name, each in static.variables.items()
        if not moving & set(each.dims) and name not in fields.variables and name not in static.dims
    }
    made = {}
    for name, each in fields.data_vars.items():
        dims = tuple(dim for dim in each.dims if dim not in _OUTER)
        made[name] = (dims, empty(tuple(each.sizes[dim] for dim in dims), each.dtype), each.attrs)
    coords = {name: each.variable for name, each in fields.coords.items() if not set(_OUTER) & set(each.dims)}
    apart = {name for name in still if name in static.coords}
    grid = xr.Dataset(made, {**coords, **{name: still[name] for name in apart}})
    return grid.assign({name: each for name, each in still.items() if name not in apart})


def empty(shape: tuple[int, ...], kind: Any) -> Any:
    """An array of no memory, all zeros."""
    import numpy as np

    return np.broadcast_to(np.zeros((), kind), shape)
