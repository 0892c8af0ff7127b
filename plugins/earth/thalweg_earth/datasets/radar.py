"""Radar and satellite rain as services write it: one file a step, in their own formats and projections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import xarray as xr
from pydantic import BaseModel, ConfigDict, Field
from thalweg import Dataset

from ._cf import Missing, finished, refuse_missing_at_first
from ._projection import coordinates, crs_of
from ._radar._header import Header, Wanted, spelled
from ._radar._series import fields, files, series, time_axis, window
from ._source import fingerprint_of_all


class Declared(BaseModel):
    """What replaces the words of the files, where these say nothing or are known to be wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: str = Field("", description="units of the values, such as dBZ or mm h-1")
    gain: float | None = Field(None, description="factor of the codes: value = gain * code + offset")
    offset: float | None = Field(None, description="number added to the codes times `gain`, in the units of the values")
    nodata: tuple[float, ...] | None = Field(None, description="codes where nothing was measured")
    undetect: tuple[float, ...] | None = Field(None, description="codes where nothing was detected: no rain")

    def packing(self) -> dict[str, Any]:
        """The options that are given, by the name of the packing's field."""
        given = self.model_dump(exclude={"units"}, exclude_none=True)
        return {name: tuple(each) if isinstance(each, list) else each for name, each in given.items()}


class Radar(Dataset):
    r"""One field a file: ODIM and KNMI HDF5, NetCDF, GRIB (MRMS; extra `grib`), GeoTIFF (extra `geotiff`), also packed.

    `rain_rate`, `rain` (what fell since the last step), `reflectivity`, or another quantity by its own name, float32,
    `(time, y, x)` with x and y in m and 2-D latitude and longitude, or `(time, latitude, longitude)`. Units are those
    that the files declare. Where nothing was measured (`nodata`) a value is missing; where nothing was detected
    (`undetect`) it is 0, or -32 dBZ. Times are valid times, UTC: of the file, else of its name. Files of two grids,
    quantities or units are refused, and so are two of one time. Raises `SourceError` and `OptionError`.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "opera/", "quantity": "RATE"}

    path: str | tuple[str, ...] = Field(description="a folder, a glob, a list of files, or URLs of these")
    quantity: str = Field(
        "",
        description="name of the field in the files: RATE, DBZH, a variable, a GRIB short name, or a place like "
        "dataset2/data1",
    )
    rename: str = Field("", description="name of the variable; if empty, that of its quantity, such as rain_rate")
    undetected: float | None = Field(
        None,
        description="value where nothing was detected, in the variable's units; if null, 0 for rain and -32 for dBZ",
    )
    ambiguous: Literal["refuse", "nodata", "undetect"] = Field(
        "refuse", description="meaning of a code that the files declare both as `nodata` and as `undetect`"
    )
    time: str = Field(
        "",
        description="place of the valid time, if it is not the standard one: `name` (of the file), or a scalar "
        "variable or attribute of NetCDF",
    )
    time_format: str = Field("", description="format of the time in the files' names, as in strptime: 'AQC%y%j%H%M'")
    box: dict[str, tuple[float, float]] = Field(
        {}, description="ranges of x and y (m), or latitude and longitude, outside of which nothing is read"
    )
    declare: Declared = Field(
        Declared(), description="units and codes that the files do not declare, or declare wrongly"
    )
    missing: Missing = Field(
        "allow", description="values that were not measured: kept as missing (allow), an error (refuse), or 0 (zero)"
    )
    storage_options: dict[str, Any] = Field(
        {}, description="options of fsspec, if `path` is a URL: credentials, endpoint"
    )

    def open(self) -> xr.Dataset:
        units = spelled(self.declare.units) if self.declare.units else ""
        wanted = Wanted(self.quantity, self.time, units, self.declare.packing(), self.ambiguous)
        whole = series(self._path(), wanted, form=self.time_format, storage_options=self.storage_options)
        header = whole.header
        rows, columns = part = window(header, self.box)
        undetected = header.no_echo(self.undetected)
        places = None if header.places is None else tuple(each[rows, columns] for each in header.places)
        coords = coordinates(header.crs, header.y[rows], header.x[columns], places=places)
        dims = ("latitude", "longitude") if "x" not in coords else ("y", "x")
        name = self.rename or _name(header)
        array = xr.DataArray(
            fields(whole, part, undetected=undetected),
            {"time": time_axis(whole.times), **coords},
            ("time", *dims),
            name,
            _attrs(header, undetected),
        )
        source = str(self.path)
        if self.missing == "refuse":
            refuse_missing_at_first(array, source)
        array = finished(array, units=header.units, missing=self.missing, source=source)
        attrs = {"source": source} | ({} if header.crs is None else {"projection": crs_of(header.crs).to_wkt()})
        return xr.Dataset({name: array}, attrs=attrs)

    def fingerprint(self) -> str:
        return fingerprint_of_all(files(self._path(), self.storage_options), self.storage_options)

    def _path(self) -> str | list[str]:
        return self.path if isinstance(self.path, str) else list(self.path)


def _name(header: Header) -> str:
    if header.kind == "rain":
        return "rain_rate" if header.units.endswith(("h-1", "s-1")) else "rain"
    if header.kind == "reflectivity":
        return "reflectivity"
    return re.sub(r"\W+", "_", header.quantity.lower()).strip("_") or "field"


_STANDARD = {"rain_rate": "rainfall_rate", "reflectivity": "equivalent_reflectivity_factor"}


def _attrs(header: Header, undetected: float) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": header.quantity, **header.about}
    if _name(header) in _STANDARD:
        attrs.setdefault("standard_name", _STANDARD[_name(header)])
    if header.packing.undetect and undetected == undetected:
        attrs["undetected"] = undetected
    if header.seconds is not None:
        attrs["cell_methods"] = f"time: sum (interval: {header.seconds:g} s)"
    return attrs
