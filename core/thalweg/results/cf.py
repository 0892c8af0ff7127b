"""A forecast by the CF conventions: times of reference and of validity, leads, members, units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import quantities
from ..errors import OptionError
from ..samples.calendar import is_time

if TYPE_CHECKING:
    import xarray as xr

CONVENTIONS = "CF-1.11"
FORMATS = (".nc", ".zarr")


def as_cf(forecast: xr.Dataset, *, title: str, history: str) -> xr.Dataset:
    """`NAME(forecast_reference_time, lead, ...)`, with `time` and `forecast_period` of each reference time and lead.

    Where several series have the same reference times, the first dim stays `sample`, with the reference time of each.
    """
    import numpy as np

    data = forecast.drop_vars([name for name in ("reference_time", "valid_time") if name in forecast.coords])
    data.attrs = {"Conventions": CONVENTIONS, "title": title, "history": history}
    first = "sample"
    if "reference_time" in forecast.coords:
        known = forecast["reference_time"]
        if len(set(known.values.tolist())) == known.size and "sample" not in data.coords:
            first = "forecast_reference_time"
            data = data.rename_dims(sample=first)
        data = data.assign_coords(forecast_reference_time=(first, known.values, _time("forecast_reference_time")))
        valid = forecast["valid_time"].values
        data = data.assign_coords(time=((first, "lead"), valid, _time("time")))
        if is_time(valid):
            since = valid - known.values[:, None]
            hours = since / np.timedelta64(1, "h") if since.dtype.kind == "m" else _hours(since)
            attrs = {"standard_name": "forecast_period", "long_name": "time since the last input", "units": "hours"}
            data = data.assign_coords(forecast_period=((first, "lead"), np.asarray(hours, dtype=np.float64), attrs))
    elif "valid_time" in forecast.coords:
        first = "time"
        data = data.drop_vars("sample", errors="ignore").rename_dims(sample=first)
        data = data.assign_coords(time=(first, forecast["valid_time"].values, _time("time")))
    if "lead" in data.dims:
        data["lead"].attrs = {"long_name": "steps after the last input", "units": "1"}
    if "member" in data.dims:
        count = np.arange(data.sizes["member"], dtype=np.int32)
        attrs = {"standard_name": "realization", "long_name": "member of the ensemble", "units": "1"}
        data = data.rename_dims(member="realization").drop_vars("member", errors="ignore")
        data = data.assign_coords(realization=("realization", count, attrs))
    for name, array in data.data_vars.items():
        array.attrs.setdefault("units", "1")
        array.attrs.setdefault("long_name", str(name))
        if quantities.conversion(str(array.attrs["units"]), "K") is not None:
            kind = "difference" if quantities.is_difference(array) else "on_scale"
            array.attrs["units_metadata"] = f"temperature: {kind}"
    for name in data.coords:
        _axis(data[name])
    return data


def refuse_format(path: Path) -> None:
    """Raise `OptionError` for a name that says no format, or where something else is."""
    if path.suffix not in FORMATS:
        raise OptionError(f"--out {str(path)!r}", allowed=" or ".join(FORMATS), advice="give a name that ends so")
    if path.exists() and path.is_dir() and path.suffix == ".nc":
        raise OptionError(f"--out {str(path)!r} is a folder", allowed="a file", advice="give another name")


def write_forecast(data: xr.Dataset, path: Path) -> None:
    """Write a forecast as NetCDF (`.nc`) or zarr (`.zarr`), by the ending of its name."""
    refuse_format(path)
    encoding: dict[str, dict[str, Any]] = {}
    for key, array in data.variables.items():
        name = str(key)
        if name in data.coords:
            encoding[name] = {"_FillValue": None}
        if is_time(array.values):
            encoding[name] = {"_FillValue": None, "dtype": "float64", **_units_of_time(array)}
    data = data.drop_encoding()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".nc":
        data.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    else:
        data.to_zarr(path, mode="w", consolidated=False, zarr_format=3, encoding=encoding)


def _time(standard_name: str) -> dict[str, str]:
    words = {"time": "time of validity", "forecast_reference_time": "time of the last input"}
    # Neither numpy's dates nor cftime's count leap seconds.
    return {
        "standard_name": standard_name,
        "long_name": words[standard_name],
        "units_metadata": "leap_seconds: none",
    }


def _units_of_time(array: xr.Variable) -> dict[str, str]:
    first = array.values.flat[0]
    year = first.astype("datetime64[Y]").item().year if hasattr(first, "astype") else first.year
    calendar = "standard" if hasattr(first, "astype") else str(first.calendar)
    return {"units": f"hours since {min(1900, year - year % 100):04d}-01-01 00:00:00", "calendar": calendar}


def _hours(since: Any) -> Any:
    import numpy as np

    return np.array([[each.total_seconds() / 3600 for each in row] for row in since])


def _axis(coordinate: xr.DataArray) -> None:
    """The attributes that tell latitude and longitude; what a coordinate says of itself is left."""
    words = {"latitude": "degrees_north", "longitude": "degrees_east"}
    name = str(coordinate.attrs.get("standard_name", coordinate.name))
    if name in words and coordinate.dtype.kind == "f":
        coordinate.attrs.setdefault("standard_name", name)
        coordinate.attrs.setdefault("units", words[name])
    elif coordinate.dtype.kind in "iuf":
        coordinate.attrs.setdefault("units", "1")
    coordinate.attrs.pop("_FillValue", None)
