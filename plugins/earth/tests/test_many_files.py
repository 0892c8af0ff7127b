"""Many files as one series: what agrees is put together in order, what does not is refused with both names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import SourceError
from thalweg_earth.datasets.array import Array
from thalweg_earth.datasets.ersst import ERSST
from thalweg_earth.datasets.oisst import OISST


def part(first: str, steps: int = 2, **attrs: Any) -> xr.Dataset:
    """`v(time, lat, lon)`: its values are the day of the month."""
    times = np.datetime64(first, "ns") + np.arange(steps) * np.timedelta64(1, "D")
    days = np.array([int(str(each)[8:10]) for each in times], "f4")
    return xr.Dataset(
        {"v": (("time", "lat", "lon"), days[:, None, None] * np.ones((2, 3), "f4"), {"units": "K", **attrs})},
        {"time": times, "lat": [10.0, 20.0], "lon": [0.0, 1.0, 2.0]},
    )


def put(folder: Path, name: str, data: xr.Dataset) -> str:
    data.to_netcdf(folder / name, engine="h5netcdf")
    return str(folder / name)


def read(path: Any, **options: Any) -> xr.Dataset:
    return Array(path=path, variables={"v": options.pop("declared", {})}, **options).open()


def days(data: xr.Dataset) -> list[int]:
    return [int(each) for each in data["v"][:, 0, 0]]


def test_a_folder_a_glob_and_a_list_out_of_order_are_one_series(tmp_path: Path) -> None:
    # By name b comes last, by time first; each file in another order of dims, precision and packing.
    one = put(tmp_path, "a1.nc", part("2001-01-03"))
    two = put(tmp_path, "a2.nc", part("2001-01-05").transpose("lat", "lon", "time").astype("f8"))
    three = part("2001-01-01").isel(time=[1, 0]).assign_coords(lat=np.array([10.00001, 20.00001], "f4"))
    packed = {"v": {"dtype": "i2", "scale_factor": 0.5, "add_offset": 3.0, "_FillValue": -9}}
    three.to_netcdf(tmp_path / "b.nc", engine="h5netcdf", encoding=packed)
    for path in (str(tmp_path), f"{tmp_path}/*.nc", [two, one, str(tmp_path / "b.nc")]):
        got = read(path)
        assert days(got) == [1, 2, 3, 4, 5, 6]
        assert got["v"].dims == ("time", "latitude", "longitude") and got["v"].dtype == np.float32
        assert len(got["v"].chunksizes["time"]) == 1
    np.testing.assert_array_equal(got["latitude"], [10, 20])


def test_a_fingerprint_knows_every_file(tmp_path: Path) -> None:
    put(tmp_path, "a.nc", part("2001-01-01"))
    array = Array(path=str(tmp_path), variables=["v"])
    before = array.fingerprint()
    assert array.fingerprint() == before
    put(tmp_path, "b.nc", part("2001-01-03"))
    assert array.fingerprint() != before


def test_files_of_one_step_have_their_time_in_a_scalar(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        one = part(f"2001-01-0{day}", 1).isel(time=0).rename(time="valid_time")
        put(tmp_path, f"step{4 - day}.nc", one)
    assert days(read(str(tmp_path))) == [1, 2, 3]


def test_another_dim_may_be_what_is_cut(tmp_path: Path) -> None:
    for number, row in enumerate((20.0, 10.0)):
        put(tmp_path, f"tile{number}.nc", part("2001-01-01").sel(lat=[row]))
    got = read(str(tmp_path), along="latitude")
    assert got["latitude"].values.tolist() == [20, 10] and got["v"].shape == (2, 2, 3)


def test_zarr_stores_and_netcdf_files_go_together(tmp_path: Path) -> None:
    put(tmp_path, "a.nc", part("2001-01-03"))
    part("2001-01-01").to_zarr(tmp_path / "b.zarr", zarr_format=2)
    assert days(read(str(tmp_path))) == [1, 2, 3, 4]


def test_units_are_converted_where_they_are_declared(tmp_path: Path) -> None:
    put(tmp_path, "a.nc", part("2001-01-01"))
    celsius = part("2001-01-03", units="degC")
    put(tmp_path, "b.nc", celsius)
    got = read(str(tmp_path), declared={"units": "degC"})
    np.testing.assert_allclose(got["v"][:, 0, 0], [1 - 273.15, 2 - 273.15, 3, 4], atol=1e-4)
    put(tmp_path, "c.nc", celsius.assign(v=celsius["v"].assign_attrs(units="degK")))
    assert days(read(f"{tmp_path}/[ac].nc")) == [1, 2, 3, 4]


@pytest.mark.bad_input("sources", "a folder of files where one has {id}")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda data: data.assign(v=data["v"].assign_attrs(units="degC")),
            r"b.nc' has 'v' in 'degC'\n  allowed: 'K', as .*a.nc' has\n  do: declare the units",
            id="other units",
        ),
        pytest.param(
            lambda data: data.assign_coords(lat=[10.0, 25.0]),
            r"has another 'latitude', 2 values, 10 .. 25\n  allowed: 2 values, 10 .. 20, as",
            id="another grid",
        ),
        pytest.param(
            lambda data: data.isel(lat=[1, 0]), "has another 'latitude', 2 values, 20 .. 10", id="rows reversed"
        ),
        pytest.param(lambda data: data.isel(lon=[0, 1]), r"has 'longitude' of shape \(2,\)", id="fewer columns"),
        pytest.param(
            lambda data: data.convert_calendar("noleap", use_cftime=True),
            "has 'time' in the calendar 'noleap'",
            id="another calendar",
        ),
        pytest.param(lambda data: data.drop_vars("lat"), "has no coordinate 'latitude'", id="no latitudes"),
        pytest.param(lambda data: data.rename(v="w"), "holds no variable 'v'", id="another variable"),
        pytest.param(lambda data: data.isel(time=0, drop=True), "has no dim 'time'", id="no time"),
        pytest.param(
            lambda data: data.assign_coords(time=part("2001-01-02")["time"]),
            "a.nc' and in .*b.nc'",
            id="times of another",
        ),
    ],
)
def test_files_that_do_not_agree_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    put(tmp_path, "a.nc", part("2001-01-01"))
    put(tmp_path, "b.nc", change(part("2001-01-03")))
    with pytest.raises(SourceError, match=message):
        read(str(tmp_path))


# --- files whose names have dates


def sst(date: str, value: float, *, units: str = "Celsius", lat: tuple[float, ...] = (-1.0, 0, 1)) -> xr.Dataset:
    values = np.full((1, 1, len(lat), 2), value, "f4")
    return xr.Dataset(
        {"sst": (("time", "zlev", "lat", "lon"), values, {"units": units})},
        {"time": [np.datetime64(date, "ns")], "zlev": [0.0], "lat": list(lat), "lon": [0.0, 1.0]},
    )


def test_a_final_file_is_taken_before_a_preliminary_one(tmp_path: Path) -> None:
    for day in range(1, 7):
        name = f"oisst-avhrr-v02r01.2020010{day}"
        put(tmp_path, f"{name}_preliminary.nc", sst(f"2020-01-0{day}", 9))
        if day < 6:
            put(tmp_path, f"{name}.nc", sst(f"2020-01-0{day}", 1))
    got = OISST(path=str(tmp_path)).open()["sea_surface_temperature"]
    assert got[:, 0, 0].values.tolist() == [1, 1, 1, 1, 1, 9]
    for number in (1, 2):
        put(tmp_path, f"v_0{number}.nc", part(f"2001-01-0{number}", 1))
    put(tmp_path, "v_02_prelim.nc", part("2001-01-02", 1) * 0)
    assert days(read(f"{tmp_path}/v_*.nc")) == [1, 2]


@pytest.mark.bad_input("sources", "two final files of one day in a folder of OISST")
def test_two_final_files_of_a_date_are_refused(tmp_path: Path) -> None:
    for folder in ("202001", "copy"):
        (tmp_path / folder).mkdir()
    put(tmp_path, "oisst-avhrr-v02r01.20200101.nc", sst("2020-01-01", 1))
    put(tmp_path / "202001", "oisst-avhrr-v02r01.20200101.nc", sst("2020-01-01", 2))
    with pytest.raises(SourceError, match="holds two files of 2020-01-01"):
        OISST(path=str(tmp_path)).open()


def test_each_month_is_read_in_its_own_units_and_limits(tmp_path: Path) -> None:
    put(tmp_path, "ersst.v5.200001.nc", sst("2000-01-01", 20))
    put(tmp_path, "ersst.v5.200002.nc", sst("2000-02-01", 293.15, units="kelvin"))
    warm = sst("2000-03-01", 20)
    warm["sst"].attrs["valid_max"] = np.float32(10)
    put(tmp_path, "ersst.v5.200003.nc", warm)
    got = ERSST(path=str(tmp_path)).open()["sea_surface_temperature"]
    np.testing.assert_allclose(got[:, 0, 0], [20, 20, np.nan], atol=1e-4)
    single = ERSST(path=str(tmp_path / "ersst.v5.200002.nc")).open()["sea_surface_temperature"]
    np.testing.assert_allclose(single, 20, atol=1e-4)
    assert single.attrs["units"] == "degC"


@pytest.mark.bad_input("sources", "a folder of one file a month where one has {id}")
@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param({"units": "m"}, "has units 'm', not 'degC'", id="a length for a temperature"),
        pytest.param({"lat": (-2.0, 0, 2)}, "has the latitude -2 .. 2", id="another grid"),
        pytest.param({"lat": (1.0, 0, -1)}, "has the latitude 1 .. -1", id="its rows reversed"),
    ],
)
def test_a_month_that_is_not_like_the_first_is_refused(other: Any, message: str, tmp_path: Path) -> None:
    put(tmp_path, "ersst.v5.200001.nc", sst("2000-01-01", 20))
    put(tmp_path, "ersst.v5.200002.nc", sst("2000-02-01", 20, **other))
    with pytest.raises(SourceError, match=message):
        ERSST(path=str(tmp_path)).open().compute()


@pytest.mark.bad_input("sources", "a folder in which one file declares kelvins and another no units")
@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_file_without_units_is_not_taken_for_converted(silent: int, tmp_path: Path) -> None:
    for number in range(3):
        data = part(f"2001-01-0{1 + 2 * number}")
        put(tmp_path, f"{number}.nc", data.assign(v=data.v.drop_attrs()) if number == silent else data)
    with pytest.raises(SourceError, match=rf"{silent}.nc' has no units of 'v'\n  allowed: units, which are converted"):
        read(str(tmp_path), declared={"units": "degC"})
    assert days(read(str(tmp_path), declared={"units": "K"})) == [1, 2, 3, 4, 5, 6], "nothing is converted"


@pytest.mark.bad_input("sources", "a folder whose files hold different orographies beside their series")
def test_a_field_without_time_is_the_same_in_all_files(tmp_path: Path) -> None:
    """It was that of the first file."""
    for number in range(2):
        height = (("lat", "lon"), np.full((2, 3), 1.0 + number, "f4"), {"units": "m"})
        put(tmp_path, f"{number}.nc", part(f"2001-01-0{1 + 2 * number}").assign(z=height))
    with pytest.raises(SourceError, match=r"1\.nc' has other values of 'z', which does not change along 'time'"):
        Array(path=str(tmp_path), variables=["v", "z"]).open()
    put(tmp_path, "1.nc", part("2001-01-03").assign(z=(("lat", "lon"), np.ones((2, 3), "f4"), {"units": "m"})))
    assert Array(path=str(tmp_path), variables=["v", "z"]).open()["z"].dims == ("latitude", "longitude")
