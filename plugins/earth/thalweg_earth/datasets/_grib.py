"""GRIB: the messages of one variable as one array over its valid times, with nothing left out without a word."""

from __future__ import annotations

import logging

# eccodes brings an SQLite of its own, of 2018. Whichever is loaded first serves the process, and the tracker needs the
# one that Python was built with.
import sqlite3  # noqa: F401
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from thalweg import OptionError, SourceError

from ._cf import say
from ._times import valid_times

Keys = Mapping[str, Any]
_ADVICE = "choose with `filter_by_keys`, such as {}"


def open_grib(path: Path, *, url: str, names: Iterable[str] = (), filter_by_keys: Keys | None = None) -> xr.Dataset:
    """The variables `names` of a GRIB file, or all; `time` is the time at which a field is valid.

    Each is read by itself, for cfgrib skips what does not fit the first one. Raises `OptionError` without cfgrib, and
    `SourceError`: no GRIB, levels or steps that no array can hold side by side, or a field that is there twice.
    """
    if find_spec("cfgrib") is None:
        raise OptionError(
            f"{url!r} is GRIB, which needs a reader that is not installed",
            allowed="NetCDF and zarr, without extras",
            advice="install thalweg[grib]",
        )
    keys = dict(filter_by_keys or {})
    names = list(names)
    if not names:
        return valid_times(_opened(path, keys, url, strict=False), url)
    parts = [_variable(path, name, keys, url) for name in names]
    moving = [each for each in parts if "time" in each.dims]
    for name, part in zip(names, parts, strict=True):
        if moving and "time" in part.coords and "time" not in part.dims:
            say(f"{name!r} of {url!r} is there at {str(part['time'].values)[:16]} only, and is taken to be constant")
    try:
        return xr.merge(parts, join="exact", compat="override", combine_attrs="override")
    except ValueError as error:
        raise SourceError(
            f"the variables {', '.join(map(repr, names))} of {url!r} lie on different times or grids",
            allowed="variables that share their dims",
            advice=_ADVICE.format("{endStep: 6}") + ", or ingest them by recipes of their own",
        ) from error


def _variable(path: Path, name: str, keys: dict[str, Any], url: str) -> xr.Dataset:
    for key in ("cfVarName", "shortName"):
        found = _opened(path, {**keys, key: name}, url, strict=True)
        if len(found.data_vars) == 1:
            there = _checked(path, {**keys, key: name}, url)
            (held,) = found.data_vars
            return valid_times(found.rename({held: name}), url, there=there)
    everything = _opened(path, keys, url, strict=False)
    raise SourceError(
        f"{url} holds no variable {name!r}" + (f" with {keys!r}" if keys else ""),
        allowed=", ".join(f"{key} ({', '.join(map(str, each.dims))})" for key, each in everything.data_vars.items()),
        advice="name one of these",
    )


def _opened(path: Path, keys: dict[str, Any], url: str, *, strict: bool) -> xr.Dataset:
    from cfgrib.dataset import DatasetBuildError

    log = logging.getLogger("cfgrib.dataset")
    level = log.level
    try:
        if not strict:
            log.setLevel(logging.CRITICAL)
        with _readable(url):
            return xr.open_dataset(
                path,
                engine="cfgrib",
                chunks=None,
                cache=False,
                backend_kwargs={"indexpath": "", "filter_by_keys": keys, "errors": "raise" if strict else "warn"},
            )
    except DatasetBuildError as error:
        key, choices = (*error.args[1:3], "", [])[:2] if len(error.args) >= 3 else ("", [])
        values = [each.get(key) for each in choices]
        raise SourceError(
            f"{url!r} holds fields that differ in {key or 'what they are'}",
            allowed=", ".join(map(repr, values)) or str(error),
            advice=_ADVICE.format({key: values[0]} if values else "{typeOfLevel: surface}"),
        ) from error
    except EOFError:
        return xr.Dataset()
    finally:
        log.setLevel(level)


def _checked(path: Path, keys: dict[str, Any], url: str) -> xr.DataArray | None:
    """Which reference times and steps there are, where they are two dims. Raises `SourceError`.

    Of two messages with the same keys cfgrib takes the first, those on another grid it lays on the first one's, and
    for a step that one of several reference times does not have it makes a field; and says nothing.
    """
    import cfgrib

    with _readable(url):
        opened = cfgrib.open_file(str(path), indexpath="", filter_by_keys=keys, errors="ignore")
    found: xr.DataArray | None = None
    for name, variable in opened.variables.items():
        held = getattr(variable.data, "field_id_index", None)
        if held is None:
            continue
        grids = variable.data.index.get("md5GridSection", [])
        if len(grids) > 1:
            raise SourceError(
                f"{url!r} holds {name!r} on {len(grids)} grids",
                allowed="one grid",
                advice=_ADVICE.format({"md5GridSection": grids[0]}) + ", or split the file with `grib_copy`",
            )
        messages = sum(len(each) for _, each in variable.data.index.iter_index())
        if messages > len(held):
            raise SourceError(
                f"{url!r} holds {messages} fields of {name!r} for {len(held)} times, levels and members",
                allowed="each field once",
                advice=_ADVICE.format("{stepRange: 0-6}") + ", or take the doubles out with `grib_copy`",
            )
        dims = variable.dimensions
        if {"time", "step"} <= set(dims):
            at = [dims.index("time"), dims.index("step")]
            there = np.zeros([variable.data.shape[i] for i in at], dtype=bool)
            there[tuple(np.array([[key[i] for i in at] for key in held]).T)] = True
            found = xr.DataArray(there, dims=("time", "step"))
    return found


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Turns what eccodes raises about a file that is cut short or damaged into `SourceError`."""
    import eccodes
    from cfgrib.dataset import DatasetBuildError

    try:
        yield
    except DatasetBuildError:
        raise
    except (OSError, ValueError, TypeError, KeyError, eccodes.CodesInternalError) as error:
        raise SourceError(
            f"{url!r} cannot be read: {type(error).__name__}: {error}",
            allowed="a whole GRIB file",
            advice="fetch it again",
        ) from error
