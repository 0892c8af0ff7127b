"""ICAR-ENSO: SST anomalies of 32 climate simulations, the archive of the Tianchi ENSO competition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from thalweg import Dataset, SourceError

from ._cf import pick
from ._source import Options, fingerprint_of, open_netcdf

MONTHS = 12
WEST, EAST = 95.0, 330.0
LOWEST, HIGHEST = -16.549121856689453, 10.198975563049316
"""The extremes of the archive's SST anomalies, which published results are normalised by."""


class Generation(BaseModel):
    """`models` simulations, of `years` rows each; a row holds its own year and those after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="number of the generation: 5 or 6 of CMIP")
    models: PositiveInt = Field(description="simulations in the file, one after the other")
    years: PositiveInt = Field(description="rows of each simulation, one for each year")


CMIP6 = Generation(number=6, models=15, years=151)
CMIP5 = Generation(number=5, models=17, years=140)


class ICARENSO(Dataset):
    """Monthly sea-surface temperature anomalies of 15 CMIP6 and 17 CMIP5 simulations, 5 degrees, 95E-330E.

    `CMIP_train.nc` holds a row per simulation and year, each of 36 months, so that two rows in three say nothing new;
    they are folded into one series per simulation: `sea_surface_temperature_anomaly(model, month, latitude,
    longitude)`, degC, or in 0..1 if `normalise`. CMIP6 series have 1836 months, CMIP5 series 1704 and NaN after that:
    the coordinate `months(model)` says so, and windows do not cross it. `model` counts from 0, CMIP6 first; the
    published split is `{by: model, train: [0, 29], validate: [30, 30], test: [31, 31]}`.

    With `labels`, `nino34(model, month)` is the mean of Nino3.4 over the month *and the two after it*: to be predicted,
    never observed. Raises `SourceError`.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2207.05833"
    example: ClassVar[Mapping[str, Any]] = {"path": "enso_round1_train_20210201"}

    path: str = Field(description="the folder that holds CMIP_train.nc and CMIP_label.nc")
    normalise: bool = Field(False, description="as published: (x + 16.549121856689453) / 26.748097419738769")
    labels: bool = Field(False, description="give the label of CMIP_label.nc as `nino34`, too")
    generations: tuple[Generation, ...] = Field(
        (CMIP6, CMIP5), description="generations of models that the file holds, in their order"
    )
    months_per_chunk: PositiveInt = Field(60, description="number of months in a stored chunk")
    storage_options: dict[str, Any] = Field({}, description="options of fsspec for this URL: credentials, endpoint")

    def open(self) -> xr.Dataset:
        url = self._file("CMIP_train.nc")
        data = open_netcdf(url, storage_options=self.storage_options)
        sst = pick(data, "sst", url)
        if list(sst.dims) != ["year", "month", "lat", "lon"]:
            raise SourceError(
                f"'sst' of {url!r} has dims {sst.dims!r}",
                allowed="('year', 'month', 'lat', 'lon')",
                advice="use the archive's own file",
            )
        columns = np.flatnonzero((data["lon"].values >= WEST) & (data["lon"].values <= EAST))
        if not columns.size:
            raise SourceError(
                f"{url!r} holds no longitude in 95E-330E", allowed="longitudes 0..355", advice="check `lon`"
            )
        crop = slice(int(columns[0]), int(columns[-1]) + 1)
        found = {"sea_surface_temperature_anomaly": self._series(sst, url, crop)}
        if self.labels:
            label = self._file("CMIP_label.nc")
            found["nino34"] = self._series(
                pick(open_netcdf(label, storage_options=self.storage_options), "nino", label), label, None
            )
        rows = [(each.number, _months(each.years, sst.sizes["month"])) for each in self.generations]
        counts = [each.models for each in self.generations]
        length = {"long_name": "months that the series holds", "sample_dimension": "month", "units": "1"}
        return xr.Dataset(
            found,
            {
                "model": np.arange(sum(counts)),
                "month": (
                    "month",
                    np.arange(max(months for _, months in rows)),
                    {"long_name": "months since the first"},
                ),
                "latitude": ("latitude", data["lat"].values, {"standard_name": "latitude", "units": "degrees_north"}),
                "longitude": (
                    "longitude",
                    data["lon"].values[crop],
                    {"standard_name": "longitude", "units": "degrees_east"},
                ),
                "generation": ("model", np.repeat([number for number, _ in rows], counts), {"long_name": "CMIP phase"}),
                "months": ("model", np.repeat([months for _, months in rows], counts), length),
            },
            {
                "source": "ICAR-ENSO (Tianchi AI Earth, 2021)",
                "licence": "that of the competition",
                "references": "doi:10.48550/arXiv.2207.05833",
            },
        )

    def fingerprint(self) -> str:
        names = ["CMIP_train.nc", *(["CMIP_label.nc"] if self.labels else [])]
        return " ".join(fingerprint_of(self._file(name), self.storage_options) for name in names)

    def _file(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _series(self, rows: xr.DataArray, url: str, crop: slice | None) -> xr.DataArray:
        import dask.array as da
        from dask.delayed import delayed

        wanted = sum(each.models * each.years for each in self.generations)
        if rows.sizes["year"] != wanted:
            layout = " + ".join(f"{each.models} x {each.years}" for each in self.generations)
            raise SourceError(
                f"{url!r} holds {rows.sizes['year']} rows",
                allowed=f"{wanted} rows: {layout}",
                advice="use the archive's own file, or describe its rows in `generations`",
            )
        width = rows.sizes["month"]
        longest = max(_months(each.years, width) for each in self.generations)
        field = () if crop is None else (rows.sizes["lat"], crop.stop - crop.start)
        read = delayed(_read, pure=True)
        options = dict(self.storage_options)
        scaled = self.normalise and crop is not None
        blocks, first = [], 0
        for each in self.generations:
            for _ in range(each.models):
                block = read(url, str(rows.name), slice(first, first + each.years), crop, longest, scaled, options)
                blocks.append(da.from_delayed(block, (longest, *field), dtype=np.float32))
                first += each.years
        dims = ("model", "month", *(("latitude", "longitude") if field else ()))
        units, name = ("1", "normalised ") if scaled else ("degC", "")
        long_name = f"{name}sea surface temperature anomaly" if field else "Nino3.4, mean of three months from this one"
        series = da.stack(blocks)
        if field:
            # A window is cut from one or two chunks: those of whole series would be decoded for every window.
            series = series.rechunk({1: min(self.months_per_chunk, longest)})
        return xr.DataArray(series, dims=dims, attrs={"units": units, "long_name": long_name})


def _months(years: int, width: int) -> int:
    return (years - 1) * MONTHS + width


def _read(
    url: str, name: str, rows: slice, crop: slice | None, longest: int, scaled: bool, storage_options: Options
) -> Any:
    """One simulation, folded, and NaN to the length of the longest."""
    with open_netcdf(url, storage_options=storage_options) as data:
        array = data[name] if crop is None else data[name].isel(lon=crop)
        width = array.sizes["month"]
        stride = width // MONTHS
        kept = array.isel(year=slice(rows.start, rows.stop, stride)).values
        last = array.isel(year=rows.stop - 1).values
    rest = (rows.stop - rows.start - 1) % stride * MONTHS
    series = np.concatenate([kept.reshape(-1, *kept.shape[2:]), last[width - rest :]]).astype(np.float32)
    if not np.isfinite(series).all():
        at = np.argwhere(~np.isfinite(series))[0]
        raise SourceError(
            f"{name!r} of {url!r} is missing in rows {rows.start}..{rows.stop - 1}, month {at[0]}",
            allowed="finite anomalies, 0 over land",
            advice="fetch the archive again",
        )
    if scaled:
        series = (series - np.float32(LOWEST)) / np.float32(HIGHEST - LOWEST)
    padded = np.full((longest, *series.shape[1:]), np.nan, dtype=np.float32)
    padded[: len(series)] = series
    return padded
