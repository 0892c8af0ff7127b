"""What every format says of a field before its values are read, and how packed values become physical ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from thalweg import SourceError, quantities

Doubles = NDArray[np.float64]
Window = tuple[slice, slice]
"""Rows and columns to be read."""

NO_ECHO = -32.0
"""dBZ where a radar measured no echo, unless `undetected` says otherwise."""

_RAIN = frozenset({"mm", "mm h-1", "mm s-1", "m s-1", "kg m-2", "kg m-2 s-1", "kg m-2 h-1"})


def spelled(units: str) -> str:
    """Units as CF spells them; services write `MM/H` and `DBZ`, too."""
    text = units.strip()
    if text.lower() in ("dbz", "db"):
        return {"dbz": "dBZ", "db": "dB"}[text.lower()]
    return quantities.canonical_units(text.lower() if text.isupper() and "MM" in text else text)


@dataclass(frozen=True)
class Packing:
    """Values are `gain * code + offset`; codes that mean something else; the packed values that are valid."""

    gain: float = 1.0
    offset: float = 0.0
    nodata: tuple[float, ...] = ()
    undetect: tuple[float, ...] = ()
    valid: tuple[float, float] | None = None


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks of every file: a quantity, where the time is, and what the files declare wrongly or not."""

    quantity: str = ""
    time: str = ""
    units: str = ""
    packing: Mapping[str, Any] = field(default_factory=dict)
    """What replaces the file's own packing."""
    ambiguous: Literal["refuse", "undetect", "nodata"] = "refuse"


@dataclass(frozen=True)
class Header:
    """What a file says of one field. `y` and `x` are the centres of its cells, in m or degrees, in its own order."""

    quantity: str
    units: str
    y: Doubles
    x: Doubles
    crs: str | None
    """The projection, as text."""
    time: np.datetime64 | None = None
    """UTC, at which the field is valid; None if the file does not say it plainly."""
    fallback: np.datetime64 | None = None
    """Taken if the file's name tells no time either."""
    places: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    """2-D latitude and longitude of a grid without a projection."""
    packing: Packing = Packing()
    place: str = ""
    """Of the field in the file."""
    seconds: float | None = None
    """Over which the field adds up."""
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return self.y.size, self.x.size

    @property
    def kind(self) -> Literal["reflectivity", "rain", "other"]:
        """By its units: what a value where nothing was detected may be."""
        if self.quantity.upper() in ("VRAD", "VRADH", "VRADV", "WRAD", "WRADH", "WRADV"):
            return "other"
        return "reflectivity" if self.units == "dBZ" else "rain" if self.units in _RAIN else "other"

    def no_echo(self, given: float | None) -> float:
        """The value where nothing was detected: as given, else 0 for rain, -32 dBZ, and nothing for other fields."""
        if given is not None:
            return given
        return {"reflectivity": NO_ECHO, "rain": 0.0, "other": float("nan")}[self.kind]


def settled(packing: Packing, wanted: Wanted, *, source: str) -> Packing:
    """The packing as the recipe corrects it, without codes of two meanings. Raises `SourceError`."""
    mine = dict(packing.__dict__) | dict(wanted.packing)
    if not np.isfinite(mine["gain"]) or not mine["gain"] or not np.isfinite(mine["offset"]):
        raise SourceError(
            f"{source!r} is packed by gain {mine['gain']!r} and offset {mine['offset']!r}",
            allowed="a finite gain other than 0, and a finite offset",
            advice="give `gain` and `offset` in `declare`",
        )
    both = sorted(set(mine["nodata"]) & set(mine["undetect"]))
    if both and wanted.ambiguous == "refuse":
        raise SourceError(
            f"{source!r} writes {both[0]!r} both where nothing was measured (`nodata`) and where nothing was detected "
            "(`undetect`)",
            allowed="two codes",
            advice="set `ambiguous: nodata` to take them for missing, or `ambiguous: undetect` for no rain",
        )
    if both:
        loser = "undetect" if wanted.ambiguous == "nodata" else "nodata"
        mine[loser] = tuple(code for code in mine[loser] if code not in both)
    return Packing(**mine)


def unpack(raw: NDArray[Any], packing: Packing, *, undetected: float) -> NDArray[np.float32]:
    """Physical values, float32: NaN where nothing was measured, `undetected` where nothing was detected."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = (raw.astype(np.float64) * packing.gain + packing.offset).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    nothing = np.zeros(raw.shape, dtype=bool)
    for code in packing.undetect:
        nothing |= _is(raw, code)
    if packing.valid is not None:
        low, high = packing.valid
        values[(raw < low) | (raw > high)] = np.nan
    values[nothing] = undetected
    for code in packing.nodata:
        values[_is(raw, code)] = np.nan
    return values


def _is(raw: NDArray[Any], code: float) -> NDArray[np.bool_]:
    """Where `raw` holds a code: exactly for whole numbers, to single precision for others."""
    if np.isnan(code):
        return np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, dtype=bool)
    if raw.dtype.kind in "iu" or not np.isfinite(code):
        return np.asarray(raw == code)
    return np.asarray(np.abs(raw - code) <= 1e-6 * abs(code))
