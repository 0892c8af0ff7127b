"""Many files, one step each: their times, what they must have in common, and their fields, read where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import OptionError, SourceError

from .._cf import CHUNK
from .._listing import listing
from .._projection import crs_of, is_geographic
from .._source import Options, is_remote
from ._formats import read_header, read_values
from ._header import Header, Wanted, Window
from ._times import by_format, in_name

MANY = 64
"""Local files whose headers are all read at plan time; of more, the first and the last, and the rest when read."""

Box = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """Files in the order of their times, and what all of them have in common."""

    urls: tuple[str, ...]
    times: NDArray[np.datetime64]
    header: Header
    """Of the first file."""
    wanted: Wanted
    form: str = ""
    """Of the time in the names; empty if found by itself."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Header] = field(default_factory=dict)
    """Headers that were read already, by the file."""


def files(path: str | Sequence[str], storage_options: Options = None) -> list[str]:
    """The files of a path, a folder, a glob or a list, without what GDAL leaves beside them. Raises `SourceError`."""
    return [each for each in listing(path, storage_options=storage_options) if not each.endswith(".aux.xml")]


def series(path: str | Sequence[str], wanted: Wanted, *, form: str = "", storage_options: Options = None) -> Series:
    """The files of a path, ordered by valid time. Raises `SourceError` where they are not one series."""
    urls = files(path, storage_options)
    named = [_named(url, form) for url in urls]
    if None not in named:
        order = sorted(range(len(urls)), key=lambda i: (named[i], urls[i]))
        urls, named = [urls[i] for i in order], [named[i] for i in order]
    headers: dict[int, Header] = {}

    def read(numbers: Sequence[int]) -> None:
        headers.update({i: read_header(urls[i], wanted, storage_options) for i in numbers if i not in headers})

    few = len(urls) <= MANY and not any(map(is_remote, urls))
    read(range(len(urls)) if few or None in named else sorted({0, len(urls) - 1}))
    if any(_moment(headers[i], named[i], wanted, form) != named[i] for i in headers):
        # Names that mean something else, such as the start of the scan: each file must be asked.
        read(range(len(urls)))
    moments = [_moment(headers[i], named[i], wanted, form) if i in headers else named[i] for i in range(len(urls))]
    unknown = [url for url, moment in zip(urls, moments, strict=True) if moment is None]
    if unknown:
        raise SourceError(
            f"{unknown[0]!r} does not say when it is valid",
            allowed="a time in the file, or one date and clock time in its name",
            advice="name an attribute in `time`, or give `time_format`, such as 'radar_%Y%m%d_%H%M'",
        )
    first = headers[0]
    for i, header in headers.items():
        agree(header, first, source=urls[i], other=urls[0])
    # One grid in memory, for all of them.
    known = {urls[i]: replace(each, y=first.y, x=first.x, places=first.places) for i, each in headers.items()}
    times = np.array(moments, dtype="datetime64[s]")
    order = np.argsort(times, kind="stable").tolist()
    urls, times = [urls[i] for i in order], times[order]
    twice = np.flatnonzero(times[1:] == times[:-1])
    if twice.size:
        raise SourceError(
            f"{urls[twice[0]]!r} and {urls[twice[0] + 1]!r} are both valid at {times[twice[0]]}",
            allowed="one file a step",
            advice="name one kind of file by a glob in `path`",
        )
    return Series(tuple(urls), times, first, wanted, form, dict(storage_options or {}), known)


def _named(url: str, form: str) -> np.datetime64 | None:
    name = url.rstrip("/").rpartition("/")[2]
    if form:
        return by_format(name, form)
    found = in_name(name)
    return found[0] if len(found) == 1 else None


def _moment(header: Header, named: np.datetime64 | None, wanted: Wanted, form: str) -> np.datetime64 | None:
    """When a field is valid: the file's word goes before its name, unless the recipe asks for the name."""
    if form or wanted.time == "name":
        return named
    return next((each for each in (header.time, named, header.fallback) if each is not None), None)


def agree(header: Header, first: Header, *, source: str, other: str) -> None:
    """Raise `SourceError` unless two fields are of one quantity, in the same units, on the same grid."""
    pairs = {
        "quantity": (header.quantity, first.quantity),
        "units": (header.units, first.units),
        "cells": (header.shape, first.shape),
        "seconds of accumulation": (header.seconds, first.seconds),
    }
    for what, (has, had) in pairs.items():
        if has != had:
            raise _different(source, other, f"{what} {has!r}", f"{had!r}")
    axes = {"y": (header.y, first.y), "x": (header.x, first.x)}
    for name, (values, others) in axes.items():
        step = abs(float(others[-1] - others[0])) / max(1, others.size - 1)
        if not np.allclose(values, others, rtol=0, atol=1e-2 * step):
            ends = [f"{each[0]:.8g} to {each[-1]:.8g}" for each in (values, others)]
            raise _different(source, other, f"{name} from {ends[0]}", ends[1])
    if header.crs != first.crs and (None in (header.crs, first.crs) or _crs(header) != _crs(first)):
        raise _different(source, other, f"the projection {_text(header)!r}", f"{_text(first)!r}")


def _crs(header: Header) -> Any:
    return crs_of(str(header.crs))


def _text(header: Header) -> str:
    return " ".join(str(header.crs).split())[:120]


def _different(source: str, other: str, has: str, had: str) -> SourceError:
    return SourceError(
        f"{source!r} has {has}",
        allowed=f"{had}, as in {other!r}",
        advice="use files of one product, named by a glob in `path`",
    )


def window(header: Header, box: Box) -> Window:
    """Rows and columns whose centres lie in a box, both ends included. Raises `OptionError`."""
    names = ("latitude", "longitude") if is_geographic(header.crs) else ("y", "x")
    unknown = [name for name in box if name not in names]
    if unknown:
        raise OptionError(
            f"`box` has no {unknown[0]!r}",
            allowed=", ".join(names),
            advice="give ranges of the coordinates of the grid",
        )
    rows, columns = (
        _range(name, values, box[name]) if name in box else slice(0, values.size)
        for name, values in zip(names, (header.y, header.x), strict=True)
    )
    return rows, columns


def _range(name: str, values: NDArray[np.float64], ends: tuple[float, float]) -> slice:
    low, high = ends if name == "longitude" else sorted(ends)
    # A hundredth of a cell: ends are written with few digits.
    slack = 1e-2 * abs(float(values[-1] - values[0])) / max(1, values.size - 1)
    if name == "longitude":
        width = 360.0 if high - low >= 360 else (high - low) % 360
        inside = (values - low + slack) % 360 <= width + 2 * slack
    else:
        inside = (values >= low - slack) & (values <= high + slack)
    found = np.flatnonzero(inside)
    if not found.size or found[-1] - found[0] + 1 != found.size:
        raise OptionError(
            f"`box` {name} {list(ends)!r} holds {'two parts' if found.size else 'nothing'} of the grid",
            allowed=f"{name} {values.min():.8g} .. {values.max():.8g}",
            advice="give a range that the grid covers",
        )
    return slice(int(found[0]), int(found[-1]) + 1)


class _Read:
    """Reads the fields of some files, wherever it is called."""

    def __init__(self, whole: Series, part: Window, undetected: float) -> None:
        self.whole, self.part, self.undetected = whole, part, undetected

    def __call__(self, first: int, stop: int) -> NDArray[np.float32]:
        rows, columns = self.part
        block = np.empty((stop - first, rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for field_, number in zip(block, range(first, stop), strict=True):
            field_[...] = self._one(number)
        return block

    def _one(self, number: int) -> NDArray[np.float32]:
        whole, url = self.whole, self.whole.urls[number]
        header = whole.known.get(url) or self._checked(number)
        options = whole.storage_options
        return read_values(url, header, self.part, undetected=self.undetected, storage_options=options)

    def _checked(self, number: int) -> Header:
        """The header of a file that was not opened when the run was planned."""
        whole, url = self.whole, self.whole.urls[number]
        header = read_header(url, whole.wanted, whole.storage_options)
        agree(header, whole.header, source=url, other=whole.urls[0])
        moment = _moment(header, _named(url, whole.form), whole.wanted, whole.form)
        if moment != whole.times[number]:
            raise SourceError(
                f"{url!r} is valid at {moment}, and its name says {whole.times[number]}",
                allowed="names that say the valid time",
                advice="set `time: name` to take the times of the names, or rename the file",
            )
        return header


def fields(whole: Series, part: Window, *, undetected: float) -> Any:
    """A dask array `(time, y, x)`, float32: as many whole files in a chunk as make up about 8 MiB, at least one."""
    import dask.array as da
    from dask.delayed import delayed

    rows, columns = (each.stop - each.start for each in part)
    steps = max(1, CHUNK // max(1, rows * columns * 4))
    read = delayed(_Read(whole, part, undetected), pure=False)
    count = len(whole.urls)
    return da.concatenate(
        [
            da.from_delayed(read(at, min(at + steps, count)), (min(steps, count - at), rows, columns), dtype=np.float32)
            for at in range(0, count, steps)
        ]
    )


def time_axis(times: NDArray[np.datetime64]) -> xr.Variable:
    """The coordinate of valid times, UTC."""
    return xr.Variable("time", times.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"})
