"""Times as files give them: calendars of other names, months since a date, and axes that are out of order."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import xarray as xr
from thalweg import SourceError

from .._dates import is_time

_SINCE = re.compile(r"\s*(month|year)s?\s+since\s+(.+?)\s*", re.IGNORECASE)
_CALENDARS = {"360": "360_day", "365": "365_day", "366": "366_day", "none": "standard", "": "standard"}
"""Names that the data library of IRI and old models give."""
_REAL = ("standard", "gregorian", "proleptic_gregorian")


def calendars_known(variable: xr.Variable) -> xr.Variable:
    """With the name that CF has for its calendar."""
    calendar = str(variable.attrs.get("calendar", "standard")).lower()
    if "calendar" not in variable.attrs or calendar not in _CALENDARS:
        return variable
    changed = variable.copy(deep=False)
    changed.attrs = {**variable.attrs, "calendar": _CALENDARS[calendar]}
    return changed


def is_months(variable: xr.Variable) -> bool:
    """Whether it counts months or years since a date."""
    return variable.dtype.kind in "iuf" and bool(_SINCE.fullmatch(str(variable.attrs.get("units", ""))))


def months(variable: xr.Variable) -> xr.Variable:
    """Dates of months or years since a date: whole months of the calendar, and parts of the month that they begin.

    Half a month since 1960-01-01 is the middle of January 1960. UDUNITS would count months of 30.4 days. Raises
    `ValueError` for a day that a month does not have, and for a time that is missing.
    """
    import cftime

    found = _SINCE.fullmatch(str(variable.attrs["units"]))
    assert found is not None
    calendar = str(variable.attrs.get("calendar", "standard"))
    since = found[2] + {0: "-01-01", 1: "-01"}.get(found[2].count("-"), "") if found[2][-1:].isdigit() else found[2]
    start = cftime.num2date(0, f"days since {since}", calendar)
    numbers = np.asarray(variable.values, dtype=np.float64)
    if variable.dtype == np.float32:
        # Of 719 months single precision has four decimals: what is meant is 718.5, not 718.50001.
        numbers = numbers.round(3)
    numbers = numbers * (12 if found[1].lower() == "year" else 1)
    if not np.isfinite(numbers).all():
        raise ValueError("a time is missing")
    return _dated(variable, [_later(start, float(number)) for number in numbers.ravel()], calendar)


def is_absolute(variable: xr.Variable) -> bool:
    """Whether it writes dates as numbers, as CDO does: 20010131.5 in `day as %Y%m%d.%f`; others say YYYYMMDD."""
    return variable.dtype.kind in "iuf" and _digits(variable) is not None


def absolute(variable: xr.Variable) -> xr.Variable:
    """Dates that are written as numbers; a fraction is one of the day or month. Raises `ValueError`."""
    import cftime

    calendar = str(variable.attrs.get("calendar", "standard"))
    digits = _digits(variable) or 0
    numbers = np.asarray(variable.values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a time is missing")
    dates = []
    for number in numbers.ravel().tolist():
        # Eight digits leave seconds to a fraction in double precision.
        whole, part = divmod(round(number, 6), 1.0)
        year, rest = divmod(int(whole), 10**digits)
        month, day = divmod(rest, 100) if digits == 4 else (rest, 1)
        first = cftime.datetime(year, month if digits else 1, day, calendar=calendar)
        if digits == 4:
            dates.append(first + datetime.timedelta(seconds=round(part * 86400)))
        else:
            dates.append(_later(first, part * (1 if digits else 12)))
    return _dated(variable, dates, calendar)


def _digits(variable: xr.Variable) -> int | None:
    """How many digits follow the year; None if it does not write dates as numbers."""
    units = str(variable.attrs.get("units", "")).strip()
    return _ABSOLUTE.get(units, _ABSOLUTE.get(units.lower()))


_ABSOLUTE = {"day as %Y%m%d.%f": 4, "month as %Y%m.%f": 2, "year as %Y.%f": 0}
_ABSOLUTE |= {**dict.fromkeys(("yyyymmdd", "%Y%m%d"), 4), **dict.fromkeys(("yyyymm", "%Y%m"), 2)}


def _dated(variable: xr.Variable, dates: list[Any], calendar: str) -> xr.Variable:
    """With dates instead of its numbers: numpy's in a calendar of the real world, else cftime's."""
    if calendar in _REAL:
        near = all(1678 <= each.year < 2262 for each in dates)
        unit = "ns" if near else "us"
        values: Any = np.array([np.datetime64(each.isoformat(), "us") for each in dates], dtype=f"datetime64[{unit}]")
    else:
        values = np.empty(len(dates), dtype=object)
        values[:] = dates
    attrs = {name: each for name, each in variable.attrs.items() if name not in ("units", "calendar", "_FillValue")}
    return xr.Variable(variable.dims, values.reshape(variable.shape), attrs)


def _later(start: Any, number: float) -> Any:
    whole = int(np.floor(number))

    def first(months: int) -> Any:
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        return start.replace(year=year, month=month + 1)

    begin = first(whole)
    length = (first(whole + 1) - begin).total_seconds()
    return begin + datetime.timedelta(seconds=round((number - whole) * length))


def in_order(data: xr.Dataset, dim: str, *, source: str) -> xr.Dataset:
    """With its steps rising along `dim`. Raises `SourceError` for a time that is missing or there twice."""
    if dim not in data.coords or (data.sizes.get(dim, 0) < 2 and not is_time(data[dim])):
        return data
    axis = data.indexes.get(dim)
    if axis is None:
        return data
    if bool(axis.isna().any()):
        raise SourceError(
            f"{dim!r} of {source} is missing at position {int(np.flatnonzero(axis.isna())[0])}",
            allowed="a time for every step",
            advice="mend or select the source, or open it with `decode_times: false`",
        )
    if not axis.is_unique:
        twice = axis[axis.duplicated()][0]
        raise SourceError(
            f"{dim!r} of {source} has {str(twice)[:19]} twice",
            allowed="each time once",
            advice="take one of the two out: choose files by `path`, or messages by `filter_by_keys`",
        )
    if axis.is_monotonic_increasing:
        return data
    if axis.is_monotonic_decreasing:
        return data.isel({dim: slice(None, None, -1)})
    return data.isel({dim: np.argsort(axis.values, kind="stable")})


def valid_times(data: xr.Dataset, url: str, *, there: xr.DataArray | None = None) -> xr.Dataset:
    """With the time at which a field is valid as `time`, whatever the reference time and the step were.

    Where these are two dims, `there` may say which pairs of them the source has; the others are left out.
    """
    if "valid_time" not in data.variables or not is_time(data["valid_time"]):
        return data
    valid = data["valid_time"]
    if valid.ndim == 0:
        return _without(data, "time", "step").rename(valid_time="time")
    if valid.ndim == 1:
        dim = str(valid.dims[0])
        times = ("time", valid.values, {"standard_name": "time"})
        rest = _without(data, "time", "step", "valid_time", dim)
        return (rest.rename({dim: "time"}) if dim != "time" else rest).assign_coords(time=times)
    values = valid.values.ravel()
    kept = np.arange(values.size) if there is None else np.flatnonzero(there.transpose(*valid.dims).values)
    if len(np.unique(values[kept])) < kept.size:
        raise SourceError(
            f"{url!r} holds several forecasts of one time: reference times and steps that overlap",
            allowed="each valid time once",
            advice="choose steps by `filter_by_keys: {endStep: 6}` or {dataTime: 0}, or by a file of one step",
        )
    dims = tuple(map(str, valid.dims))
    flat = (
        _without(data, "time", "step", "valid_time", *dims)
        .chunk(dict.fromkeys(dims, 1))
        .stack(together=dims, create_index=False)
    )
    order = kept[np.argsort(values[kept], kind="stable")]
    times = ("time", values[order], {"standard_name": "time"})
    together = flat.isel(together=order).rename(together="time").assign_coords(time=times)
    return together.transpose("time", ...)


def _without(data: xr.Dataset, *names: str) -> xr.Dataset:
    return data.drop_vars([name for name in names if name in data.variables])
