"""The grid of an estimate: what a law's rows and weights are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from .signature import Signature

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


def fields_of(wanted: Signature, inputs: xr.Dataset) -> xr.Dataset:
    """The fields of an estimate over empty memory, with the coordinates of its inputs, and its leads."""
    import numpy as np
    import xarray as xr

    made = {}
    for field in wanted.fields:
        sizes = tuple(wanted.sizes[dim] for dim in field.dims)
        attributes = dict(inputs[field.name].attrs) if field.name in inputs else {}
        units = attributes.get("units", field.units or "1")
        made[field.name] = (field.dims, empty(sizes, field.dtype or "float32"), attributes | {"units": units})
    dims = {dim for field in wanted.fields for dim in field.dims}
    coords: dict[Any, Any] = {
        name: each
        for name, each in inputs.coords.items()
        if "lead" not in each.dims and set(map(str, each.dims)) <= dims
    }
    if "lead" in dims:
        given = inputs.coords.get("lead")
        coords["lead"] = ("lead", np.arange(1, wanted.sizes["lead"] + 1), {} if given is None else given.attrs)
    return xr.Dataset(made, coords)


def empty(shape: tuple[int, ...], kind: Any) -> Any:
    """An array of no memory, all zeros."""
    import numpy as np

    return np.broadcast_to(np.zeros((), kind), shape)
