"""Any gridded file: NetCDF, zarr or GRIB, or many of them, with declared variables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

import xarray as xr
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from thalweg import Dataset, OptionError

from ._cf import (
    Missing,
    chunked,
    finished,
    name_axes,
    pick,
    refuse_missing_at_first,
    said_if_accepted,
    say_if_emptied_at_first,
)
from ._listing import is_many, listing
from ._source import (
    fetched,
    fingerprint_of,
    fingerprint_of_each,
    is_zarr,
    local_copy,
    netcdf_engine,
    open_netcdf,
    open_zarr,
    require,
)
from ._times import in_order
from ._together import DECLARED, together

RESERVED = {
    "sample": "the samples that windows make",
    "window": "the windows",
    "lead": "the steps of a forecast",
    "member": "the members of an estimate",
    "number": "the numbers of samples",
}
"""Dims of the house's own, that a source must not bring."""


class Declared(BaseModel):
    """A variable as it is called in the source, and the units that it is wanted in."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str = Field("", alias="from", description="name of the variable in the source; the same if empty")
    units: str = Field(
        "", description="units that the variable is converted to; if the source declares none, those that it has"
    )


def _by_name(given: Any) -> Any:
    if isinstance(given, str):
        given = [given]
    return {name: {} for name in given} if isinstance(given, list | tuple) else given


class Array(Dataset):
    """Fields of NetCDF files, zarr stores (version 2 or 3) or, with the extra `grib`, GRIB files.

    `variables: [slp]` suffices; `{pressure: {from: slp, units: hPa}}` renames and converts. Many files are put
    together along `time`, and must agree in units, grid and calendar. Latitude, longitude (degrees) and time (at which
    a field is valid) are found and named, and times sorted; floats become float32; dims of size 1 are dropped; what
    lies outside `valid_range` is missing. Files may be compressed (gz, bz2, xz, zip). Raises `SourceError`, and
    `OptionError` for what the options cannot mean.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "slp.nc", "variables": ["slp"]}

    path: str | tuple[str, ...] = Field(
        description="a file, a zarr store, a folder or a glob of them, the URL of one, or a list of these"
    )
    variables: Annotated[
        dict[str, Declared], BeforeValidator(_by_name, json_schema_input_type=str | list[str] | dict[str, Declared])
    ] = Field(min_length=1, description="names of variables, or a mapping of names to `from` and `units`")
    rename: dict[str, str] = Field({}, description="new names of dims and coordinates: {NAME IN THE SOURCE: NEW NAME}")
    along: str = Field("time", description="the dim that many files are put together along, by its name after `rename`")
    group: str = Field("", description="the group that holds the variables, in NetCDF-4, HDF5 or zarr")
    filter_by_keys: dict[str, Any] = Field(
        {},
        description="GRIB only: keys of the messages that are read, such as {typeOfLevel: isobaricInhPa, level: 500}",
    )
    coordinates: tuple[str, ...] = Field(
        (), description="variables that are kept as coordinates, such as a mask or the number of a run"
    )
    missing: Missing = Field(
        "refuse", description="values that are not finite: kept (allow), an error (refuse), or 0 (zero)"
    )
    missing_values: tuple[float, ...] = Field(
        (),
        description="values that mean missing though the source does not declare it, such as 0 in some zarr 2 stores",
    )
    ignore: tuple[str, ...] = Field(
        (), description="attributes that the source declares wrongly: valid_range, _FillValue, scale_factor, units ..."
    )
    chunks: dict[str, int] = Field({}, description="sizes of chunks by dim, instead of whole fields of about 8 MiB")
    decode_times: bool = Field(True, description="whether times are read as dates; otherwise they stay numbers")
    storage_options: dict[str, Any] = Field({}, description="options of fsspec for this URL: credentials, endpoint")

    @said_if_accepted()
    def open(self) -> xr.Dataset:
        if not is_many(self.path, storage_options=self.storage_options):
            (url,) = self._files
            data = in_order(chunked(self._one(url, many=False), chunks=self.chunks), "time", source=repr(url))
            said = url
        else:
            urls = listing(self.path, storage_options=self.storage_options)
            fetched(urls, self.storage_options)
            data = together(
                [self._one(url, many=True, first=not number) for number, url in enumerate(urls)], urls, along=self.along
            )
            data = chunked(data, along=self.along, chunks=self.chunks)
            said = f"{urls[0]} .. {urls[-1]}"
        coords = {name: each.compute().drop_encoding() for name, each in data.coords.items()}
        return xr.Dataset(
            {name: each.drop_encoding() for name, each in data.data_vars.items()}, coords, {"source": said}
        )

    def fingerprint(self) -> str:
        if is_many(self.path, storage_options=self.storage_options):
            return fingerprint_of_each(listing(self.path, storage_options=self.storage_options), self.storage_options)
        return fingerprint_of(self._files[0], self.storage_options)

    @property
    def _files(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def _one(self, url: str, *, many: bool, first: bool = True) -> xr.Dataset:
        """The fields of one file, finished, in chunks; of the `first` file a field is read."""
        source = self._renamed(self._opened(url))
        source = source.set_coords([pick(source, name, url).name for name in self._loose(source)])
        picked = {name: pick(source, each.source or name, url) for name, each in self.variables.items()}
        data = name_axes(xr.Dataset(picked, attrs={}), along=self.along if many else "", source=repr(url))
        self._refuse_dims(data, url)
        for array in data.data_vars.values() if first else ():
            say_if_emptied_at_first(array, url)
            if self.missing == "refuse":
                refuse_missing_at_first(array, url, missing_values=self.missing_values)
        data = chunked(data, along=self.along if many and self.along in data.dims else None, chunks=self.chunks)
        kept = {
            name: finished(
                array,
                units=self.variables[str(name)].units,
                missing=self.missing,
                source=url,
                missing_values=self.missing_values,
            )
            for name, array in data.data_vars.items()
        }
        said = [str(name) for name, array in data.data_vars.items() if str(array.attrs.get("units", "")).strip()]
        return xr.Dataset(kept, data.coords, {DECLARED: said})

    def _opened(self, url: str) -> xr.Dataset:
        require(url, self.storage_options)
        how: dict[str, Any] = {
            "storage_options": self.storage_options,
            "decode_times": self.decode_times,
            "group": self.group,
            "ignore": self.ignore,
        }
        if is_zarr(url, self.storage_options):
            return open_zarr(url, **how)
        grib = netcdf_engine(local_copy(url, self.storage_options)) == "cfgrib"
        if grib and find_spec("cfgrib") is None:
            raise OptionError(
                f"{url!r} is GRIB, which needs a reader that is not installed",
                allowed="NetCDF and zarr, without extras",
                advice="install thalweg[grib]",
            )
        if self.filter_by_keys and not grib:
            raise OptionError(
                f"`filter_by_keys` is of GRIB, and {url!r} is none", allowed="GRIB files", advice="leave it out"
            )
        names = tuple(each.source or name for name, each in self.variables.items()) if grib else ()
        return open_netcdf(url, filter_by_keys=self.filter_by_keys, names=names, **how)

    def _renamed(self, source: xr.Dataset) -> xr.Dataset:
        unknown = [name for name in self.rename if name not in source.variables and name not in source.dims]
        if unknown:
            raise OptionError(
                f"there is no {unknown[0]!r} to rename",
                allowed=", ".join(map(str, {*source.dims, *source.coords})),
                advice="name dims or coordinates of the source",
            )
        return source.rename(self.rename)

    def _loose(self, source: xr.Dataset) -> list[str]:
        return [name for name in self.coordinates if name not in source.coords]

    def _refuse_dims(self, data: xr.Dataset, url: str) -> None:
        """Raise `OptionError` for a dim of the house's own, and for chunks of a dim that is not there."""
        for dim in map(str, data.dims):
            if dim in RESERVED:
                raise OptionError(
                    f"{url!r} has a dim {dim!r}, which is the name of {RESERVED[dim]} here",
                    allowed=f"other names than {', '.join(RESERVED)}",
                    advice=f"rename it: `rename: {{{dim}: source_{dim}}}`",
                )
        wrong = [dim for dim in self.chunks if dim not in data.dims]
        if wrong:
            raise OptionError(
                f"there is no dim {wrong[0]!r} to chunk",
                allowed=", ".join(map(str, data.dims)),
                advice="name dims as they are called after `rename`",
            )
