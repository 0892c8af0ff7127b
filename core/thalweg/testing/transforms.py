"""What a transform keeps."""

from __future__ import annotations

import dask
import numpy as np
import xarray as xr

from ..components import Transform
from .components import check_component
from .report import Check, ensure
from .scenes import difference, series


def stays_lazy(transform: Transform, data: xr.Dataset) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it reads values; leave them to dask")

    with dask.config.set(scheduler=refuse):
        statistics = transform.statistics(data)
    known = statistics.compute()
    with dask.config.set(scheduler=refuse):
        made = transform.apply(data, known)
    lazy = {name for name, each in data.data_vars.items() if each.chunks is not None}
    eager = [str(name) for name in lazy & set(made.data_vars) if made[name].chunks is None]
    ensure(not eager, f"{', '.join(eager)} in memory")


def statistics_are_small(transform: Transform, data: xr.Dataset) -> None:
    given, known = data.nbytes, transform.statistics(data).nbytes
    ensure(known < given, f"statistics of {known} bytes about data of {given} bytes")


def data_are_left_alone(transform: Transform, data: xr.Dataset) -> None:
    before = data.copy(deep=True)
    transform.apply(data, transform.statistics(data).compute())
    found = difference(before.compute(), data.compute())
    ensure(not found and before.attrs == data.attrs, f"it changes its argument: {found or 'attrs'}; use `assign`")


def fields_have_units(transform: Transform, data: xr.Dataset) -> None:
    made = transform.apply(data, transform.statistics(data).compute())
    bare = [str(name) for name, each in made.data_vars.items() if "time" in each.dims and "units" not in each.attrs]
    ensure(not bare, f"{', '.join(bare)} without units: keep attrs, or set attrs['units']")


def does_not_look_ahead(transform: Transform, data: xr.Dataset) -> None:
    """With the same statistics, another future leaves the past as it was: else the truth leaks into the inputs."""
    statistics = transform.statistics(data).compute()
    steps = data.sizes["time"] // 2
    past = xr.DataArray(np.arange(data.sizes["time"]) < steps, dims="time")
    moving = {name: each for name, each in data.data_vars.items() if "time" in each.dims}
    other = data.assign({name: each.where(past, (each / 2).astype(each.dtype)) for name, each in moving.items()})
    whole, changed = transform.apply(data, statistics), transform.apply(other, statistics)
    if whole.sizes.get("time") != data.sizes["time"]:
        return  # It changes the axis: there is no step of one that is the same step of the other.
    for name in moving:
        if name in whole:
            found = difference(*(each[name].isel(time=slice(0, steps)).compute() for each in (changed, whole)))
            ensure(not found, f"with another future, {name} {found}; what it must know belongs in `statistics`")


# First whether it changes its argument: the others would be given what it changed.
CHECKS: tuple[Check, ...] = (
    data_are_left_alone,
    stays_lazy,
    statistics_are_small,
    fields_have_units,
    does_not_look_ahead,
)


def check_transform(transform: Transform, data: xr.Dataset | None = None) -> None:
    """All that a transform keeps, tried on `data` along `time`, dask-backed."""
    check_component(transform)
    data = series(transform.needs()) if data is None else data
    for each in CHECKS:
        each(transform, data)
