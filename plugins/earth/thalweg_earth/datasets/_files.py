"""Sources of one small file per date: found by name, read a chunk of dates at a time, wherever the chunk is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from thalweg import SourceError

from .._dates import Period, inside, is_time, span, stamps
from ._cf import CHUNK, Missing, chunked, finished, name_axes, pick
from ._listing import natural, without_preliminary
from ._source import (
    Options,
    filesystem,
    fingerprint_of,
    fingerprint_of_all,
    is_remote,
    local_copy,
    open_netcdf,
    require,
    unreachable,
)
from ._times import in_order
from ._together import NEAR


@dataclass(frozen=True)
class DatedFile:
    """One file, and the date in its name."""

    date: np.datetime64
    url: str


def find(
    url: str, pattern: str, *, every: str, period: Period | None = None, storage_options: Options = None
) -> list[DatedFile]:
    r"""The files of a folder, a glob or a base URL whose names match `pattern`, whose group is YYYYMM or YYYYMMDD.

    Folders called YYYYMM are looked into. `every` is the step between files, `M` or `D`. Of a final file and a
    preliminary one the final is taken. Raises `SourceError` if there are none, if one is missing between the first and
    the last, or if there are two of one date.
    """
    names = re.compile(pattern)
    found: dict[np.datetime64, str] = {}
    for path in without_preliminary(_listed(url, period, storage_options)):
        match = names.search(path.rpartition("/")[2])
        if not match:
            continue
        date = _date(match[1], every)
        if date in found:
            raise SourceError(
                f"{url!r} holds two files of {date}: {found[date]!r} and {path!r}",
                allowed="one file a date; a final one beside a preliminary one is taken",
                advice="give a glob that names one kind of file",
            )
        found[date] = path
    dates = np.array(sorted(found), dtype=f"datetime64[{every}]")
    if period is not None and dates.size:
        dates = dates[inside(_axis(dates), period)]
    if not dates.size:
        raise SourceError(
            f"{url!r} holds no file for {'any date' if period is None else list(period)!r}",
            allowed=f"files named like {pattern!r}"
            + (f", dates {span(_axis(np.array(list(found))))}" if found else ""),
            advice="check the path and the period",
        )
    gaps = np.flatnonzero(np.diff(dates).astype(int) != 1)
    if gaps.size:
        raise SourceError(
            f"{url!r} has no file between {dates[gaps[0]]} and {dates[gaps[0] + 1]}",
            allowed="one file for every date of the period",
            advice="fetch what is missing, or shorten the period",
        )
    return [DatedFile(date, found[date]) for date in dates]


def _axis(dates: np.ndarray[Any, Any]) -> xr.DataArray:
    return xr.DataArray(dates.astype("datetime64[ns]"), dims="time")


def _date(digits: str, every: str) -> np.datetime64:
    text = "-".join(filter(None, (digits[:4], digits[4:6], digits[6:8])))
    date: np.datetime64 = np.datetime64(text).astype(f"datetime64[{every}]")
    return date


def _listed(url: str, period: Period | None, storage_options: Options) -> list[str]:
    globbed = any(mark in url for mark in "*[")
    if not globbed:
        require(url, storage_options)
    system, path = filesystem(url, storage_options)
    try:
        paths = [str(each) for each in (system.glob(path) if globbed else system.ls(path, detail=False))]
        for folder in list(paths):
            month = re.search(r"(?:^|/)(\d{6})/?$", folder)
            if month and (period is None or _meets(month[1], period)):
                paths += [str(each) for each in system.ls(folder, detail=False)]
    except Exception as error:
        raise unreachable(url, error) from error
    return sorted({str(system.unstrip_protocol(each)) if is_remote(url) else each for each in paths}, key=natural)


def _meets(month: str, period: Period) -> bool:
    days = np.arange(_date(month, "M"), _date(month, "M") + 1, dtype="datetime64[D]")
    return bool(inside(_axis(days), period).any())


def fields(
    files: list[DatedFile], variable: str, *, units: str, missing: Missing, storage_options: Options = None
) -> xr.DataArray:
    """`variable(time, latitude, longitude)` of all files, float32, in `units`; only the first file is opened now.

    Each file is read by its own declarations, and must lie on the grid of the first one.
    """
    import dask.array as da
    from dask.delayed import delayed

    first = _one(files[0], variable, units, storage_options)
    steps = max(1, CHUNK // max(1, first.size * 4))
    if len(files) <= 2 * steps:
        steps = len(files)
    read = delayed(_read, pure=True)
    grid = first.copy(data=np.zeros(first.shape, np.bool_)).drop_attrs()
    options = dict(storage_options or {})
    blocks = [
        da.from_delayed(read(part, variable, units, grid, options), (len(part), *first.shape), dtype=np.float32)
        for part in (files[at : at + steps] for at in range(0, len(files), steps))
    ]
    coords = {"time": ("time", np.array([file.date for file in files]).astype("datetime64[ns]")), **first.coords}
    array = xr.DataArray(da.concatenate(blocks), coords, ("time", *first.dims), first.name, first.attrs)
    bounds = first.attrs.get("valid_range")
    array.attrs = {name: each for name, each in first.attrs.items() if name != "valid_range"}
    found = finished(array, units=units, missing=missing, source=files[0].url)
    # Each file was read within its own limits; those of the first are what the analysis promises.
    return found if bounds is None else found.assign_attrs(valid_range=bounds)


def _one(file: DatedFile, variable: str, units: str, storage_options: Options) -> xr.DataArray:
    # Of the copy: a variable of a remote file asks the server at each reading whether it has changed.
    with open_netcdf(str(local_copy(file.url, storage_options))) as opened:
        data = name_axes(opened, source=repr(file.url))
        array = pick(data, variable, file.url)
        if "time" in data.coords and is_time(data["time"]):
            wanted, held = str(file.date).replace("-", ""), str(stamps(data["time"]).flat[0]).zfill(14)
            if not held.startswith(wanted):
                raise SourceError(
                    f"{file.url!r} is of {held[:8]}",
                    allowed=f"a file of {wanted}, as its name says",
                    advice="fetch it again",
                )
        if "time" in array.dims:
            array = array.isel(time=0)
        array = array.drop_vars("time", errors="ignore").transpose("latitude", "longitude").load()
        return finished(array, units=units, missing="allow", source=file.url)


def _read(
    files: list[DatedFile], variable: str, units: str, grid: xr.DataArray, options: dict[str, Any]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    block = np.empty((len(files), *grid.shape), dtype=np.float32)
    for row, file in zip(block, files, strict=True):
        array = _one(file, variable, units, options)
        if array.shape != grid.shape:
            raise SourceError(
                f"{file.url!r} holds fields of {array.shape}",
                allowed=f"{grid.shape}, as in the first file",
                advice="use files of one version of the analysis",
            )
        for name in grid.dims:
            held, wanted = array[name].values, grid[name].values
            if not np.allclose(held, wanted, atol=NEAR):
                raise SourceError(
                    f"{file.url!r} has the {name} {held[0]:g} .. {held[-1]:g}",
                    allowed=f"{wanted[0]:g} .. {wanted[-1]:g}, as in the first file",
                    advice="use files of one version of the analysis",
                )
        row[...] = array.values
    return block


def dated(
    url: str,
    variable: str,
    *,
    pattern: str,
    every: str,
    period: Period | None,
    missing: Missing,
    storage_options: Options = None,
) -> xr.DataArray:
    """`variable(time, latitude, longitude)` of a single file with all dates, or of one file per date; degC."""
    if not _single(url):
        files = find(url, pattern, every=every, period=period, storage_options=storage_options)
        return fields(files, variable, units="degC", missing=missing, storage_options=storage_options)
    data = name_axes(open_netcdf(url, storage_options=storage_options), source=repr(url))
    array = pick(in_order(data, "time", source=repr(url)), variable, url)
    if period is not None and "time" in array.coords:
        chosen = np.flatnonzero(inside(array["time"], period))
        if not chosen.size:
            raise SourceError(
                f"{url!r} holds nothing in {list(period)!r}",
                allowed=span(array["time"]),
                advice="choose a period that it covers",
            )
        array = array.isel(time=slice(int(chosen[0]), int(chosen[-1]) + 1))
    array = chunked(array.to_dataset(name=variable))[variable]
    return finished(array, units="degC", missing=missing, source=url)


def dated_fingerprint(
    url: str, *, pattern: str, every: str, period: Period | None, storage_options: Options = None
) -> str:
    """A text that changes when the file, or one of the files of the period, does."""
    if _single(url):
        return fingerprint_of(url, storage_options)
    files = find(url, pattern, every=every, period=period, storage_options=storage_options)
    return fingerprint_of_all([file.url for file in files], storage_options)


def _single(url: str) -> bool:
    return url.endswith((".nc", ".nc4")) and not any(mark in url for mark in "*[")
