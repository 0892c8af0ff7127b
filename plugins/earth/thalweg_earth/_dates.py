"""Periods with partial dates: 1871, "2015-10" and "2016-06-30" mean the whole year, month and day, in any calendar.

A time is compared as the number YYYYMMDDhhmmss, so that calendars without leap days need no arithmetic.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from thalweg import OptionError

from ._box import between

_DATE = re.compile(r"(\d{1,4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?)(?::(\d\d?)(?::(\d\d?))?)?)?)?)?")
_EARLIEST, _LATEST = (1, 1, 1, 0, 0, 0), (9999, 99, 99, 99, 99, 99)


Bound = int | float | str | None
Period = tuple[Bound, Bound]
"""First and last; None is open."""


class _AsText:
    """Dates as text: YAML reads 2016-06-30 as a date, and 2015-10 as text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_text, handler(source))

    def __repr__(self) -> str:
        return "dates like 1871, 2015-10 or 2016-06-30"


def _as_text(given: Any) -> Any:
    if isinstance(given, dict):
        return {key: _as_text(each) for key, each in given.items()}
    if isinstance(given, list | tuple):
        return [_as_text(each) for each in given]
    return given.isoformat() if isinstance(given, datetime.date) else given


Dates = Annotated[Period | None, _AsText()]
"""The type of an option that is a period."""
Periods = Annotated[Period | dict[str, Period] | None, _AsText()]
"""The type of an option that is a period, or one for each of some names."""
Ranges = Annotated[dict[str, Period], _AsText()]
"""The type of an option that gives periods by coordinate."""


def is_time(coordinate: xr.DataArray) -> bool:
    """Whether it holds dates, of numpy or of cftime."""
    return bool(np.issubdtype(coordinate.dtype, np.datetime64)) or (
        coordinate.dtype == object and coordinate.size > 0 and hasattr(coordinate.values.flat[0], "calendar")
    )


def stamps(times: xr.DataArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """YYYYMMDDhhmmss of each time, to the nearest second: hours as floats miss midnight by microseconds."""
    total = np.zeros(times.shape, dtype=np.int64)
    half = datetime.timedelta(microseconds=500_000)
    times = times.copy(data=times.values + (half if times.dtype == object else np.timedelta64(half)))
    for part in ("year", "month", "day", "hour", "minute", "second"):
        total = total * 100 + getattr(times.dt, part).values.astype(np.int64)
    return total


def earliest(bound: int | float | str) -> int:
    """The stamp at which a partial date begins. Raises `OptionError`."""
    return _stamp(bound, _EARLIEST)


def latest(bound: int | float | str) -> int:
    """A stamp that no time of a partial date exceeds. Raises `OptionError`."""
    return _stamp(bound, _LATEST)


def _stamp(bound: int | float | str, padding: tuple[int, ...]) -> int:
    found = _DATE.fullmatch(str(bound).strip())
    if not found:
        raise OptionError(
            f"{bound!r} is not a date",
            allowed="a year, or YYYY-MM, YYYY-MM-DD, YYYY-MM-DDThh:mm",
            advice="write it like 1871, 2015-10 or 2016-06-30",
        )
    total = 0
    for given, pad in zip(found.groups(), padding, strict=True):
        total = total * 100 + (pad if given is None else int(given))
    return total


def interval(period: Period, *, dates: bool, instants: bool = False) -> tuple[float, float]:
    """The ends of a period as numbers that compare: stamps if `dates`; an end that is open is infinite.

    With `instants` a date is the moment at which it begins, at either end.
    """
    first, last = period
    if not dates:
        for bound in period:
            if isinstance(bound, str):
                raise OptionError(
                    f"{bound!r} is not a number", allowed="numbers", advice="compare numbers with numbers"
                )
    low = -np.inf if first is None else earliest(first) if dates else float(first)
    high = np.inf if last is None else (earliest if instants else latest)(last) if dates else float(last)
    return low, high


def inside(coordinate: xr.DataArray, period: Period) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which values lie in a period, both ends included. Raises `OptionError` if the period is reversed."""
    dates = is_time(coordinate)
    low, high = interval(period, dates=dates)
    refuse_reversed(period, low, high)
    if not dates:
        return between(coordinate.values, low, high)
    values = stamps(coordinate)
    return np.asarray((values >= low) & (values <= high))


def refuse_reversed(period: Period, low: float, high: float) -> None:
    """Raise `OptionError` if a period ends before it begins."""
    if low > high:
        raise OptionError(
            f"{list(period)!r} ends before it begins",
            allowed="[first, last] with first <= last",
            advice="swap the two",
        )


def span(coordinate: xr.DataArray) -> str:
    """First and last value, in words."""
    if not coordinate.size:
        return "nothing"
    values = coordinate.values
    return f"{str(values.min())[:19]} .. {str(values.max())[:19]}"
