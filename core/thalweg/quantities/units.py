"""Units by what they mean, as UDUNITS-2 reads them (through cf-units), not by how they are spelled.

cf-units takes up to a second to import (0.9 s on a busy machine): it is imported where two spellings differ, and never
for one of `_PREFERRED`. What people write and UDUNITS does not know, or takes for something else, is in `_TRAPS`.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from math import isclose
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

_PREFERRED = (
    *("1", "%", "K", "degC", "Pa", "hPa", "m", "km", "mm", "s", "m s-1", "mm h-1", "mm day-1"),
    *("kg m-2", "kg m-2 s-1", "W m-2", "J m-2", "m2 s-2", "dBZ"),
)
"""How units that have several spellings are written, as CF does; others stay as they are."""

_TRAPS = {
    # UDUNITS: a millibarn, picoares, a coulomb, degrees times coulombs, and words that it does not know.
    **dict.fromkeys(("mb", "hpa"), "hPa"),
    "pa": "Pa",
    "gpm": "m",
    "gpdm": "dam",
    "psu": "1e-3",
    "dbz": "dBZ",
    **dict.fromkeys(("c", "deg c", "deg_c", "degree c", "degrees c", "degree celsius", "degrees celsius"), "degC"),
    **dict.fromkeys(("k", "deg k", "degree k", "degrees k"), "K"),
    **dict.fromkeys(("", "-", "none", "no_unit", "unitless", "dimensionless", "nondimensional", "non-dim"), "1"),
    **dict.fromkeys(("0-1", "0 - 1", "(0-1)", "(0 - 1)", "fraction", "proportion", "ratio", "numeric"), "1"),
}
"""What files mean by what they say; nobody measures a field in millibarn or coulombs."""
_WORTH_A_WORD = ("mb", "c", "gpm", "gpdm", "psu")

DEGREES = re.compile(r"deg(?:ree)?s?[_ ]?(north|n|south|s|east|e|west|w|true|t)?", re.IGNORECASE)
"""Degrees of an arc, and where they point: `degrees_north`, `deg`, `degrees N`."""


def canonical_units(units: str) -> str:
    """One spelling for units of one meaning: `celsius` is `degC`, `m s**-1` and `m/s` are `m s-1`."""
    return _canonical(" ".join(units.split()))


def same_units(one: str, other: str) -> bool:
    """Whether two spellings mean the same units: `kg m**-2` and `kg/m2`, but not `K` and `degC`."""
    one, other = canonical_units(one), canonical_units(other)
    if one == other:
        return True
    first, second = _unit(one), _unit(other)
    return first is not None and second is not None and bool(first == second)


def conversion(given: str, wanted: str, *, difference: bool = False) -> tuple[float, float] | None:
    """Scale and offset that take numbers from units to others; None where there are none.

    There are none between unlike quantities (`kg m-2 s-1` to `mm h-1` needs a density), to or from a logarithm (`dBZ`),
    and for units of time with a reference, whose months UDUNITS takes for 30.4 days. With `difference` (an anomaly, an
    error) the offset is 0.
    """
    given, wanted = canonical_units(given), canonical_units(wanted)
    if given == wanted:
        return 1.0, 0.0
    return _conversion(given, wanted, difference)


def squared(units: str) -> str:
    """The units of a variance: `m2 s-2` of `m s-1`; `K2` of `degC`, for a variance is of differences."""
    plain = canonical_units(units)
    if plain == "1":
        return "1"
    line = conversion(plain, "K")
    if line is not None and line[1] != 0:
        return "K2" if isclose(line[0], 1.0) else f"({plain})^2"
    parts = [_POWER.fullmatch(each) for each in plain.split()]
    if not all(parts):
        return f"({plain})^2"
    return " ".join(f"{each[1]}{2 * int(each[2] or 1)}" for each in parts if each)


_POWER = re.compile(r"([A-Za-zµ]+)(-?\d+)?")


def explained(units: str) -> str:
    """What is made of units that UDUNITS would take for something else, in words; empty for all others."""
    text = " ".join(units.split()).lower()
    return f"units {units!r} are read as {_TRAPS[text]!r}" if text in _WORTH_A_WORD else ""


def is_difference(array: xr.DataArray) -> bool:
    """Whether a field is declared, by CF's `units_metadata` or by its names, to be a difference of two values."""
    metadata = str(array.attrs.get("units_metadata", ""))
    if "temperature" in metadata:
        return "difference" in metadata
    said = " ".join(str(each) for each in (array.name, *(array.attrs.get(key, "") for key in _NAMES)))
    said = said.lower().replace("_", " ")
    return any(word in said for word in _DIFFERENCES)


_NAMES = ("standard_name", "long_name", "cell_methods", "statistic")
_DIFFERENCES = (
    "anom",
    "ssta",
    "difference",
    "departure",
    "increment",
    "spread",
    "standard deviation",
    "standard error",
)


@lru_cache(maxsize=1024)
def _canonical(units: str) -> str:
    if units in _PREFERRED:
        return units
    units = _TRAPS.get(units.lower(), units)
    if units in _PREFERRED or DEGREES.fullmatch(units):
        return units
    found = _unit(units)
    if found is None or found.is_dimensionless():
        return units
    return next((each for each in _PREFERRED if found == _unit(each)), units)


@lru_cache(maxsize=1024)
def _unit(units: str) -> Any:
    """cf-units' own, or None for what UDUNITS does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cf_units import Unit, suppress_errors

        try:
            with suppress_errors():
                found = Unit(units)
        except ValueError:
            return None
    return None if found.is_unknown() or found.is_no_unit() else found


_MULTIPLE = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)[ *]*(\D.*)")
_ON_A_SCALE = re.compile(r"deg(?:ree)?s?[ _]?[cf](?![a-z])|celsius|fahrenheit|°[cf]", re.IGNORECASE)


def _is_share_of_scale(text: str, unit: Any) -> bool:
    """Whether units are `0.1 degC`, tenths of a kelvin to UDUNITS; files count from the ice point."""
    return bool(_ON_A_SCALE.search(text)) and unit.is_convertible("K") and float(unit.convert(0.0, "K")) == 0.0


@lru_cache(maxsize=1024)
def _conversion(given: str, wanted: str, difference: bool) -> tuple[float, float] | None:
    first, second = _unit(given), _unit(wanted)
    if first is None or second is None or first.is_time_reference() or second.is_time_reference():
        return None
    if not first.is_convertible(second):
        return None
    if not difference and (_is_share_of_scale(given, first) or _is_share_of_scale(wanted, second)):
        number = _MULTIPLE.fullmatch(given)
        whole = _conversion(number[2], wanted, False) if number else None
        return None if number is None or whole is None else (float(number[1]) * whole[0], whole[1])
    # cf-units refuses dask arrays: a line through two points, which a third must lie on.
    zero, one, many = (float(first.convert(number, second)) for number in (0.0, 1.0, 1000.0))
    scale = (many - zero) / 1000.0
    if not isclose(one - zero, scale, rel_tol=1e-6, abs_tol=1e-9 * abs(zero)):
        return None
    return scale, 0.0 if difference else zero
