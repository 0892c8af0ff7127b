"""One shape for all gridded sources: CF names and units, float32, whole fields in chunks along time."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from math import prod
from typing import Any, Literal

import numpy as np
import xarray as xr
from thalweg import HandshakeError, SourceError, quantities

from .._dates import is_time
from ._declared import LIMITS, UNWRITTEN, limits, obeyed
from ._times import valid_times

CHUNK = 8 << 20
"""Bytes of a chunk, about; a series of up to twice that stays whole."""

NAMED = "named"
"""Where the encoding of a variable has its name in the source, which says what it is; the recipe's name does not."""

_HELD: ContextVar[list[str] | None] = ContextVar("_HELD", default=None)
"""What `say` was told of a source that is not yet accepted."""

Missing = Literal["allow", "refuse", "zero"]

_AXES = {"lat": "latitude", "lon": "longitude", "nav_lat": "latitude", "nav_lon": "longitude", "valid_time": "time"}
_DATES = ("t", "date", "dates", "datetime", "day", "month", "times", "time_counter")
"""What an axis of dates is called, too."""
_ATTRS: dict[str, dict[str, Any]] = {
    "latitude": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
    "time": {"standard_name": "time", "axis": "T"},
}


def name_axes(data: xr.Dataset, *, along: str = "", source: str = "the source") -> xr.Dataset:
    """`time`, `latitude` and `longitude` by these names, angles in degrees, times those at which a field is valid.

    Other dims of size 1 (a level) and text labels are dropped; a scalar `along` becomes a dim. Raises `SourceError`
    for a latitude or longitude in units that it cannot have.
    """
    data = valid_times(data, source)
    found = {name: _AXES.get(str(name).lower(), str(name).lower()) for name in (*data.dims, *data.coords)}
    for name, coordinate in data.coords.items():
        known = found[name] in _ATTRS
        kind = coordinate.attrs.get("standard_name") or ("" if known else _axis_of(coordinate))
        if kind in _ATTRS and coordinate.dims in ((name,), ()):
            found[name] = kind
    names = {old: new for old, new in found.items() if new in _ATTRS and old != new and new not in data.variables}
    data = data.rename({old: new for old, new in names.items() if list(names.values()).count(new) == 1})
    if along and along not in data.dims and along in data.coords:
        data = data.expand_dims(along)
    single = [dim for dim, size in data.sizes.items() if size == 1 and dim not in _ATTRS and dim != along]
    data = data.squeeze(single, drop=True)
    if "time" in data.indexes and data["time"].dtype.kind in "UST":
        raise SourceError(
            f"'time' of {source} holds text, such as {str(quantities.texts(data['time'].values)[:1].tolist())[1:-1]}",
            allowed="numbers with units such as 'days since 2001-01-01'",
            advice="write the times as such numbers, or `rename` the coordinate if it holds labels",
        )
    # zarr has no agreed form for text, and scalar labels say nothing about the fields.
    useless = [name for name, each in data.coords.items() if each.dtype.kind in "UST" or (each.ndim == 0)]
    data = data.drop_vars(useless)
    _refuse_unsaid_radians(data, source)
    for name, attrs in _ATTRS.items():
        if name in data.coords:
            kept = {key: each for key, each in data[name].attrs.items() if key in ("long_name", "calendar")}
            if name != "time":
                data = data.assign_coords({name: _degrees(data[name], source)})
            data[name].attrs = {**plain(kept), **attrs}
    return data


def _axis_of(coordinate: xr.DataArray) -> str:
    """Which axis a dim is by its units: degrees that point somewhere, or dates."""
    named = str(coordinate.name).lower() in _DATES or str(coordinate.attrs.get("axis", "")).upper() == "T"
    if coordinate.ndim == 1 and named and is_time(coordinate):
        return "time"
    for kind in ("latitude", "longitude"):
        if quantities.points_to(coordinate.attrs.get("units"), kind):
            return kind
    return ""


def _degrees(coordinate: xr.DataArray, source: str) -> xr.DataArray:
    """In degrees north or east; as it is where it has them already."""
    kind: Any = str(coordinate.name)
    if coordinate.dtype.kind not in "iuf":
        raise SourceError(f"{kind!r} of {source} holds {coordinate.dtype}", allowed="numbers", advice="rename it")
    try:
        found = quantities.in_degrees(coordinate, kind)
    except HandshakeError as error:
        raise SourceError(
            f"{error.given} in {source}", allowed=error.allowed, advice="mend the file, or `rename` what is no angle"
        ) from error
    if coordinate.dims == (coordinate.name,) and bool(found.isnull().any()):
        raise SourceError(
            f"{kind!r} of {source} is missing for some rows", allowed="a value for each", advice="mend the file"
        )
    same = np.array_equal(found.values, coordinate.values, equal_nan=True)
    # What was radians lies beside whole degrees by rounding.
    digits = 5 if coordinate.dtype.itemsize < 8 else 10
    return coordinate if same else found.copy(data=np.round(found.values, digits))


def _refuse_unsaid_radians(data: xr.Dataset, source: str) -> None:
    """Raise `SourceError` for a grid without units that closes round the globe if its longitudes are radians."""
    axes = [data[name] for name in ("latitude", "longitude") if name in data.indexes]
    if len(axes) < 2 or any(each.dtype.kind != "f" or str(each.attrs.get("units", "")).strip() for each in axes):
        return
    latitude, longitude = (each.values.astype(np.float64) for each in axes)
    steps = np.diff(longitude)
    if longitude.size < 8 or not np.allclose(steps, steps[0], rtol=1e-2):
        return
    turns = {round(float(abs(steps.mean())) * cells / (2 * np.pi), 3) for cells in (longitude.size, longitude.size - 1)}
    if 1.0 in turns and np.abs(latitude).max() <= np.pi / 2 + 1e-3:
        raise SourceError(
            f"latitude and longitude of {source} declare no units, and go round the globe in radians",
            allowed="`units: radian` or `units: degrees_north` and `degrees_east`",
            advice="declare the units in the file, such as by `ncatted -a units,lat,c,c,radian`",
        )


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


def finished(
    array: xr.DataArray, *, units: str = "", missing: Missing, source: str, missing_values: Sequence[float] = ()
) -> xr.DataArray:
    """A field as float32 (small integers stay what they are), in `units`, its limits obeyed, with plain attributes.

    What lies outside of the declared limits is missing. Where `missing` is refused, reading a chunk that has some
    raises `SourceError`. So does a source in units that cannot be converted; one without units is in `units`.
    """
    attrs = plain(array.attrs)
    bounds = limits(array, source)
    for spent in (*LIMITS, "missing_value", "actual_range", "coordinates", "grid_mapping"):
        attrs.pop(spent, None)
    if array.dtype.kind not in "iufb":
        raise SourceError(
            f"{array.name!r} of {source} holds {array.dtype}", allowed="numbers", advice="choose another variable"
        )
    unwritten = array.encoding.get(UNWRITTEN)
    held = str(attrs.get("units", "") or units or "1")
    line = _line(array, held, units or held, source)
    array = obeyed(array, source, missing_values=missing_values)
    if line != (1.0, 0.0):
        attrs["source_units"] = held
        bounds = bounds and (bounds[0] * line[0] + line[1], bounds[1] * line[0] + line[1])
        array = array.astype(np.float64) * line[0] + line[1]
    attrs["units"] = quantities.canonical_units(units or held)
    if bounds is not None and np.isfinite(bounds).all():
        attrs["valid_range"] = sorted(bounds)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if missing == "refuse":
            array = _without_missing(array, source)
        else:
            array = array.where(np.isfinite(array), np.float32(0 if missing == "zero" else np.nan))
    elif unwritten is not None:
        array = _written(array, unwritten, missing, source)
    array = array.drop_encoding()
    array.attrs = attrs
    return array


def _line(array: xr.DataArray, held: str, wanted: str, source: str) -> tuple[float, float]:
    """Scale and offset from the units that the source declares. Raises `SourceError` where there are none."""
    if quantities.explained(held):
        say(f"{array.name!r} of {alike(source)}: {quantities.explained(held)}")
    if quantities.same_units(held, wanted):
        return 1.0, 0.0
    found = quantities.conversion(
        held, wanted, difference=quantities.is_difference(array.rename(array.encoding.get(NAMED, array.name)))
    )
    if found is None:
        raise SourceError(
            f"{array.name!r} of {source} has units {held!r}, not {wanted!r}",
            allowed=f"units that {quantities.canonical_units(held)!r} can be converted to"
            + (", which a density would need" if "kg" in held or "kg" in wanted else ""),
            advice=f"declare the units that it has, and convert {array.name!r} with `rescale`",
        )
    how = f"times {found[0]:g}" + (f" plus {found[1]:g}" if found[1] else "")
    say(f"{array.name!r} of {alike(source)} is converted from {held!r} to {wanted!r}: {how}")
    return found


def alike(source: str) -> str:
    """A name for all files of a series: their numbers are left out, so that one word serves them all."""
    folder, _, name = source.rpartition("/")
    return "/".join(filter(None, (folder, re.sub(r"\d+", "*", name))))


def say(text: str) -> None:
    """A word to the reader of a plan, once; inside `said_if_accepted` at its end."""
    held = _HELD.get()
    _log(text) if held is None else held.append(text)


@contextmanager
def said_if_accepted() -> Iterator[None]:
    """Hold back what `say` is told until a source is accepted: of one that is refused, the refusal is all."""
    held: list[str] = []
    token = _HELD.set(held)
    try:
        yield
    finally:
        _HELD.reset(token)
    for text in held:
        say(text)


@lru_cache(maxsize=256)
def _log(text: str) -> None:
    logging.getLogger("thalweg.sources").warning(text)


def _written(array: xr.DataArray, fill: int, missing: Missing, source: str) -> xr.DataArray:
    """Integers where NetCDF's default fill says that nothing was written."""
    if missing == "zero":
        return array.where(array != fill, array.dtype.type(0))
    if missing == "allow":
        return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64).where(array != fill)
    return _without_missing(array, source, fill)


def first_of(array: xr.DataArray) -> xr.DataArray:
    """The first field along the first dim."""
    return array.isel({array.dims[0]: slice(0, 1)}) if array.ndim else array


def refuse_missing_at_first(array: xr.DataArray, source: str, *, missing_values: Sequence[float] = ()) -> None:
    """Raise `SourceError` if the first field along the first dim is not whole: what is cheap to know before a run."""
    if array.dtype.kind in "iuf" and array.ndim:
        first = obeyed(first_of(array), source, missing_values=missing_values)
        _refuse(first.values, str(array.name), tuple(map(str, array.dims)), source, array.encoding.get(UNWRITTEN))


def say_if_emptied_at_first(array: xr.DataArray, source: str) -> None:
    """Say so if all of the first field lies outside of the declared limits, which some sources declare wrongly."""
    bounds = limits(array, source)
    if array.dtype.kind != "f" or bounds is None:
        return
    first = first_of(array).compute()
    if bool(first.notnull().any()) and not bool(obeyed(first, source).notnull().any()):
        say(
            f"{array.name!r} of {alike(source)}: every value of the first field ({float(first.min()):g} .. "
            f"{float(first.max()):g}) lies outside of the limits that the source declares ({bounds[0]:g} .. "
            f"{bounds[1]:g}) and is missing; set `ignore: [valid_range, valid_min, valid_max]` if they are wrong"
        )


def _without_missing(array: xr.DataArray, source: str, fill: int | None = None) -> xr.DataArray:
    dims = tuple(map(str, array.dims))
    if array.chunks is None:
        return array.copy(data=_refuse(array.values, str(array.name), dims, source, fill))
    meta = np.empty((0,) * array.ndim, array.dtype)
    checked = array.data.map_blocks(_refuse, str(array.name), dims, source, fill, dtype=array.dtype, meta=meta)
    return array.copy(data=checked)


def _refuse(block: Any, name: str, dims: tuple[str, ...], source: str, fill: int | None, block_info: Any = None) -> Any:
    wrong = ~np.isfinite(block) if fill is None or block.dtype.kind == "f" else block == fill
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
        found = data[name]
        found.encoding = {**found.encoding, NAMED: name}
        return found
    if not data.data_vars:
        raise SourceError(
            f"{source} holds no variable {name!r}, nor another",
            allowed="a file with fields, or the group of it that holds them",
            advice="name the group in `group`, or check the path",
        )
    raise SourceError(
        f"{source} holds no variable {name!r}",
        allowed=", ".join(f"{key} ({', '.join(map(str, each.dims))})" for key, each in data.data_vars.items()),
        advice="name one of these",
    )
