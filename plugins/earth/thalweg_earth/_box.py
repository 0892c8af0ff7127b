"""Ranges of coordinates: one meaning of edges, and of longitudes, for all parts that take a box."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_SHARE_OF_A_STEP = 1e-3
_ROUNDINGS = 4


def tolerance(values: NDArray[Any]) -> float:
    """How far outside an edge a coordinate still lies on it, in its units; 0 for whole numbers.

    A thousandth of the usual step, and at least four roundings in single precision: 189.99999 is 190.
    """
    if values.dtype.kind != "f" or not np.isfinite(values).any():
        return 0.0
    rounding = _ROUNDINGS * float(np.finfo(np.float32).eps) * float(np.nanmax(np.abs(values)))
    steps = np.abs(np.diff(values.astype(np.float64), axis=-1)) if values.ndim else np.empty(0)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    return max(rounding, _SHARE_OF_A_STEP * float(np.median(steps))) if steps.size else rounding


def between(values: NDArray[Any], low: float, high: float) -> Mask:
    """Which values lie between two numbers, edges included; an infinite edge is open."""
    slack = tolerance(values)
    found: Mask = (values >= low - slack) & (values <= high + slack)
    return found


def between_meridians(longitudes: NDArray[Any], west: float, east: float) -> Mask:
    """Which longitudes lie eastward of `west` and not beyond `east`, around the globe if need be, edges included.

    Both may count from 0 to 360 or from -180 to 180, whatever the longitudes do: [170, -120], [170, 240] and
    [-190, -120] are one. All of them, if `east` is 360 degrees or more beyond `west`. Of a grid whose last meridian is
    its first one again (0 to 360, -180 to 180 with both ends) the first.
    """
    width = 360.0 if east - west >= 360.0 else (east - west) % 360.0
    slack = tolerance(longitudes)
    # Shifted by the tolerance, so that what lies just west of the edge is at its beginning, not 360 degrees beyond.
    found: Mask = (longitudes.astype(np.float64) - west + slack) % 360.0 <= width + 2 * slack
    if found.ndim == 1 and found.size > 1 and abs(abs(float(longitudes[-1]) - float(longitudes[0])) - 360) <= slack:
        # Counted twice it would weigh twice, and lie beside itself where the box goes across it.
        found[-1] &= not found[0]
    return found


def eastward(longitudes: NDArray[Any], west: float, east: float) -> NDArray[np.int64]:
    """Positions of the longitudes between two meridians, from the western one to the eastern one."""
    found = np.flatnonzero(between_meridians(longitudes, west, east))
    away = (longitudes[found].astype(np.float64) - west + tolerance(longitudes)) % 360.0
    order: NDArray[np.int64] = found[np.argsort(away, kind="stable")]
    return order


def within(coordinate: xr.DataArray, first: float, last: float) -> Mask:
    """Which values of a coordinate lie in a range: eastward for longitudes, either way round for latitudes."""
    if is_longitude(coordinate):
        return between_meridians(coordinate.values, first, last)
    low, high = sorted((first, last)) if is_latitude(coordinate) else (first, last)
    return between(coordinate.values, low, high)


def is_longitude(coordinate: xr.DataArray) -> bool:
    """By its CF standard name, its units or its name."""
    return _is(coordinate, "longitude", "degrees_east")


def is_latitude(coordinate: xr.DataArray) -> bool:
    """By its CF standard name, its units or its name."""
    return _is(coordinate, "latitude", "degrees_north")


def _is(coordinate: xr.DataArray, kind: str, units: str) -> bool:
    attrs = coordinate.attrs
    return kind == attrs.get("standard_name") or units == attrs.get("units") or coordinate.name in (kind, kind[:3])


def mean_longitude(values: NDArray[Any], axis: Any = None) -> NDArray[Any]:
    """The mean over `axis` of longitudes that lie together, also across 0 or 180 degrees, as they count themselves."""
    axes = tuple(range(values.ndim)) if axis is None else tuple(np.atleast_1d(axis) % values.ndim)
    first = values[tuple(slice(0, 1) if i in axes else slice(None) for i in range(values.ndim))].astype(np.float64)
    away = (values - first + 180.0) % 360.0 - 180.0
    mean: NDArray[Any] = (first + away).mean(axis=axes)
    start = -180.0 if np.nanmin(values) < 0 else 0.0
    crosses = np.abs(values - first - away).max(axis=axes) > 180.0
    return np.where(crosses, (mean - start) % 360.0 + start, mean)
