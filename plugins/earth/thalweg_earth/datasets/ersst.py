"""ERSST v5: monthly sea-surface temperature on a 2-degree grid."""

from __future__ import annotations

from typing import Any, ClassVar

import xarray as xr
from pydantic import Field
from thalweg import Dataset

from .._dates import Dates
from ._cf import said_if_accepted
from ._files import dated, dated_fingerprint


class ERSST(Dataset):
    """NOAA's extended reconstructed sea-surface temperature, version 5, monthly from 1854.

    `sea_surface_temperature(time, latitude 89, longitude 180)`, degC, one field per month, dated on its first day.
    `path` is one file with many months, a folder or a glob of the monthly files `ersst.v5.YYYYMM.nc`, or their base
    URL. Raises `SourceError`.
    """

    cite: ClassVar[str] = "10.1175/JCLI-D-16-0836.1"

    path: str = Field(
        "https://www.ncei.noaa.gov/pub/data/cmb/ersst/v5/netcdf/", description="file or URL of the source"
    )
    period: Dates = Field(None, description="first and last month, such as [1871, 2014]")
    storage_options: dict[str, Any] = Field({}, description="options of fsspec for this URL: credentials, endpoint")

    @said_if_accepted()
    def open(self) -> xr.Dataset:
        array = dated(
            self.path,
            "sst",
            pattern=r"ersst\.v5\.(\d{6})\.nc$",
            every="M",
            period=self.period,
            missing="allow",
            storage_options=self.storage_options,
        )
        array.attrs |= {"standard_name": "sea_surface_temperature", "long_name": "sea surface temperature"}
        return array.to_dataset(name="sea_surface_temperature").assign_attrs(
            source="NOAA ERSST v5",
            licence="no constraints",
            references="doi:10.7289/V5T72FNM",
        )

    def fingerprint(self) -> str:
        return dated_fingerprint(
            self.path,
            pattern=r"ersst\.v5\.(\d{6})\.nc$",
            every="M",
            period=self.period,
            storage_options=self.storage_options,
        )
