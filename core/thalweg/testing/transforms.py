"""What a transform keeps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr
from dask.callbacks import Callback

from ..components import IndexTransform, Transform
from ..components.signature import Signature
from ..errors import HandshakeError, ThalwegError
from ..quantities.units import canonical_units, same_units
from ..samples.placed import refuse_changed
from .components import check_component
from .report import Check, ensure
from .scenes import difference, series


class _Refuse(Callback):
    """No scheduler may start, also one that is named."""

    def _start(self, graph: object) -> None:  # noqa: ARG002
        raise AssertionError("it reads values; leave them to dask")


def stays_lazy(transform: Transform, data: xr.Dataset) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it reads values; leave them to dask")

    with dask.config.set(scheduler=refuse), _Refuse():  # type: ignore[no-untyped-call]
        statistics = transform.statistics(data)
    known = statistics.compute()
    with dask.config.set(scheduler=refuse), _Refuse():  # type: ignore[no-untyped-call]
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


def units_follow_the_values(transform: Transform, data: xr.Dataset) -> None:
    """Of data ten times as large, a field in the units of the data is as much larger, and one without units the same.

    A field whose values stayed as they were keeps its units too, unless an option says otherwise.
    """
    names = [str(name) for name, each in _moving(data).items() if each.dtype.kind == "f"]
    given = data.assign({name: data[name].assign_attrs(units=_some_units(data[name])) for name in names})
    larger = given.assign(
        {name: (given[name] * 10).astype(given[name].dtype).assign_attrs(given[name].attrs) for name in names}
    )
    try:
        transform.check(Signature.of(given))
    except ThalwegError:
        return  # It takes no other units.
    transformed, other = (
        transform.apply(each, transform.statistics(each).compute()).compute() for each in (given, larger)
    )
    options = transform.model_dump(mode="json").values()
    for name in names:
        if name not in transformed or name not in other or transformed[name].dtype.kind != "f":
            continue
        was, now = (canonical_units(str(each[name].attrs.get("units", ""))) for each in (given, transformed))
        same, tenfold = (not difference(other[name], transformed[name] * by, tolerance=1e-5) for by in (1, 10))
        if same and bool((transformed[name] != 0).any()):
            ensure(
                not same_units(now, was), f"{name} does not depend on the units of the data, and is in {now!r}; set '1'"
            )
        elif tenfold and not same_units(now, was):
            ensure(now != "1", f"{name} is in the units of the data, {was!r}, and says {now!r}")
            kept = not difference(transformed[name], given[name].compute())
            ensure(not kept or now in options, f"{name} has the values that it had in {was!r}, and says {now!r}")


def _some_units(array: xr.DataArray) -> str:
    units = canonical_units(str(array.attrs.get("units", "")))
    return "m" if units == "1" else units


def _moving(data: xr.Dataset) -> dict[Hashable, xr.DataArray]:
    return {name: each for name, each in data.data_vars.items() if "time" in each.dims}


def gives_the_same_again(transform: Transform, data: xr.Dataset) -> None:
    one, other = (transform.apply(data, transform.statistics(data).compute()).compute() for _ in range(2))
    found = difference(one, other)
    ensure(not found, f"applied twice, {found}; seed what is drawn")


def does_not_look_ahead(transform: Transform, data: xr.Dataset) -> None:
    """With the same statistics, another future leaves the past as it was: else the truth leaks into the inputs."""
    for name, (at, steps, changed, whole) in _with_another_future(transform, data).items():
        early = [int(step) for step in np.flatnonzero(_differs(changed, whole)) if at[step] < steps]
        found = early and difference(changed.isel(time=early), whole.isel(time=early))
        ensure(not found, f"with another future, {name} {found}; what it must know belongs in `statistics`")


def does_not_lag(transform: Transform, data: xr.Dataset) -> None:
    """What changes at a step shows at that step: else the values are shifted against their times."""
    for name, (at, steps, changed, whole) in _with_another_future(transform, data).items():
        late = at[_differs(changed, whole)]
        late = late[late >= steps]
        first = int(late.min()) - steps if len(late) else 0
        ensure(not first, f"what changes at a step shows in {name} {first} steps later; keep values at their times")


def is_undone(transform: Transform, data: xr.Dataset) -> None:
    """If it says how it is undone: an estimate comes back with the values that the data had, a variance with theirs."""
    if not transform.invertible:
        return
    statistics = transform.statistics(data).compute()
    transformed = transform.apply(data, statistics).compute()
    if "time" not in transformed.coords:
        return
    kept = [name for name in _moving(data) if name in transformed and transformed[name].sizes == data[name].sizes]
    kept = [name for name in kept if transformed[name].dtype.kind == "f"]
    valid = transformed["time"].values
    estimate = transformed[kept].rename(time="lead").drop_vars("lead").expand_dims("sample")
    estimate = estimate.assign_coords(valid_time=(("sample", "lead"), valid[None]))
    estimate = estimate.assign({f"{name}_variance": xr.ones_like(estimate[name]) for name in kept})
    back = transform.invert(estimate, statistics)
    more = transform.invert(estimate.assign({name: estimate[name] + 1 for name in kept}), statistics)
    given = data[kept].compute()
    for name in kept:
        dims = ["lead" if dim == "time" else dim for dim in given[name].dims]
        found = given[name].copy(data=back[name].isel(sample=0).transpose(*dims).values)
        wrong = difference(found, given[name], tolerance=1e-5)
        ensure(not wrong, f"undone, {name} {wrong}")
        square = (more[name] - back[name]) ** 2
        found = square.copy(data=back[f"{name}_variance"].transpose(*square.dims).values)
        wrong = difference(found, square, tolerance=1e-3)
        ensure(not wrong, f"undone, {name}_variance {wrong}; it is scaled by the square of what scales {name}")


def an_index_changes_no_field(transform: Transform, data: xr.Dataset) -> None:
    """What an index transform gives is kept without the fields."""
    if not isinstance(transform, IndexTransform):
        return
    made = transform.apply(data, transform.statistics(data).compute())
    try:
        refuse_changed(data, made, by=type(transform).__name__)
    except HandshakeError as error:
        raise AssertionError(f"{error.given}; let it be a Transform") from None


_Future = tuple[Any, int, xr.DataArray, xr.DataArray]


def _with_another_future(transform: Transform, data: xr.Dataset) -> dict[str, _Future]:
    """By field: the step of `data` that each of its times is, the first changed step, and the field with both futures.

    Empty for data without times, and where the axis is another: no step of one is the same step of the other then.
    """
    if "time" not in data.sizes:
        return {}
    statistics = transform.statistics(data).compute()
    steps = data.sizes["time"] // 2
    past = xr.DataArray(np.arange(data.sizes["time"]) < steps, dims="time")
    other = data.assign({name: each.where(past, (each / 2).astype(each.dtype)) for name, each in _moving(data).items()})
    whole, changed = (transform.apply(each, statistics).compute() for each in (data, other))
    if whole.sizes.get("time") != data.sizes["time"]:
        return {}
    times = data.indexes["time"] if "time" in data.indexes else pd.RangeIndex(data.sizes["time"])
    at = np.asarray(times.searchsorted(whole.indexes.get("time", times)))
    return {
        str(name): (at, steps, changed[name].transpose("time", ...), whole[name].transpose("time", ...))
        for name in _moving(data)
        if name in whole and "time" in whole[name].dims
    }


def _differs(one: xr.DataArray, other: xr.DataArray) -> Any:
    """Whether two fields differ, by their first dim."""
    apart = (one.values != other.values) & ~(np.isnan(one.values) & np.isnan(other.values))
    return apart.reshape(len(apart), -1).any(axis=1)


# First whether it changes its argument: the others would be given what it changed.
CHECKS: tuple[Check, ...] = (
    data_are_left_alone,
    stays_lazy,
    statistics_are_small,
    fields_have_units,
    units_follow_the_values,
    gives_the_same_again,
    does_not_look_ahead,
    does_not_lag,
    is_undone,
    an_index_changes_no_field,
)


def check_transform(transform: Transform, data: xr.Dataset | None = None) -> None:
    """All that a transform keeps, tried on `data` along `time`, dask-backed."""
    check_component(transform)
    data = series(transform.needs()) if data is None else data
    for each in CHECKS:
        each(transform, data)
