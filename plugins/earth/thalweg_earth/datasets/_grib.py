"""GRIB: the messages of one variable as one array over its valid times, with nothing left out without a word."""

from __future__ import annotations

import logging

# eccodes brings an SQLite of its own, of 2018. Whichever is loaded first serves the process, and the tracker needs the
# one that Python was built with.
import sqlite3  # noqa: F401
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xarray as xr
from thalweg.errors import OptionError, SourceError

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
    parts = [valid_times(_variable(path, name, keys, url), url) for name in names]
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
            _refuse_doubles(path, {**keys, key: name}, url)
            (held,) = found.data_vars
            return found.rename({held: name})
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
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"{url!r} cannot be read: {type(error).__name__}: {error}",
            allowed="a whole GRIB file",
            advice="fetch it again",
        ) from error
    finally:
        log.setLevel(level)


def _refuse_doubles(path: Path, keys: dict[str, Any], url: str) -> None:
    """Of two messages with the same keys cfgrib takes the first, and says nothing."""
    import cfgrib

    opened = cfgrib.open_file(str(path), indexpath="", filter_by_keys=keys, errors="ignore")
    for name, variable in opened.variables.items():
        held = getattr(variable.data, "field_id_index", None)
        if held is None:
            continue
        messages = sum(len(each) for _, each in variable.data.index.iter_index())
        if messages > len(held):
            raise SourceError(
                f"{url!r} holds {messages} fields of {name!r} for {len(held)} times, levels and members",
                allowed="each field once",
                advice=_ADVICE.format("{stepRange: 0-6}") + ", or take the doubles out with `grib_copy`",
            )
