"""What the local tables of MRMS say, which GRIB libraries do not know: units, and codes that are no values.

NSSL's UserTable_MRMS: discipline 209. Where there is coverage and no echo a reflectivity is -99 ("missing"), elsewhere
-999 ("no coverage"); of rain, -1 and -3 are both not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._header import Packing

DISCIPLINE = 209

_REFLECTIVITY = {
    3: frozenset(range(52, 59)),
    8: frozenset({8}),
    9: frozenset({0, 1}),
    10: frozenset({0, 2, 4, 5, 6, 7, 8, 9, 10}),
    11: frozenset(range(4)),
    13: frozenset({1}),
}
_HOURS = (1, 3, 6, 12, 24, 48, 72)
_SUMS = (
    "RadarOnly_QPE_{:02d}H",
    "GaugeCorrQPE{:02d}H",
    "GaugeOnlyQPE{:02d}H",
    "MountainMapperQPE{:02d}H",
    "MultiSensor_QPE_{:02d}H_Pass1",
    "MultiSensor_QPE_{:02d}H_Pass2",
)
_ACCUMULATED = {
    2 + 7 * i + j: (name.format(hours), float(hours)) for i, name in enumerate(_SUMS) for j, hours in enumerate(_HOURS)
} | {45: ("RadarOnly_QPE_15M", 0.25)}


@dataclass(frozen=True)
class Product:
    """Units and special codes of a product; `hours` it adds up."""

    name: str
    units: str
    packing: Packing
    hours: float | None = None


def product(category: int, parameter: int) -> Product | None:
    """The product of a category and a parameter number; None if its units are not known here."""
    rain = Packing(nodata=(-1.0, -3.0))
    if (category, parameter) == (6, 1):
        return Product("PrecipRate", "mm h-1", rain)
    if category == 6 and parameter in _ACCUMULATED:
        name, hours = _ACCUMULATED[parameter]
        return Product(name, "mm", rain, hours)
    if parameter in _REFLECTIVITY.get(category, ()):
        return Product(f"Reflectivity_{category}_{parameter}", "dBZ", Packing(nodata=(-999.0,), undetect=(-99.0,)))
    return None
