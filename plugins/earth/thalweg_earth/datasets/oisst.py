"""OISST v2.1: sea-surface temperature on a quarter-degree grid."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import xarray as xr
from pydantic import Field
from thalweg import Dataset

from .._dates import Dates
from ._cf import said_if_accepted
from ._files import dated, dated_fingerprint

_NCEI = "https://www.ncei.noaa.gov/data/sea-surface-temperature-optimum-interpolation/v2.1/access/avhrr/"
_PATTERN = {"day": r"oisst-avhrr-v02r01\.(\d{8})(?:_preliminary)?\.nc$", "month": r"oisst\S*?\.(\d{6})\.nc$"}


class OISST(Dataset):
    """NOAA's optimum-interpolation sea-surface temperature, version 2.1, from September 1981.

    `sea_surface_temperature(time, latitude 720, longitude 1440)`, degC; a day is dated at 00:00, a month on its first
    day. `path` is one file with many times, a folder or a glob of files `oisst-avhrr-v02r01.YYYYMMDD.nc` (in folders
    YYYYMM or not), or their base URL. Raises `SourceError`.
    """

    cite: ClassVar[str] = "10.1175/JCLI-D-20-0166.1"

    path: str = Field(_NCEI, description="file or URL of the source")
    every: Literal["day", "month"] = Field("day", description="time that one file holds, where there are many")
    period: Dates = Field(None, description='first and last date, such as [1982, "2019-06"]')
    storage_options: dict[str, Any] = Field({}, description="options of fsspec for this URL: credentials, endpoint")

    @said_if_accepted()
    def open(self) -> xr.Dataset:
        array = dated(
            self.path,
            "sst",
            pattern=_PATTERN[self.every],
            every=self.every[0].upper(),
            period=self.period,
            missing="allow",
            storage_options=self.storage_options,
        )
        array.attrs |= {"standard_name": "sea_surface_temperature", "long_name": "sea surface temperature"}
        return array.to_dataset(name="sea_surface_temperature").assign_attrs(
            source="NOAA OISST v2.1",
            licence="no constraints",
            references="doi:10.25921/RE9P-PT57",
        )

    def fingerprint(self) -> str:
        return dated_fingerprint(
            self.path,
            pattern=_PATTERN[self.every],
            every=self.every[0].upper(),
            period=self.period,
            storage_options=self.storage_options,
        )
