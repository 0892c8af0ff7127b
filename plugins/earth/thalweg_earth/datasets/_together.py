"""Several files as one series: their units, grids and calendars must agree, and no time may be there twice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr
from thalweg import SourceError, quantities

from .._dates import is_time
from ._times import in_order

DECLARED = "declared"
"""The attribute of a part that names the variables whose units its file declares."""
NEAR = 1e-4
"""Degrees by which coordinates of one grid may differ: single precision, or that of packed coordinates."""


def together(parts: Sequence[xr.Dataset], names: Sequence[str], *, along: str) -> xr.Dataset:
    """The fields of all parts along one dim, in the order of its coordinate. Raises `SourceError`."""
    data = end_to_end(parts, names, along=along)
    _once(data, parts, names, along)
    return in_order(data, along, source=f"{names[0]} .. {names[-1]}") if along == "time" else data


def end_to_end(parts: Sequence[xr.Dataset], names: Sequence[str], *, along: str) -> xr.Dataset:
    """The fields of all parts along one dim, one part after another. Raises `SourceError` where they do not agree."""
    first = parts[0]
    for part, name in zip(parts, names, strict=True):
        if along not in part.dims:
            raise SourceError(
                f"{name!r} has no dim {along!r} to put files together along",
                allowed=", ".join(map(str, part.dims)) or "no dims",
                advice="name another in `along`, or, where the file's name tells its time, read it as radar",
            )
    for part, name in zip(parts[1:], names[1:], strict=True):
        _agree(first, part, names[0], name, along)
    _all_declared(parts, names)
    aligned = [_like(part, first, along) for part in parts]
    joined: xr.Dataset = xr.concat(
        aligned,
        along,
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return joined


def _once(data: xr.Dataset, parts: Sequence[xr.Dataset], names: Sequence[str], along: str) -> None:
    """Raise `SourceError`, naming both files, if they hold one step."""
    axis = data.indexes.get(along)
    if axis is None or axis.is_unique:
        return
    owner = np.repeat(np.arange(len(parts)), [part.sizes[along] for part in parts])
    step = axis[axis.duplicated()][0]
    first, second, *_ = (names[number] for number in owner[np.flatnonzero(axis == step)])
    raise SourceError(
        f"{along} {str(step)[:19]} is in {first!r} and in {second!r}" if first != second else f"{first!r} has it twice",
        allowed="each step in one file",
        advice="let `path` name files that do not overlap",
    )


def _agree(first: xr.Dataset, part: xr.Dataset, one: str, other: str, along: str) -> None:
    if set(part.data_vars) != set(first.data_vars):
        raise _other(
            f"{', '.join(map(str, part.data_vars))}",
            one,
            ", ".join(map(str, first.data_vars)),
            other,
            "name the variables that all have in `variables`",
        )
    for name, array in first.data_vars.items():
        held = part[name]
        if set(held.dims) != set(array.dims):
            raise _other(f"dims {held.dims!r} of {name!r}", one, f"{array.dims!r}", other)
        if not quantities.same_units(str(held.attrs["units"]), str(array.attrs["units"])):
            raise _other(
                f"{name!r} in {held.attrs['units']!r}",
                one,
                repr(array.attrs["units"]),
                other,
                f"declare the units that all shall have: `variables: {{{name}: {{units: {array.attrs['units']}}}}}`",
            )
        if held.dtype.kind != array.dtype.kind and {held.dtype.kind, array.dtype.kind} - set("fiu"):
            raise _other(f"{name!r} as {held.dtype}", one, str(array.dtype), other)
        if along not in array.dims and not np.array_equal(held.values, array.values, equal_nan=True):
            raise _other(f"other values of {name!r}, which does not change along {along!r}", one, "those", other)
    for name, coordinate in first.coords.items():
        _same_coordinate(name, coordinate, part, one, other, along)


def _all_declared(parts: Sequence[xr.Dataset], names: Sequence[str]) -> None:
    """Raise `SourceError` for a file without units among such as were converted: it would be taken for converted."""
    for variable in parts[0].data_vars:
        both = list(zip(parts, names, strict=True))
        converted = [name for part, name in both if "source_units" in part[variable].attrs]
        silent = [name for part, name in both if variable not in part.attrs.get(DECLARED, [variable])]
        if converted and silent:
            raise _other(
                f"no units of {variable!r}",
                converted[0],
                "units, which are converted",
                silent[0],
                "declare the units in that file, or read it by a recipe of its own",
            )


def _same_coordinate(
    name: Hashable, coordinate: xr.DataArray, part: xr.Dataset, one: str, other: str, along: str
) -> None:
    if name not in part.coords:
        raise _other(f"no coordinate {name!r}", one, "one", other)
    held = part[name]
    if is_time(coordinate) != is_time(held) or (is_time(held) and _calendar(held) != _calendar(coordinate)):
        raise _other(f"{name!r} in the calendar {_calendar(held)!r}", one, repr(_calendar(coordinate)), other)
    if along in coordinate.dims:
        return
    if held.shape != coordinate.shape:
        raise _other(f"{name!r} of shape {held.shape}", one, str(coordinate.shape), other)
    if held.dtype.kind in "iuf" and coordinate.dtype.kind in "iuf":
        near = NEAR if name in ("latitude", "longitude") else 0.0
        same = np.allclose(held.values, coordinate.values, rtol=1e-6, atol=near, equal_nan=True)
    else:
        same = bool((held.values == coordinate.values).all())
    if not same:
        raise _other(f"another {name!r}", one, _range(coordinate), other, found=_range(held))


def _other(what: str, one: str, allowed: str, other: str, advice: str = "", found: str = "") -> SourceError:
    return SourceError(
        f"{other!r} has {what}{f', {found}' if found else ''}",
        allowed=f"{allowed}, as {one!r} has",
        advice=advice or "let `path` name files of one kind, and read the others by a recipe of their own",
    )


def _range(coordinate: xr.DataArray) -> str:
    values = coordinate.values
    if not values.size or values.dtype.kind not in "iuf":
        return f"{values.size} values"
    ends = values.ravel()[[0, -1]]
    return f"{values.size} values, {ends[0]:g} .. {ends[1]:g}"


def _calendar(coordinate: xr.DataArray) -> str:
    if not is_time(coordinate):
        return "none"
    return str(getattr(coordinate.values.flat[0], "calendar", "standard")) if coordinate.size else "standard"


def _like(part: xr.Dataset, first: xr.Dataset, along: str) -> xr.Dataset:
    """With the dims in the order of the first part, its own coordinates, and floats where some part has them."""
    found = {name: part[name].transpose(*first[name].dims) for name in first.data_vars}
    shared = {name: each for name, each in first.coords.items() if along not in each.dims}
    return xr.Dataset(found, attrs=first.attrs).assign_coords(shared)
