"""One shape for all gridded sources: CF names and units, float32, whole fields in chunks along time."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

import numpy as np
import xarray as xr
from thalweg.errors import SourceError
from thalweg.units import canonical_units

CHUNK = 8 << 20
"""Bytes of a chunk, about; a series of up to twice that stays whole."""

Missing = Literal["allow", "refuse", "zero"]

_AXES = {"lat": "latitude", "lon": "longitude", "nav_lat": "latitude", "nav_lon": "longitude", "valid_time": "time"}
_ATTRS: dict[str, dict[str, Any]] = {
    "latitude": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
    "time": {"standard_name": "time", "axis": "T"},
}


def name_axes(data: xr.Dataset) -> xr.Dataset:
    """`time`, `latitude` and `longitude` by these names; other dims of size 1 (a level) and text labels are dropped."""
    found = {name: _AXES.get(str(name).lower(), str(name).lower()) for name in (*data.dims, *data.coords)}
    for name, coordinate in data.coords.items():
        if coordinate.attrs.get("standard_name") in _ATTRS and coordinate.dims == (name,):
            found[name] = coordinate.attrs["standard_name"]
    names = {old: new for old, new in found.items() if new in _ATTRS and old != new and new not in data.variables}
    data = data.rename(names)
    single = [dim for dim, size in data.sizes.items() if size == 1 and dim not in _ATTRS]
    data = data.squeeze(single, drop=True)
    # zarr has no agreed form for text, and scalar labels say nothing about the fields.
    useless = [name for name, each in data.coords.items() if each.dtype.kind in "US" or (each.ndim == 0)]
    data = data.drop_vars(useless)
    for name, attrs in _ATTRS.items():
        if name in data.coords:
            kept = {key: each for key, each in data[name].attrs.items() if key in ("long_name", "calendar")}
            data[name].attrs = {**plain(kept), **attrs}
    return data


def chunked(data: xr.Dataset, *, along: str | None = None, chunks: Mapping[str, int] | None = None) -> xr.Dataset:
    """Dask-backed: whole fields, cut along one dim (`time`, else the first) into chunks of about 8 MiB.

    Cuts fall on the chunks of the source where it has any.
    """
    dims = [str(dim) for each in data.data_vars.values() for dim in each.dims]
    along = along or ("time" if "time" in dims else dims[0] if dims else None)
    if along is None:
        return data.chunk()
    moving = [each for each in data.data_vars.values() if along in each.dims]
    step = max((prod(each.sizes.values()) // max(1, each.sizes[along]) * _size(each) for each in moving), default=1)
    preferred = max((int(each.encoding.get("preferred_chunks", {}).get(along, 1)) for each in moving), default=1)
    steps = max(1, CHUNK // max(1, step))
    if step * data.sizes[along] <= 2 * CHUNK:
        steps = max(1, data.sizes[along])
    elif preferred <= steps:
        steps -= steps % preferred
    sizes = {dim: -1 for dim in data.dims if dim != along} | {along: steps} | dict(chunks or {})
    return data.chunk({dim: size for dim, size in sizes.items() if dim in data.dims})


def _size(array: xr.DataArray) -> int:
    return 4 if array.dtype.kind == "f" else array.dtype.itemsize


def finished(array: xr.DataArray, *, units: str, missing: Missing, source: str) -> xr.DataArray:
    """A field as float32 (small integers stay what they are), with plain attributes and its missing values dealt with.

    Where `missing` is refused, reading a chunk that has some raises `SourceError`.
    """
    attrs = plain(array.attrs)
    bounds = _bounds(array)
    for spent in (
        "valid_min",
        "valid_max",
        "valid_range",
        "missing_value",
        "actual_range",
        "coordinates",
        "grid_mapping",
    ):
        attrs.pop(spent, None)
    attrs["units"] = canonical_units(units)
    if bounds is not None:
        attrs["valid_range"] = bounds
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if missing == "zero":
            array = array.fillna(np.float32(0))
        elif missing == "refuse":
            array = _without_missing(array, source)
    elif array.dtype.kind not in "iub":
        raise SourceError(
            f"{array.name!r} of {source} holds {array.dtype}",
            allowed="numbers",
            advice="choose another variable",
        )
    array = array.drop_encoding()
    array.attrs = attrs
    return array


def _bounds(array: xr.DataArray) -> list[float] | None:
    given = array.attrs.get("valid_range")
    if given is None and "valid_min" in array.attrs and "valid_max" in array.attrs:
        given = [array.attrs["valid_min"], array.attrs["valid_max"]]
    if given is None:
        return None
    packed, scale = array.encoding.get("dtype"), array.encoding.get("scale_factor", 1.0)
    offset = array.encoding.get("add_offset", 0.0)
    limits = np.asarray(given)
    # CF: limits of the packed type are packed, too.
    if packed is not None and limits.dtype == packed and "scale_factor" in array.encoding:
        limits = limits * float(np.asarray(scale).item()) + float(np.asarray(offset).item())
    return [float(limits[0]), float(limits[1])]


def refuse_missing_at_first(array: xr.DataArray, source: str) -> None:
    """Raise `SourceError` if the first field along the first dim is not whole: what is cheap to know before a run."""
    if array.dtype.kind == "f" and array.ndim:
        first = array.isel({array.dims[0]: slice(0, 1)})
        _refuse(first.values, str(array.name), tuple(map(str, array.dims)), source)


def _without_missing(array: xr.DataArray, source: str) -> xr.DataArray:
    if array.chunks is None:
        return array.copy(data=_refuse(array.values, str(array.name), tuple(map(str, array.dims)), source))
    checked = array.data.map_blocks(
        _refuse,
        str(array.name),
        tuple(map(str, array.dims)),
        source,
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
    )
    return array.copy(data=checked)


def _refuse(block: Any, name: str, dims: tuple[str, ...], source: str, block_info: Any = None) -> Any:
    wrong = ~np.isfinite(block)
    if not wrong.any():
        return block
    corner = [start for start, _ in block_info[0]["array-location"]] if block_info else [0] * block.ndim
    at = np.argwhere(wrong)[0] + corner
    place = ", ".join(f"{dim}={i}" for dim, i in zip(dims, at, strict=True))
    raise SourceError(
        f"{name!r} of {source} is missing (not finite) at {place}",
        allowed="finite values, with `missing: refuse`",
        advice="set `missing: allow` to keep what is missing, or `missing: zero` to fill it with 0",
    )


def plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that a store can hold: numbers, text and lists of them."""
    kept: dict[str, Any] = {}
    for name, value in attrs.items():
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
            value = value.tolist()
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        # A leading underscore marks what a reader left for itself.
        if isinstance(value, str | int | float | list | bool) and not str(name).startswith("_"):
            kept[str(name)] = value
    return kept


def pick(data: xr.Dataset, name: str, source: str) -> xr.DataArray:
    """A variable of a source. Raises `SourceError`, which lists what there is."""
    if name in data.data_vars:
        return data[name]
    raise SourceError(
        f"{source} holds no variable {name!r}",
        allowed=", ".join(f"{key} ({', '.join(map(str, each.dims))})" for key, each in data.data_vars.items()),
        advice="name one of these",
    )
