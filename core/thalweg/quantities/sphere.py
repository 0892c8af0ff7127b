"""Latitudes and longitudes: found in a grid, in degrees whatever their units, and the area that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..errors import HandshakeError
from .units import DEGREES, conversion

if TYPE_CHECKING:
    import xarray as xr

Axis = Literal["latitude", "longitude"]

_NAMES = {"latitude": ("latitude", "lat", "nav_lat"), "longitude": ("longitude", "lon", "nav_lon")}
_WAYS = {"latitude": ("north", "n", "south", "s"), "longitude": ("east", "e", "west", "w")}
_BACKWARD = ("south", "s", "west", "w")
_LARGEST = {"latitude": 90.0, "longitude": 720.0}


def find_axis(data: xr.Dataset | xr.DataArray, axis: Axis) -> xr.DataArray | None:
    """The latitude or the longitude of a grid: by its CF standard name, its name, or the units that only it has."""
    coords: dict[str, xr.DataArray] = {str(name): each for name, each in data.coords.items()}
    for each in coords.values():
        if each.attrs.get("standard_name") == axis:
            return each
    for name, each in coords.items():
        if name.lower() in _NAMES[axis] and each.attrs.get("standard_name") in (None, "", axis):
            return each
    return next((each for each in coords.values() if points_to(each.attrs.get("units"), axis)), None)


def points_to(units: object, axis: Axis) -> bool:
    """Whether units are degrees that only one axis has: `degrees_north`, `degree_E`."""
    return _way(units) in _WAYS[axis]


def in_degrees(coordinate: xr.DataArray, axis: Axis) -> xr.DataArray:
    """Degrees north, or east, as float64, from the units that the coordinate declares; without units, degrees.

    Raises `HandshakeError`: units of something else than an angle (metres of a projection), of the other axis, or
    values that no latitude has.
    """
    units = str(coordinate.attrs.get("units", ""))
    sign, way = 1.0, _way(units)
    if way is None and units.strip():
        known = conversion(units, "degree")
        if known is None or units.strip() in ("1", "-"):
            raise HandshakeError(
                f"{coordinate.name!r} has units {units!r}, which are no angle",
                allowed=f"degrees_{'north' if axis == 'latitude' else 'east'}, degrees, radians",
                advice=f"name the {axis} of the grid, or ask for no weights by area",
            )
        sign = known[0]
    elif way in _BACKWARD:
        sign = -1.0
    if way is not None and way not in (*_WAYS[axis], "", "true", "t"):
        raise HandshakeError(
            f"{coordinate.name!r} has units {units!r}, which are not of a {axis}",
            allowed=f"degrees_{'north' if axis == 'latitude' else 'east'}, degrees, radians",
            advice="look at which axis is which, and rename the two",
        )
    degrees: xr.DataArray = coordinate.astype("float64") * sign
    largest = float(abs(degrees).max()) if degrees.size else 0.0
    if largest > _LARGEST[axis] + 1e-3:
        raise HandshakeError(
            f"{coordinate.name!r} goes to {largest:g} degrees",
            allowed=f"{axis} of at most {_LARGEST[axis]:g} degrees",
            advice="declare the units that it is in, or rename what is no angle",
        )
    attrs = {**coordinate.attrs, "units": "degrees_north" if axis == "latitude" else "degrees_east"}
    return degrees.assign_attrs(attrs)


def cosine_of_latitude(latitude: xr.DataArray) -> xr.DataArray:
    """What a cell of a regular grid counts for: the cosine of its latitude, in any units; 0 where there is none.

    A curvilinear grid may have no coordinates on land. Raises `HandshakeError` for what is no latitude.
    """
    import numpy as np

    degrees = in_degrees(latitude, "latitude")
    cosine = np.maximum(np.cos(np.deg2rad(degrees.values)), 0.0)
    return degrees.copy(data=np.where(np.isnan(cosine), 0.0, cosine)).drop_attrs()


def _way(units: object) -> str | None:
    """Where degrees point (`north`, or nothing, as text); None for other units."""
    found = DEGREES.fullmatch(" ".join(str(units or "none").split()))
    return None if found is None else (found[1] or "").lower()
