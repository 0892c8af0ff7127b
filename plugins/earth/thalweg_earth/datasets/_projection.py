"""Map projections, through PROJ: what a file says of its grid, as x and y in metres, latitude and longitude.

A projection is kept as text, which any process can read; PROJ's object for it is made where it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import SourceError

from ._libraries import own_symbols

if TYPE_CHECKING:
    from pyproj import CRS

Doubles = NDArray[np.float64]

_BLOCK = 1 << 20
"""Cells, about, of one block of geographic coordinates."""

_GEOGRAPHIC: dict[str, dict[str, Any]] = {
    "latitude": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"},
}
_PLANE: dict[str, dict[str, Any]] = {
    "y": {"standard_name": "projection_y_coordinate", "long_name": "northing", "units": "m", "axis": "Y"},
    "x": {"standard_name": "projection_x_coordinate", "long_name": "easting", "units": "m", "axis": "X"},
}


def projection(definition: str | Mapping[str, Any], *, source: str) -> str:
    """A PROJ string, WKT, an EPSG code or a CF grid mapping as text that PROJ can read. Raises `SourceError`.

    Earth axes in km (KNMI writes `+a=6378.137`) become metres, and so does the plane.
    """
    text = _in_metres(definition) if isinstance(definition, str) else json.dumps(dict(definition), sort_keys=True)
    try:
        crs = crs_of(text)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise SourceError(
            f"{source!r} has a projection that PROJ cannot read: {definition!r}",
            allowed="a PROJ string, WKT, an EPSG code or a grid mapping of CF",
            advice="correct it in the file, or ask who wrote it",
        ) from error
    if crs.is_derived and crs.is_geographic:
        raise SourceError(
            f"{source!r} has a grid with a rotated pole: {definition!r}",
            allowed="a map projection, or latitudes and longitudes",
            advice="regrid the fields first",
        )
    return text


def _in_metres(text: str) -> str:
    axis = re.search(r"\+(?:a|R)=([\d.eE+]+)", text)
    if axis is None or float(axis[1]) > 1e5:
        return text
    return re.sub(r"\+(a|b|R|h|x_0|y_0)=([-\d.eE+]+)", lambda m: f"+{m[1]}={float(m[2]) * 1000!r}", text)


# PROJ takes a second for a grid mapping with a datum of its own, and all files of a folder have the same one.
@lru_cache(maxsize=32)
def crs_of(text: str) -> CRS:
    """PROJ's object for a projection."""
    with own_symbols():
        import pyproj
    return pyproj.CRS.from_cf(json.loads(text)) if text.startswith("{") else pyproj.CRS(text)


def is_geographic(text: str | None) -> bool:
    """Whether the grid is one of latitudes and longitudes."""
    return text is not None and bool(crs_of(text).is_geographic)


def metres(text: str) -> float:
    """Metres in one unit of the projection's plane; 1 for degrees."""
    return 1.0 if is_geographic(text) else float(crs_of(text).axis_info[0].unit_conversion_factor)


def project(text: str, longitude: Any, latitude: Any) -> tuple[Doubles, Doubles]:
    """x and y in metres of points given in degrees; of a geographic grid, longitude and latitude themselves."""
    if is_geographic(text):
        return np.asarray(longitude, np.float64), np.asarray(latitude, np.float64)
    x, y = _transformer("OGC:CRS84", text).transform(longitude, latitude)
    return np.asarray(x) * metres(text), np.asarray(y) * metres(text)


def unproject(text: str, x: Doubles, y: Doubles) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latitude and longitude `(y, x)` in degrees of a grid in metres; NaN off the Earth's disk."""
    plane = np.meshgrid(x / metres(text), y / metres(text))
    longitude, latitude = _transformer(text, "OGC:CRS84").transform(*plane)
    seen = np.isfinite(longitude) & np.isfinite(latitude)
    return (
        np.where(seen, latitude, np.nan).astype(np.float32),
        np.where(seen, longitude, np.nan).astype(np.float32),
    )


def _transformer(given: str, wanted: str) -> Any:
    first, second = crs_of(given), crs_of(wanted)
    import pyproj

    return pyproj.Transformer.from_crs(first, second, always_xy=True)


def coordinates(
    text: str | None, y: Doubles, x: Doubles, *, places: tuple[Any, ...] | None = None
) -> dict[str, xr.Variable]:
    """The coordinates of a grid: `latitude` and `longitude`, or `y` and `x` in m with those two as `(y, x)`.

    The two are computed when they are read. Without a projection they are those given in `places`, if any, and x
    and y then count the cells.
    """
    if is_geographic(text):
        axes = {"latitude": (y, "Y"), "longitude": (x, "X")}
        return {
            name: xr.Variable(name, values, {**_GEOGRAPHIC[name], "axis": axis})
            for name, (values, axis) in axes.items()
        }
    plane = {name: xr.Variable(name, values, _PLANE[name]) for name, values in (("y", y), ("x", x))}
    if text is not None:
        return plane | _places(text, y, x)
    if places is None:
        return plane
    cells = {
        name: xr.Variable(name, each.values, {"units": "1", "axis": each.attrs["axis"]}) for name, each in plane.items()
    }
    return cells | {
        name: xr.Variable(("y", "x"), values, _GEOGRAPHIC[name])
        for name, values in zip(("latitude", "longitude"), places, strict=True)
    }


def _places(text: str, y: Doubles, x: Doubles) -> dict[str, xr.Variable]:
    import dask.array as da
    from dask.delayed import delayed

    rows = max(1, _BLOCK // max(1, x.size))
    blocks = [
        (part.size, delayed(unproject, pure=True, nout=2)(text, x, part))
        for part in (y[at : at + rows] for at in range(0, y.size, rows))
    ]
    return {
        name: xr.Variable(
            ("y", "x"),
            da.concatenate([da.from_delayed(both[i], (size, x.size), dtype=np.float32) for size, both in blocks]),
            _GEOGRAPHIC[name],
        )
        for i, name in enumerate(("latitude", "longitude"))
    }
