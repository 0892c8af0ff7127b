"""What a file declares of its values: fills, packing, limits (CF 1.11, sections 2.5 and 8.1); obeyed, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from thalweg import SourceError

from ._times import absolute, calendars_known, is_absolute, is_months, months

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
_FILLS = ("_FillValue", "missing_value")
UNWRITTEN = "unwritten"
"""Where the encoding of an integer variable has its default fill, which integers cannot replace by NaN."""


def decoded(raw: xr.Dataset, *, netcdf: bool, decode_times: bool, ignore: Collection[str] = ()) -> xr.Dataset:
    """An undecoded dataset with its values unpacked, its fills NaN and its times decoded, lazily. Raises `ValueError`.

    Default fills of NetCDF count where no `_FillValue` is declared.
    """
    found = {
        # An axis keeps what says what it is.
        name: _filled(each, netcdf=netcdf, ignore={*ignore} & {*_FILLS, *LIMITS} if each.dims == (name,) else ignore)
        for name, each in raw.variables.items()
    }
    counted: dict[Any, xr.Variable] = {}
    if decode_times:
        found = {name: calendars_known(each) for name, each in found.items()}
        counted = {name: months(each) for name, each in found.items() if is_months(each)}
        counted |= {name: absolute(each) for name, each in found.items() if is_absolute(each)}
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
    for name in ignore:
        attrs.pop(name, None)
    for name in _PACKING:
        if name in attrs:
            attrs[name] = _number(name, attrs[name])
    for name in _FILLS:
        if name in attrs and (fills := _codes(attrs.pop(name), variable.dtype, attrs)):
            held = np.array(fills, variable.dtype)
            if name == "missing_value" and _is_unsigned(attrs, variable.dtype):
                # xarray takes `_FillValue` for an unsigned number by itself.
                held = held.view(f"u{held.itemsize}")
            attrs[name] = held[0] if held.size == 1 else held
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


def _number(name: str, given: Any) -> np.float32 | np.float64:
    """Of the packing: a text is read as the number that it is. Raises `ValueError`."""
    text = given.decode() if isinstance(given, bytes) else given
    value = np.asarray(float(text) if isinstance(text, str) else text).reshape(-1)
    if value.size != 1 or not np.isfinite(value[0]) or (name == "scale_factor" and not value[0]):
        raise ValueError(f"{name} is {given!r}")
    # Single precision is what xarray decodes short integers to, if the packing is.
    return np.float32(value[0]) if value.dtype == np.float32 else np.float64(value[0])


def _codes(given: Any, kind: np.dtype[Any], attrs: Mapping[str, Any]) -> list[int | float]:
    """Values that mean missing, as the variable's own type holds them: xarray takes 1e20 of two precisions for two.

    Of packed integers they are packed numbers; one that no integer of the type is was given unpacked. What no value of
    the type can equal is left out. Raises `ValueError` for text that is no number.
    """
    # A text is left where it is by xarray, and every value with it. float() raises what it cannot read.
    numbers = [float(each) if isinstance(each, str | bytes) else each for each in np.ravel(given).tolist()]
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return list(dict.fromkeys(np.array(numbers, kind).tolist()))
    scale, offset = (float(attrs.get(name, default)) for name, default in zip(_PACKING, (1.0, 0.0), strict=True))
    held = (_code(each, (each - offset) / scale, kind, attrs) for each in numbers)
    return list(dict.fromkeys(each for each in held if each is not None))


def _code(packed: float, unpacked: float, kind: np.dtype[Any], attrs: Mapping[str, Any]) -> int | None:
    """The integer of a type that a number is, as it is or, if that is none, unpacked."""
    span = np.iinfo(kind)
    turn = 1 << span.bits if _is_unsigned(attrs, kind) else 0
    for each, near in ((packed, 0.0), (unpacked, 1e-3)):
        if np.isfinite(each) and abs(each - round(each)) <= near and span.min <= round(each) <= span.max + turn // 2:
            return round(each) - (turn if round(each) > span.max else 0)
    return None


def _is_unsigned(attrs: Mapping[str, Any], kind: np.dtype[Any]) -> bool:
    return kind.kind == "i" and str(attrs.get("_Unsigned", "")).lower() == "true"


def limits(array: xr.DataArray, source: str) -> tuple[float, float] | None:
    """The least and the largest valid value, unpacked; infinite where one is not declared. Raises `SourceError`."""
    attrs = array.attrs
    given = attrs.get("valid_range", (attrs.get("valid_min"), attrs.get("valid_max")))
    # Plain numbers, for their type tells packed limits from unpacked ones; NaN limits nothing.
    ends = [each.item() if isinstance(each, np.generic) else each for each in np.ravel(np.asarray(given, dtype=object))]
    ends = [None if isinstance(each, float) and np.isnan(each) else each for each in ends]
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
    if isinstance(limit, int) and _is_unsigned(array.encoding, kind):
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
