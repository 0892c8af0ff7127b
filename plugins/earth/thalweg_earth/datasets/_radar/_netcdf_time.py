"""When a NetCDF file of one step is valid: a scalar coordinate, else an attribute; the caller knows the name."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr
from thalweg import SourceError

from ._hdf5 import plain
from ._times import in_text

_SURE = ("nominal_product_time", "nominal_time", "valid_time", "product_time", "time", "datetime", "timestamp")
_OTHER = re.compile(r"creat|modif|histor|process|issue|download|duration|resolution|reference|format", re.IGNORECASE)
_SPAN = re.compile(r"start|begin|end|stop|coverage|bound", re.IGNORECASE)


def valid_time(data: xr.Dataset, where: str, source: str) -> np.datetime64 | None:
    """Of the variable or attribute that the recipe names; else of a coordinate; else of an attribute. UTC.

    None if there is no such thing, or several attributes disagree. Raises `SourceError` for a name that has none.
    """
    if where:
        return _named(data, where, source)
    for name in sorted(map(str, data.variables), key=lambda each: (each != "valid_time", each != "time")):
        array = data[name]
        if array.size == 1 and (array.attrs.get("standard_name") == "time" or name in ("time", "valid_time")):
            moment = _decoded(array)
            if moment is not None:
                return moment
    for name in _SURE:
        found = in_text(str(data.attrs.get(name, "")))
        if len(found) == 1:
            return found[0]
    others = _stated(data, span=False)
    return others.pop() if len(others) == 1 else None


def loose_time(data: xr.Dataset) -> np.datetime64 | None:
    """The end of what the file covers, for want of better: the name goes before it."""
    for word in ("end", "stop", "start", "begin"):
        found = _stated(data, span=True, word=word)
        if len(found) == 1:
            return found.pop()
    return None


def bounds(data: xr.Dataset) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """Start and end of what adds up, where both are there as scalars: `start_time` and `valid_time` of BOM."""
    start, end = (
        _decoded(data[name]) if name in data.variables and data[name].size == 1 else None
        for name in ("start_time", "valid_time")
    )
    return start, end


def _stated(data: xr.Dataset, *, span: bool, word: str = "") -> set[np.datetime64]:
    return {
        time
        for key, value in data.attrs.items()
        if re.search(r"time|date", str(key), re.IGNORECASE)
        and not _OTHER.search(str(key))
        and bool(_SPAN.search(str(key))) == span
        and word in str(key).lower()
        for time in in_text(str(value))
    }


def _named(data: xr.Dataset, where: str, source: str) -> np.datetime64:
    if where in data.variables:
        moment = _decoded(data[where]) if data[where].size == 1 else None
        found = [] if moment is None else [moment]
    else:
        found = in_text(str(data.attrs.get(where, "")))
    if len(found) == 1:
        return found[0]
    there = [str(each) for each in (*data.variables, *data.attrs) if re.search("time|date", str(each), re.IGNORECASE)]
    raise SourceError(
        f"{source!r} has no time in {where!r}",
        allowed=", ".join(there) or "a scalar variable, or an attribute with a date and a clock time",
        advice="name one of these in `time`, or set `time: name`",
    )


def _decoded(array: xr.DataArray) -> np.datetime64 | None:
    if " since " not in str(array.attrs.get("units", "")):
        found = in_text(str(plain(array.values))) if array.dtype.kind in "SUO" else []
        return found[0] if len(found) == 1 else None
    alone = xr.Dataset({"moment": ("step", array.values.reshape(-1), array.attrs)})
    value = xr.decode_cf(alone)["moment"].values[0]
    return value.astype("datetime64[s]") if isinstance(value, np.datetime64) and not np.isnat(value) else None
