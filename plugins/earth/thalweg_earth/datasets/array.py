"""Any gridded file: NetCDF, zarr or GRIB, with declared variables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

import xarray as xr
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from thalweg import Dataset, OptionError, SourceError
from thalweg.units import canonical_units

from ._cf import Missing, chunked, finished, name_axes, pick, refuse_missing_at_first
from ._source import fingerprint_of, is_zarr, local_copy, netcdf_engine, open_netcdf, open_zarr, require


class Declared(BaseModel):
    """A variable as it is called in the source, and the units that it is expected in."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str = Field("", alias="from", description="its name in the source, if another")
    units: str = Field("", description="refused if the source declares others; taken if it declares none")


def _by_name(given: Any) -> Any:
    if isinstance(given, str):
        given = [given]
    return {name: {} for name in given} if isinstance(given, list | tuple) else given


class Array(Dataset):
    """Fields of any NetCDF file, zarr store (version 2 or 3) or, with the extra `grib`, GRIB file.

    `variables: [slp]` suffices; `{pressure: {from: slp, units: Pa}}` renames and checks. Latitude, longitude and time
    are found and named; floats become float32; dims of size 1 are dropped. Raises `SourceError`, and `OptionError` for
    what the options cannot mean.
    """

    example: ClassVar[Mapping[str, Any]] = {"path": "slp.nc", "variables": ["slp"]}

    path: str = Field(description="a file, a zarr store, or the URL of one")
    variables: Annotated[dict[str, Declared], BeforeValidator(_by_name)] = Field(min_length=1)
    rename: dict[str, str] = Field({}, description="dims and coordinates: their names in the source to yours")
    coordinates: tuple[str, ...] = Field((), description="variables to be kept as coordinates, such as a mask or a run")
    missing: Missing = Field("refuse", description="what to do with values that are not finite")
    chunks: dict[str, int] = Field({}, description="sizes of chunks by dim, instead of whole fields of about 8 MiB")
    decode_times: bool = True
    storage_options: dict[str, Any] = Field({}, description="what fsspec needs to reach it")

    def open(self) -> xr.Dataset:
        source = self._renamed(self._opened())
        source = source.set_coords([pick(source, name, self.path).name for name in self._loose(source)])
        picked = {name: pick(source, each.source or name, self.path) for name, each in self.variables.items()}
        for name, array in picked.items():
            self._agree(name, array)
        units = {name: each.units or str(picked[name].attrs.get("units", "1")) for name, each in self.variables.items()}
        data = name_axes(xr.Dataset(picked, attrs={}))
        wrong = [dim for dim in self.chunks if dim not in data.dims]
        if wrong:
            raise OptionError(
                f"there is no dim {wrong[0]!r} to chunk",
                allowed=", ".join(map(str, data.dims)),
                advice="name dims as they are called after `rename`",
            )
        if self.missing == "refuse":
            for array in data.data_vars.values():
                refuse_missing_at_first(array, self.path)
        data = chunked(data, chunks=self.chunks)
        kept = {
            name: finished(array, units=units[str(name)], missing=self.missing, source=self.path)
            for name, array in data.data_vars.items()
        }
        coords = {name: each.compute().drop_encoding() for name, each in data.coords.items()}
        return xr.Dataset(kept, coords, {"source": self.path})

    def fingerprint(self) -> str:
        return fingerprint_of(self.path, self.storage_options)

    def _opened(self) -> xr.Dataset:
        require(self.path, self.storage_options)
        if is_zarr(self.path, self.storage_options):
            return open_zarr(self.path, storage_options=self.storage_options, decode_times=self.decode_times)
        engine = netcdf_engine(local_copy(self.path, self.storage_options))
        if engine == "cfgrib" and find_spec("cfgrib") is None:
            raise OptionError(
                f"{self.path!r} is GRIB, which needs a reader that is not installed",
                allowed="NetCDF and zarr, without extras",
                advice="install thalweg[grib]",
            )
        return open_netcdf(
            self.path, storage_options=self.storage_options, decode_times=self.decode_times, engine=engine
        )

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

    def _agree(self, name: str, array: xr.DataArray) -> None:
        declared, held = self.variables[name].units, array.attrs.get("units")
        if declared and held is not None and canonical_units(str(held)) != canonical_units(declared):
            raise SourceError(
                f"{name!r} of {self.path!r} has units {held!r}, not {declared!r}",
                allowed=f"units: {canonical_units(str(held))}",
                advice=f"declare the units that it has, and convert {name!r} with `rescale`",
            )
