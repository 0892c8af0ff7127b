"""What a file declares of its values: fills, packing, limits (CF 1.11, sections 2.5 and 8.1); obeyed, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import xarray as xr
from thalweg.errors import SourceError

from ._times import calendars_known, is_months, months

DEFAULT_FILLS = {
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
}
"""What NetCDF writes where nothing was written; bytes have none, for all of their values are used."""
LIMITS = ("valid_range", "valid_min", "valid_max")
_PACKING = ("scale_factor", "add_offset")
UNWRITTEN = "unwritten"
"""Where the encoding of an integer variable has its default fill, which integers cannot replace by NaN."""


def decoded(raw: xr.Dataset, *, netcdf: bool, decode_times: bool, ignore: Collection[str] = ()) -> xr.Dataset:
    """An undecoded dataset with its values unpacked, its fills NaN and its times decoded, lazily. Raises `ValueError`.

    Default fills of NetCDF count where no `_FillValue` is declared.
    """
    found = {name: _filled(each, netcdf=netcdf, ignore=ignore) for name, each in raw.variables.items()}
    counted: dict[Any, xr.Variable] = {}
    if decode_times:
        found = {name: calendars_known(each) for name, each in found.items()}
        counted = {name: months(each) for name, each in found.items() if is_months(each)}
    data = xr.Dataset({**found, **counted}, attrs=raw.attrs).set_coords(list(raw.coords))
    data.encoding = raw.encoding
    with warnings.catch_warnings():
        # Several fills are several ways to be missing.
        warnings.filterwarnings("ignore", "variable .* has (non-conforming|multiple fill)", xr.SerializationWarning)
        whole = xr.decode_cf(data, decode_times=decode_times, decode_coords=True)
    whole.set_close(raw.close)
    return whole


def _filled(variable: xr.Variable, *, netcdf: bool, ignore: Collection[str]) -> xr.Variable:
    """With the `_FillValue` that it means to have, for xarray to obey."""
    if variable.dtype.kind not in "iuf" or not variable.ndim:
        return variable
    attrs, encoding = dict(variable.attrs), dict(variable.encoding)
    for name in ("_FillValue", "missing_value", *LIMITS):
        if name in ignore:
            attrs.pop(name, None)
    for name in ("_FillValue", "missing_value"):
        if isinstance(attrs.get(name), str):
            # xarray leaves a text where it is, and every value with it. float() raises what text it cannot read.
            attrs[name] = variable.dtype.type(float(attrs[name]))
    kind = variable.dtype.newbyteorder("=").str[1:]
    if netcdf and kind in DEFAULT_FILLS and "_FillValue" not in attrs and "_FillValue" not in ignore:
        fill = variable.dtype.type(DEFAULT_FILLS[kind])
        if variable.dtype.kind == "f" or any(name in attrs for name in (*_PACKING, "missing_value")):
            attrs["_FillValue"] = fill
        else:
            encoding[UNWRITTEN] = int(fill)
    changed = variable.copy(deep=False)
    changed.attrs, changed.encoding = attrs, encoding
    return changed


def limits(array: xr.DataArray, source: str) -> tuple[float, float] | None:
    """The least and the largest valid value, unpacked; infinite where one is not declared. Raises `SourceError`."""
    attrs = array.attrs
    given = attrs.get("valid_range", (attrs.get("valid_min"), attrs.get("valid_max")))
    ends = np.ravel(np.asarray(given, dtype=object)).tolist()
    if ends == [None, None]:
        return None
    if len(ends) != 2 or any(isinstance(each, str | bytes) for each in ends):
        raise SourceError(
            f"{array.name!r} of {source} declares the limits {given!r}",
            allowed="numbers: valid_min and valid_max, or two in valid_range",
            advice="mend the file, or set `ignore: [valid_range, valid_min, valid_max]`",
        )
    low, high = (None if each is None else _unpacked(each, array) for each in ends)
    # A negative scale turns the two round.
    if low is not None and high is not None:
        return min(low, high), max(low, high)
    if _packing(array)[0] < 0:
        low, high = high, low
    return -np.inf if low is None else low, np.inf if high is None else high


def _packing(array: xr.DataArray) -> tuple[float, float]:
    scale, offset = (array.encoding.get(name, default) for name, default in zip(_PACKING, (1.0, 0.0), strict=True))
    return float(np.asarray(scale).item()), float(np.asarray(offset).item())


def _is_packed(array: xr.DataArray) -> bool:
    return any(name in array.encoding for name in _PACKING)


def _unpacked(limit: float, array: xr.DataArray) -> float:
    """Limits are those of the packed numbers, but for fractions where these are integers (NUG, appendix A)."""
    kind = np.dtype(array.encoding.get("dtype", array.dtype))
    if isinstance(limit, int) and kind.kind == "i" and str(array.encoding.get("_Unsigned", "")).lower() == "true":
        limit %= 1 << (8 * kind.itemsize)
    if not _is_packed(array) or (kind.kind in "iu" and isinstance(limit, float)):
        return float(limit)
    scale, offset = _packing(array)
    return float(limit) * scale + offset


def obeyed(array: xr.DataArray, source: str, *, missing_values: Iterable[float] = ()) -> xr.DataArray:
    """With NaN for what lies outside the declared limits, and for `missing_values`; integers become floats for it.

    Values and limits are compared as they are packed: within half a step. Raises `SourceError`.
    """
    bounds, fills = limits(array, source), tuple(missing_values)
    if array.dtype.kind in "iu":
        kind = np.iinfo(array.dtype)
        spare = bounds is None or (bounds[0] <= kind.min and bounds[1] >= kind.max)
        if spare and not fills:
            return array
    elif array.dtype.kind != "f" or (bounds is None and not fills):
        return array
    slack = abs(_packing(array)[0]) / 2 if _is_packed(array) else 0.0
    found = array
    if array.dtype.kind in "iu":
        found = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    number = found.dtype.type
    if bounds is not None:
        found = found.where((found >= number(bounds[0] - slack)) & (found <= number(bounds[1] + slack)))
    for fill in fills:
        found = found.where(abs(found - number(fill)) > number(slack))
    found.attrs = dict(array.attrs)
    found.encoding = dict(array.encoding)
    return found
