"""Kaplan extended SST v2: monthly anomalies on a 5-degree grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import xarray as xr
from pydantic import Field
from thalweg import Dataset

from ._cf import chunked, finished, name_axes, pick, said_if_accepted
from ._source import fingerprint_of, open_netcdf


class Kaplan(Dataset):
    """Sea-surface temperature anomalies of Kaplan's reduced-space optimal smoother, 1856 to now.

    `sst_anomaly(time, latitude, longitude)`, degC, from a file that holds them as `variable`.
    Land is missing (NaN), and so is a month that was not analysed: neither is an anomaly of 0. Before 1982 the analysis
    is smoother than after. Raises `SourceError`.
    """

    cite: ClassVar[str] = "10.1029/97JC01736"
    example: ClassVar[Mapping[str, Any]] = {"path": "kaplan.nc"}

    path: str = Field(description="file or URL of the source")
    variable: str = Field("ssta", description="the name of the anomalies in the file")

    @said_if_accepted()
    def open(self) -> xr.Dataset:
        data = name_axes(open_netcdf(self.path))
        array = chunked(pick(data, self.variable, self.path).to_dataset(name="sst_anomaly"))["sst_anomaly"]
        array = finished(array, units=str(array.attrs.get("units", "degC")), missing="allow", source=self.path)
        array.attrs |= {"long_name": "sea surface temperature anomaly"}
        return array.to_dataset().assign_attrs(
            source="Kaplan extended SST v2",
            licence="that of the copy; the analysis is distributed by NOAA PSL",
            references="doi:10.1029/97JC01736",
        )

    def fingerprint(self) -> str:
        return fingerprint_of(self.path)
