"""A sample of OSTIA sea-surface temperatures, installed from PyPI."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import xarray as xr
from thalweg import Dataset, SourceError

from ._cf import chunked, finished, name_axes, pick, said_if_accepted
from ._source import fingerprint_of, open_netcdf


class OSTIASample(Dataset):
    """54 monthly means of OSTIA sea-surface temperature along the equator, from the package `iris-sample-data`.

    `sea_surface_temperature(time 54, latitude 18, longitude 432)`, K, April 2006 to September 2010; land is
    missing. Needs no path and no network. Raises `SourceError` where the package is not installed.
    """

    cite: ClassVar[str] = "10.1016/j.rse.2010.10.017"

    @said_if_accepted()
    def open(self) -> xr.Dataset:
        path = _path()
        data = name_axes(open_netcdf(path))
        array = pick(data, "surface_temperature", path).reset_coords(drop=True)
        array = chunked(array.to_dataset(name="sea_surface_temperature"))["sea_surface_temperature"]
        array = finished(array, units="K", missing="allow", source=path)
        array.attrs |= {"standard_name": "sea_surface_temperature", "long_name": "sea surface temperature"}
        return array.to_dataset().assign_attrs(
            source="OSTIA, in iris-sample-data",
            licence="Open Government Licence",
            references="doi:10.1016/j.rse.2010.10.017",
        )

    def fingerprint(self) -> str:
        return fingerprint_of(_path())


def _path() -> str:
    try:
        import iris_sample_data
    except ImportError as error:
        raise SourceError(
            "the package iris-sample-data is not installed",
            allowed="the sample that it installs",
            advice="install thalweg[demo]",
        ) from error
    return str(Path(str(iris_sample_data.path)) / "ostia_monthly.nc")
