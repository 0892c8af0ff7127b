"""The step of an axis, and the values that follow its end: months by the calendar, other steps by their length."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Values = np.ndarray[Any, Any]

MIDDLE = 0
"""In place of a day of the month: the middle of each month."""
LAST = 31
"""The last day of each month."""


def is_time(values: Values) -> bool:
    """Whether they are dates, of numpy or of cftime."""
    return bool(
        values.dtype.kind == "M" or (values.dtype == object and values.size and hasattr(values.flat[0], "year"))
    )


def last_source(data: xr.Dataset, dim: str) -> xr.Dataset:
    """Where several sources follow one another along a dim (CF's `instance_dimension`), the steps of the last one."""
    import numpy as np

    first = 0
    for each in data.coords.values():
        if each.dims == (dim,) and "instance_dimension" in each.attrs and each.size:
            others = np.flatnonzero(each.values != each.values[-1])
            first = max(first, int(others[-1]) + 1 if others.size else 0)
    return data.isel({dim: slice(first, None)}) if first else data


@dataclass(frozen=True)
class Step:
    """What lies between two neighbours of an axis."""

    kind: Literal["months", "seconds", "number"] = "number"
    size: float = 1.0
    """Months, seconds, or a difference of numbers."""
    day: int = 1
    """Of months, the day at which each is stamped; a shorter month has its last one."""

    @classmethod
    def of(cls, axis: xr.DataArray) -> Step | None:
        """The step of an axis; None if it is too short to have one."""
        import numpy as np

        if axis.size < 2:
            return None
        values = axis.values
        if not is_time(values):
            return (
                cls("number", float(np.median(np.diff(values.astype(float))))) if values.dtype.kind in "iuf" else cls()
            )
        months = np.diff(axis.dt.year.values * 12 + axis.dt.month.values)
        least = int(months.min())
        day = _day(axis) if least >= 1 and not (months % least).any() else None
        if day is not None:
            return cls("months", float(least), day)
        return cls("seconds", float(np.median(_seconds(values[1:], values[:-1]))))

    def after(self, value: Any, count: int) -> Any:
        """The value `count` steps after one of the axis."""
        import numpy as np

        if self.kind == "number":
            return value + np.asarray(count * self.size).astype(np.asarray(value).dtype)
        date = value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value
        if self.kind == "seconds":
            moved = date + timedelta(seconds=count * self.size)
        else:
            total = date.year * 12 + date.month - 1 + count * int(self.size)
            first = date.replace(year=total // 12, month=total % 12 + 1, day=1)
            following = first.replace(year=(total + 1) // 12, month=(total + 1) % 12 + 1)
            if self.day == MIDDLE:
                start = first.replace(hour=0, minute=0, second=0, microsecond=0)
                moved = start + (following - first) / 2
            else:
                moved = first.replace(day=min(self.day, (following - first).days))
        return np.datetime64(moved).astype(value.dtype) if isinstance(value, np.datetime64) else moved

    def regular(self, axis: xr.DataArray) -> Values:
        """Of each neighbour of an axis, whether one step lies before it; a step of time may vary by a tenth."""
        import numpy as np

        values = axis.values
        if self.kind == "months":
            return np.asarray(np.diff(axis.dt.year.values * 12 + axis.dt.month.values) == self.size)
        found = np.diff(values.astype(float)) if self.kind == "number" else _seconds(values[1:], values[:-1])
        return np.asarray(np.abs(found - self.size) <= 0.1 * abs(self.size))


def _day(axis: xr.DataArray) -> int | None:
    """The day at which the months of an axis are stamped; None if there is no rule."""
    day, length = axis.dt.day.values, axis.dt.days_in_month.values
    most = int(day.max())
    if (day == length).all():
        return LAST
    if len(set(axis.dt.hour.values)) == 1 and (day == [min(most, each) for each in length]).all():
        return most
    hours = 24.0 * (day - 1) + axis.dt.hour.values + axis.dt.minute.values / 60
    # The middle of February is the 15th or its noon, that of July the 16th at noon.
    return MIDDLE if (abs(hours - 12.0 * length) <= 24).all() else None


def _seconds(later: Values, earlier: Values) -> Values:
    import numpy as np

    apart = later - earlier
    if apart.dtype.kind == "m":
        return np.asarray(apart / np.timedelta64(1, "s"))
    return np.array([each.total_seconds() for each in apart])
