"""Small data to try parts on: waves that travel over a plane or a sphere, cut into windows, dask-backed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..components.context import context_of
from ..components.signature import Field, Signature
from ..samples import Samples, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..components import Law

BATCH = slice(0, 3)
"""The samples that parts are tried on."""

_OUTER = ("sample", "lead", "member", "time", "window", "row")

# The equatorial Pacific, so that climate indices have their boxes.
_LATITUDE = np.arange(-20.0, 21.0, 5.0), {"units": "degrees_north", "axis": "Y", "standard_name": "latitude"}
_LONGITUDE = np.arange(120.0, 291.0, 10.0), {"units": "degrees_east", "axis": "X", "standard_name": "longitude"}

_AXES: dict[str, tuple[Any, dict[str, str]]] = {
    "y": (np.arange(6) * 1e3, {"units": "m", "axis": "Y"}),
    "x": (np.arange(8) * 1e3, {"units": "m", "axis": "X"}),
    "latitude": _LATITUDE,
    "longitude": _LONGITUDE,
    "lat": _LATITUDE,
    "lon": _LONGITUDE,
}


def series(needs: Signature | None = None, *, dims: tuple[str, ...] = ("y", "x"), steps: int = 48) -> xr.Dataset:
    """Months of the fields in `needs` (one `field` if there are none), between 0.1 and 0.9 in their units."""
    fields = (needs.fields if needs else ()) or (Field("field"),)
    months = (np.datetime64("2000-01") + np.arange(steps)).astype("datetime64[ns]")
    data = xr.Dataset(coords={"time": ("time", months, {"axis": "T", "standard_name": "time"})})
    for number, need in enumerate(fields):
        space = tuple(dim for dim in need.dims if dim not in _OUTER) or dims
        axes = {dim: _AXES.get(dim, (np.arange(5.0), {"units": "1"})) for dim in space}
        data = data.assign_coords({dim: (dim, values, attributes) for dim, (values, attributes) in axes.items()})
        phase = -0.4 * np.arange(steps)
        for values, _ in axes.values():
            phase = np.add.outer(phase, (1 + number) * 2 * np.pi * np.arange(len(values)) / len(values))
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, phase.shape)
        values = (0.5 + 0.3 * np.sin(phase) + noise).astype(need.dtype or "float32")
        data[need.name] = (("time", *space), values, {"units": need.units or "1", "long_name": need.name})
    return data.chunk(time=12)


def windowed(data: xr.Dataset, *, inputs: int = 6, targets: int = 4) -> xr.Dataset:
    """`data` with an index of windows of `inputs` and `targets` steps: three quarters to train on, the rest to test."""
    starts = np.arange(0, data.sizes["time"] - inputs - targets + 1)
    split = np.where(np.arange(len(starts)) < 3 * len(starts) // 4, 0, 2)
    rows = np.zeros_like(starts)
    return Windows(dim="time", begin=starts, row=rows, label=split, inputs=inputs, targets=targets).on(data)


def scenes(needs: Signature) -> Iterator[xr.Dataset]:
    """Windowed series over a plane, then over a sphere, with the fields of `needs`."""
    for dims in (("y", "x"), ("latitude", "longitude")):
        yield windowed(series(needs, dims=dims))


def guess(samples: Samples, at: slice) -> xr.Dataset:
    """A wrong estimate: the truth of other samples, roughened."""
    truth = samples.truth(at)
    noise = np.random.default_rng(7)
    made = {
        name: array.copy(data=(array.values[::-1] + noise.normal(scale=0.05, size=array.shape)).astype(array.dtype))
        for name, array in truth.data_vars.items()
    }
    return truth.assign(made)


def known(samples: Samples, *laws: Law) -> xr.Dataset:
    """What laws are told beside the estimate of the batch."""
    truth = samples.truth(BATCH)
    return context_of(samples.inputs(BATCH), Signature.of(truth), truth if any(law.oracle for law in laws) else None)


def difference(one: xr.Dataset | xr.DataArray, other: xr.Dataset | xr.DataArray, *, tolerance: float = 0.0) -> str:
    """How two results differ, in words; empty if they do not, up to `tolerance` of their largest value."""
    if isinstance(one, xr.DataArray) or isinstance(other, xr.DataArray):
        return _difference(one.variable, other.variable, tolerance)
    if set(one.variables) != set(other.variables):
        return f"{sorted(map(str, one.variables))} against {sorted(map(str, other.variables))}"
    for name in one.variables:
        found = _difference(one[name].variable, other[name].variable, tolerance)
        if found:
            return f"{name!r} {found}"
    return ""


def _difference(left: xr.Variable, right: xr.Variable, tolerance: float) -> str:
    if left.dims != right.dims or left.shape != right.shape:
        return f"is {dict(left.sizes)} against {dict(right.sizes)}"
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        return "" if np.array_equal(left.values, right.values) else "differs"
    largest = float(np.abs(right.values[np.isfinite(right.values)]).max(initial=0.0))
    if np.allclose(left.values, right.values, rtol=0.0, atol=tolerance * largest, equal_nan=True):
        return ""
    gap = np.nanmax(np.abs(left.values.astype("float64") - right.values))
    return f"differs by up to {gap:.3g}, where values go up to {largest:.3g}"
