"""Where the cells of a NetCDF field lie: axes by CF's names, a grid mapping, or a projection in an attribute."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr
from thalweg import SourceError

from .._projection import crs_of, projection
from ._hdf5 import plain
from ._header import Doubles

_BY_STANDARD_NAME = {
    "latitude": "latitude",
    "longitude": "longitude",
    "projection_y_coordinate": "y",
    "projection_x_coordinate": "x",
    "projection_y_angular_coordinate": "y",
    "projection_x_angular_coordinate": "x",
}
_BY_NAME = {
    **dict.fromkeys(("lat", "latitude"), "latitude"),
    **dict.fromkeys(("lon", "longitude"), "longitude"),
    **dict.fromkeys(("y", "ny", "yc", "northing"), "y"),
    **dict.fromkeys(("x", "nx", "xc", "easting"), "x"),
}
_METRES = {**dict.fromkeys(("m", "metre", "meter", "metres", "meters"), 1.0)}
_METRES |= dict.fromkeys(("km", "kilometre", "kilometer", "kilometres", "kilometers"), 1000.0)


def is_axis(array: xr.DataArray, dim: str) -> bool:
    """Whether a dim is one of space, though it may be of size 1."""
    return bool(_axis(array, dim))


def located(data: xr.Dataset, array: xr.DataArray, dims: list[str], source: str) -> dict[str, Any]:
    """`y`, `x`, `crs` and, where only they are given, `places`: 2-D latitude and longitude. Raises `SourceError`."""
    axes = [_axis(array, dim) for dim in dims]
    if axes == ["latitude", "longitude"]:
        y, x = (_unpacked(array.coords[dim]) for dim in dims)
        return {"y": y, "x": x, "crs": projection("EPSG:4326", source=source)}
    if axes == ["y", "x"]:
        crs = _crs(data, array, source)
        y, x = (_in_metres(array.coords[dim], crs, source) for dim in dims)
        return {"y": y, "x": x, "crs": crs, "places": None if crs is not None else _places(data, dims)}
    places = _places(data, dims)
    if places is None:
        raise SourceError(
            f"{array.name!r} of {source!r} has dims {dims!r} that are not rows and columns of a grid",
            allowed="dims (latitude, longitude), (y, x) in m or km, or fields of latitude and longitude",
            advice="give the dims coordinates with standard names of CF",
        )
    y, x = (np.arange(array.sizes[dim], dtype=np.float64) for dim in dims)
    return {"y": y, "x": x, "crs": None, "places": places}


def _axis(array: xr.DataArray, dim: str) -> str:
    """`y`, `x`, `latitude` or `longitude`; empty for others."""
    if dim not in array.coords:
        return ""
    coordinate = array.coords[dim]
    says = str(coordinate.attrs.get("standard_name", ""))
    return _BY_STANDARD_NAME.get(says) or _BY_NAME.get(dim.lower(), "")


def _places(data: xr.Dataset, dims: list[str]) -> tuple[Any, Any] | None:
    found = {}
    for name, each in data.variables.items():
        kind = _BY_STANDARD_NAME.get(str(each.attrs.get("standard_name", ""))) or _BY_NAME.get(str(name).lower())
        if list(each.dims) == dims and kind in ("latitude", "longitude"):
            found[kind] = _unpacked(data[name]).astype(np.float32)
    return (found["latitude"], found["longitude"]) if len(found) == 2 else None


def _crs(data: xr.Dataset, array: xr.DataArray, source: str) -> str | None:
    """Of the grid mapping that the variable names, or of an attribute that holds a projection."""
    named = str(array.attrs.get("grid_mapping", "")).split(":")[0].strip()
    mapping = data.variables.get(named)
    attrs = {} if mapping is None else {str(key): plain(value) for key, value in mapping.attrs.items()}
    for key in ("crs_wkt", "spatial_ref"):
        if str(attrs.get(key, "")).strip():
            return projection(str(attrs[key]), source=source)
    if "grid_mapping_name" in attrs:
        return projection(attrs, source=source)
    for value in (*attrs.values(), *array.attrs.values(), *data.attrs.values()):
        text = str(value)
        # A definition with `+cfac` counts lines of a satellite's scan, and PROJ's plane is not its plane.
        if ("+proj=" in text and "+cfac" not in text) or re.match(r"\s*(?:PROJC(?:R?S)\[|EPSG:\d)", text):
            return projection(text, source=source)
    return None


def _unpacked(coordinate: xr.DataArray) -> Doubles:
    gain = float(plain(coordinate.attrs.get("scale_factor", 1.0)))
    offset = float(plain(coordinate.attrs.get("add_offset", 0.0)))
    values = coordinate.values.astype(np.float64)
    fill = coordinate.attrs.get("_FillValue")
    if fill is not None and coordinate.ndim > 1:
        values[coordinate.values == plain(fill)] = np.nan
    return values * gain + offset


def _in_metres(coordinate: xr.DataArray, crs: str | None, source: str) -> Doubles:
    values = _unpacked(coordinate)
    units = str(coordinate.attrs.get("units", "m")).strip()
    operation = None if crs is None else crs_of(crs).coordinate_operation
    if units in ("rad", "radian", "radians") and operation is not None:
        # Scan angles of a satellite; PROJ's plane is at its height.
        for each in operation.params:
            if "height" in each.name.lower():
                return values * float(each.value)
    if units not in _METRES:
        raise SourceError(
            f"{coordinate.name!r} of {source!r} is in {units!r}",
            allowed="m, km, or rad of a geostationary projection",
            advice="correct the units of the coordinate",
        )
    return values * _METRES[units]
