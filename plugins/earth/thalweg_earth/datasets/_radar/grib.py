"""GRIB through eccodes: MRMS with its local tables, and any other analysis on a regular or projected grid."""

from __future__ import annotations

# eccodes brings an SQLite of its own; the interpreter's, which the tracker needs, must be loaded before it.
import sqlite3  # noqa: F401
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thalweg import OptionError, SourceError

from .._projection import project, projection
from . import _mrms
from ._header import Doubles, Header, Packing, Wanted, Window, settled, spelled


def header(path: Path, wanted: Wanted, *, source: str) -> Header:
    """The header of the message that the quantity names. Raises `SourceError`, and `OptionError` without eccodes."""
    if find_spec("eccodes") is None:
        raise OptionError(
            f"{source!r} is GRIB, which needs a reader that is not installed",
            allowed="HDF5 and NetCDF, without extras",
            advice="install thalweg[grib]",
        )
    found: list[Header] = []
    there: list[str] = []
    with _messages(path) as messages:
        for number, message in enumerate(messages):
            names, local = _names(message)
            there.append(f"{names[0]} ({names[-1]})")
            if wanted.quantity in ("", *names):
                found.append(_header(message, number, names, local, wanted, source))
    if len(found) == 1:
        return found[0]
    asked = f"for the quantity {wanted.quantity!r}" if wanted.quantity else "and `quantity` is not given"
    raise SourceError(
        f"{source!r} holds {len(found)} messages {asked}",
        allowed=", ".join(dict.fromkeys(there)) or "a GRIB message",
        advice="name one in `quantity`" if there else "fetch the file again",
    )


def raw(path: Path, header: Header, window: Window) -> NDArray[Any]:
    """Values of a window, float32; GRIB is decoded whole."""
    import eccodes

    wanted = int(header.place.rpartition(" ")[2])
    with _messages(path) as messages:
        for number, message in enumerate(messages):
            if number == wanted:
                eccodes.codes_set(message, "missingValue", 9.0e30)
                values = eccodes.codes_get_values(message)
                columns = eccodes.codes_get(message, "jPointsAreConsecutive")
                shape = header.shape
                field = values.reshape(shape[::-1]).T if columns else values.reshape(shape)
                part = field[window]
                return np.where(part >= 9.0e29, np.nan, part)
    raise SourceError("the message is gone", allowed="a file that stays as it was", advice="run again")


@contextmanager
def _messages(path: Path) -> Iterator[Iterator[Any]]:
    """The messages of a file; each is released when the next is asked for."""
    import eccodes

    def of_bytes(data: bytes) -> Iterator[Any]:
        at = data.find(b"GRIB")
        while at >= 0:
            message = eccodes.codes_new_from_message(data[at:])
            try:
                length = int(eccodes.codes_get(message, "totalLength"))
                if data[at + length - 4 : at + length] != b"7777":
                    raise ValueError("the file ends within a message")
                yield message
            finally:
                eccodes.codes_release(message)
            at = data.find(b"GRIB", at + length)

    yield of_bytes(path.read_bytes())


def _get(message: Any, name: str, default: Any = None) -> Any:
    import eccodes

    try:
        return eccodes.codes_get(message, name)
    except eccodes.CodesInternalError:
        return default


def _names(message: Any) -> tuple[tuple[str, ...], _mrms.Product | None]:
    """Names by which a message can be asked for, the plainest first, its numbers last."""
    numbers = tuple(int(_get(message, key, -1)) for key in ("discipline", "parameterCategory", "parameterNumber"))
    if numbers[0] == -1:
        numbers = tuple(int(_get(message, key, -1)) for key in ("table2Version", "indicatorOfParameter"))
    local = _mrms.product(numbers[1], numbers[2]) if numbers[0] == _mrms.DISCIPLINE else None
    known = [local.name] if local else [str(_get(message, key, "")) for key in ("shortName", "cfVarName", "name")]
    plain = [each for each in known if each not in ("", "unknown", "~")]
    return (*dict.fromkeys(plain), ".".join(map(str, numbers))), local


def _header(
    message: Any, number: int, names: tuple[str, ...], local: _mrms.Product | None, wanted: Wanted, source: str
) -> Header:
    units = wanted.units or (local.units if local else spelled(str(_get(message, "units", "unknown"))))
    if units == "unknown":
        raise SourceError(
            f"the units of {names[0]!r} in {source!r} are not in the tables of eccodes",
            allowed="parameters of the WMO, and rain and reflectivity of MRMS",
            advice="give `units` in `declare`",
        )
    crs, y, x = _grid(message, source)
    hours = local.hours if local else _hours(message)
    return Header(
        quantity=names[0],
        units=units,
        y=y,
        x=x,
        crs=crs,
        time=_valid(message),
        packing=settled(local.packing if local else Packing(), wanted, source=source),
        place=f"message {number}",
        seconds=None if hours is None else hours * 3600,
        about={"parameter": names[-1]},
    )


def _hours(message: Any) -> float | None:
    if str(_get(message, "stepType", "instant")) != "accum":
        return None
    start, end = _get(message, "startStep"), _get(message, "endStep")
    return None if start is None or end is None else float(end) - float(start)


def _valid(message: Any) -> np.datetime64:
    """Valid time with its seconds, which `validityTime` leaves out."""
    day, clock = int(_get(message, "validityDate")), int(_get(message, "validityTime"))
    text = f"{day:08d}"
    moment = np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}T{clock // 100:02d}:{clock % 100:02d}", "s")
    return moment + np.timedelta64(int(_get(message, "second", 0) or 0), "s")


def _grid(message: Any, source: str) -> tuple[str, Doubles, Doubles]:
    kind = str(_get(message, "gridType"))
    columns, rows = _get(message, "Ni") or _get(message, "Nx"), _get(message, "Nj") or _get(message, "Ny")
    if _get(message, "alternativeRowScanning") or not columns or not rows:
        raise SourceError(
            f"{source!r} has a grid {kind!r} of unequal rows, or of rows that turn",
            allowed="regular grids of latitudes and longitudes, or on a projection",
            advice="regrid it first",
        )
    west, north = (float(_get(message, f"{each}OfFirstGridPointInDegrees")) for each in ("longitude", "latitude"))
    if kind == "regular_ll":
        east, south = (float(_get(message, f"{each}OfLastGridPointInDegrees")) for each in ("longitude", "latitude"))
        if not _get(message, "iScansNegatively") and east < west:
            west, east = (west - 360.0, east) if west > 180.0 else (west, east + 360.0)
        return projection("EPSG:4326", source=source), np.linspace(north, south, rows), np.linspace(west, east, columns)
    definition, steps = _get(message, "projTargetString"), [_get(message, f"{each}InMetres") for each in ("Dx", "Dy")]
    if not definition or "longlat" in str(definition) or None in steps:
        raise SourceError(
            f"{source!r} has a grid {kind!r}",
            allowed="regular_ll, lambert, polar_stereographic, mercator and others on a plane",
            advice="regrid it first",
        )
    crs = projection(str(definition), source=source)
    x, y = (float(each) for each in project(crs, west, north))
    right = -1.0 if _get(message, "iScansNegatively") else 1.0
    up = 1.0 if _get(message, "jScansPositively") else -1.0
    return crs, y + up * float(steps[1]) * np.arange(rows), x + right * float(steps[0]) * np.arange(columns)
