"""What a file declares is obeyed, or refused: fills, packing, limits, units, calendars, names of dims."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cftime
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from thalweg import OptionError, SourceError
from thalweg_earth.datasets.array import Array

LAT, LON = np.array([-30.0, 0.0, 45.0]), np.array([0.0, 90.0])


def grid(values: Any, **attrs: Any) -> xr.Dataset:
    """`v(time, lat, lon)` whose fields are constant: one number, or one a step."""
    steps = np.asarray(values)
    field = np.broadcast_to(steps[:, None, None], (len(steps), 3, 2)).copy()
    times = np.datetime64("2001-01-01", "ns") + np.arange(len(steps)) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"v": (("time", "lat", "lon"), field, {"units": "K", **attrs})},
        {
            "time": times,
            "lat": ("lat", LAT, {"units": "degrees_north"}),
            "lon": ("lon", LON, {"units": "degrees_east"}),
        },
    )


def saved(data: xr.Dataset, folder: Path, name: str = "v.nc", **encoding: Any) -> str:
    path = folder / name
    # Without a declared fill, but for what `encoding` gives.
    data.to_netcdf(path, engine="h5netcdf", encoding={"v": {"_FillValue": None, **encoding}})
    return str(path)


def raw(folder: Path, values: np.ndarray, name: str = "raw.nc", **attrs: Any) -> str:  # type: ignore[type-arg]
    """A file as another program writes it: numbers and attributes as they are."""
    path = saved(grid(np.zeros(len(values))).drop_vars("v").assign(v=(("time", "lat", "lon"), values)), folder, name)
    with h5py.File(path, "a") as file:
        for key, each in {"units": "K", **attrs}.items():
            file["v"].attrs[key] = each
    return path


def read(path: Any, **options: Any) -> xr.DataArray:
    options = {"missing": "allow", **options}
    return Array(path=path, variables={"v": options.pop("declared", {})}, **options).open()["v"]


def firsts(array: xr.DataArray) -> list[float]:
    return [float(each) for each in array[:, 0, 0]]


NAN = float("nan")


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"valid_min": np.float32(2)}, [NAN, 2, 3, 4]),
        ({"valid_max": np.float32(3)}, [1, 2, 3, NAN]),
        ({"valid_range": np.array([2, 3], "f4")}, [NAN, 2, 3, NAN]),
        ({"valid_range": np.array([2, 3], "i2")}, [NAN, 2, 3, NAN]),
        ({"actual_range": np.array([2, 3], "f4")}, [1, 2, 3, 4]),
        ({"missing_value": np.array([1, 4], "f4")}, [NAN, 2, 3, NAN]),
        ({"missing_value": np.float32(1), "_FillValue": np.float32(4)}, [NAN, 2, 3, NAN]),
        ({"missing_value": "3"}, [1, 2, NAN, 4]),
        ({"valid_min": np.float32(NAN), "valid_max": np.float32(3)}, [1, 2, 3, NAN]),
        ({}, [1, 2, 3, 4]),
    ],
)
def test_limits_and_fills_of_floats(attrs: dict[str, Any], expected: list[float], tmp_path: Path) -> None:
    values = grid([1.0, 2, 3, 4])["v"].values.astype("f4")
    np.testing.assert_array_equal(firsts(read(raw(tmp_path, values, **attrs))), expected)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("fill", [1e20, -9.99e33, -99.9])
def test_a_fill_of_another_precision_is_the_same_number(fill: float, kind: str, tmp_path: Path) -> None:
    """1e20 in double precision is none of the numbers that single precision has."""
    values = grid([1.0, fill])["v"].values.astype(kind)
    for number, name in enumerate(("missing_value", "_FillValue")):
        found = read(raw(tmp_path, values, f"{number}.nc", **{name: np.float64(np.asarray(fill, kind))}))
        np.testing.assert_array_equal(firsts(found), [1, NAN])
    found = read(raw(tmp_path, values, "other.nc", missing_value=np.array([7, fill])))
    np.testing.assert_array_equal(firsts(found), [1, NAN])


@pytest.mark.parametrize(
    ("kind", "values", "attrs", "expected"),
    [
        ("i2", [1, -99], {"missing_value": np.float32(-9.9), "scale_factor": 0.1}, [0.1, NAN]),
        ("i2", [1, -99], {"missing_value": np.int32(-99), "scale_factor": 0.1}, [0.1, NAN]),
        ("u1", [1, 255], {"missing_value": np.float32(255)}, [1, NAN]),
        ("u1", [1, 255], {"missing_value": np.float32(-999)}, [1, 255]),
        ("u1", [1, 254], {"missing_value": np.float32(95), "scale_factor": 0.5, "add_offset": -32.0}, [-31.5, 95]),
        ("i1", [1, -1], {"missing_value": 255.0, "_Unsigned": "true"}, [1, NAN]),
        ("i1", [1, -6], {"valid_max": np.int8(-7), "_Unsigned": "true", "scale_factor": 0.5}, [0.5, NAN]),
        ("i2", [1, 300], {"scale_factor": 0.1, "valid_min": np.float32(0), "valid_max": np.float32(20)}, [0.1, NAN]),
        ("i2", [1, 300], {"scale_factor": 0.1, "valid_min": np.int16(0), "valid_max": np.int16(200)}, [0.1, NAN]),
        ("i2", [1, 2], {"scale_factor": "0.1"}, [0.1, 0.2]),
    ],
)
def test_declarations_in_another_type_than_the_values(
    kind: str, values: list[int], attrs: dict[str, Any], expected: list[float], tmp_path: Path
) -> None:
    path = raw(tmp_path, grid(values)["v"].values.astype(kind), **attrs)
    np.testing.assert_allclose(firsts(read(path)), expected, rtol=1e-6)


@pytest.mark.bad_input("sources", "a scale factor of 0, with which every value would be the same")
def test_packing_that_loses_the_values_is_refused(tmp_path: Path) -> None:
    path = raw(tmp_path, grid([1, 2])["v"].values.astype("i2"), scale_factor=0.0)
    with pytest.raises(SourceError, match="scale_factor is"):
        read(path)
    assert firsts(read(path, ignore=["scale_factor"])) == [1, 2], "what is ignored is not obeyed"


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_what_is_not_finite_is_missing(kind: str, tmp_path: Path) -> None:
    path = raw(tmp_path, grid([1.0, np.inf])["v"].values.astype(kind))
    np.testing.assert_array_equal(firsts(read(path)), [1, NAN])
    assert firsts(read(path, missing="zero")) == [1, 0]


@pytest.mark.parametrize(
    ("packing", "limits", "expected"),
    [
        ({"scale_factor": 0.1}, {"valid_max": np.int16(25)}, [NAN, 2.0, 2.5, NAN]),
        ({"scale_factor": 0.1}, {"valid_max": 2.5}, [NAN, 2.0, 2.5, NAN]),
        ({"add_offset": 10.0}, {"valid_max": np.int16(25)}, [NAN, 30, 35, NAN]),
        ({"scale_factor": 0.1, "add_offset": 1.0}, {"valid_range": np.array([20, 25], "i2")}, [NAN, 3, 3.5, NAN]),
        ({"scale_factor": -0.1}, {"valid_max": np.int16(25)}, [NAN, -2.0, -2.5, NAN]),
        ({"scale_factor": 0.1}, {}, [NAN, 2.0, 2.5, 2.6]),
    ],
)
def test_limits_of_packed_values_are_packed(
    packing: dict[str, float], limits: dict[str, Any], expected: list[float], tmp_path: Path
) -> None:
    """The first field is NetCDF's default fill of short integers, which nobody declared."""
    values = grid([-32767, 20, 25, 26])["v"].values.astype("i2")
    got = read(raw(tmp_path, values, **packing, **limits))
    np.testing.assert_allclose(firsts(got), expected, rtol=1e-6)


def test_unsigned_bytes_have_unsigned_limits(tmp_path: Path) -> None:
    values = np.array([0, 100, -56, -6], "i1")[:, None, None] * np.ones((3, 2), "i1")
    path = raw(tmp_path, values, _Unsigned="true", valid_range=np.array([0, -56], "i1"), scale_factor=0.5)
    np.testing.assert_array_equal(firsts(read(path)), [0, 50, 100, NAN])


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_default_fills_of_floats_are_missing(kind: str, tmp_path: Path) -> None:
    values = grid([1.0, 9.969209968386869e36])["v"].values.astype(kind)
    np.testing.assert_array_equal(firsts(read(raw(tmp_path, values))), [1, NAN])


def test_default_fills_of_integers_are_missing_and_bytes_have_none(tmp_path: Path) -> None:
    values = grid([1, -2147483647])["v"].values.astype("i4")
    path = raw(tmp_path, values)
    np.testing.assert_array_equal(firsts(read(path)), [1, NAN])
    np.testing.assert_array_equal(firsts(read(path, missing="zero")), [1, 0])
    with pytest.raises(SourceError, match=r"is missing .* at time=1, latitude=0, longitude=0"):
        read(path, missing="refuse").compute()
    whole = read(raw(tmp_path, values[:1], "whole.nc"), missing="refuse")
    assert whole.dtype == np.int32
    small = read(raw(tmp_path, grid([255, -127])["v"].values.astype("u1"), "bytes.nc"), missing="refuse")
    assert small.dtype == np.uint8


def test_values_that_only_the_user_knows_to_be_missing(tmp_path: Path) -> None:
    path = saved(grid([1.0, -99.0]), tmp_path)
    assert firsts(read(path)) == [1, -99]
    np.testing.assert_array_equal(firsts(read(path, missing_values=[-99])), [1, NAN])


@pytest.mark.bad_input("sources", "a missing value that is declared by a word")
def test_fills_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = raw(tmp_path, np.ones((2, 3, 2), "f4"), missing_value="none at all")
    with pytest.raises(SourceError, match="cannot be read: ValueError: could not convert string to float"):
        read(path)
    assert firsts(read(path, ignore=["missing_value"])) == [1, 1]


@pytest.mark.bad_input("sources", "limits of the values that the file declares wrongly: {id}")
@pytest.mark.parametrize(
    "attrs",
    [pytest.param({"valid_range": "0, 100"}, id="text"), pytest.param({"valid_range": np.ones(3)}, id="three numbers")],
)
def test_limits_that_cannot_be_obeyed_are_refused(attrs: dict[str, Any], tmp_path: Path) -> None:
    path = raw(tmp_path, np.ones((2, 3, 2), "f4"), **attrs)
    with pytest.raises(SourceError, match=r"declares the limits .*\n.*\n  do: .*ignore: \[valid_range"):
        read(path).compute()
    assert firsts(read(path, ignore=["valid_range"])) == [1, 1]


def test_an_empty_field_by_wrong_limits_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = raw(tmp_path, np.ones((2, 3, 2), "f4"), valid_max=np.float32(0.5))
    assert np.isnan(firsts(read(path))).all()
    assert "every value of the first field (1 .. 1) lies outside of the limits" in caplog.text
    assert "set `ignore: [valid_range" in caplog.text


# --- zarr


def plain_zarr(folder: Path, fill: Any, form: int = 2, **attrs: Any) -> str:
    path = folder / f"{form}.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=form)  # type: ignore[arg-type]
    rain = np.array([0, 0, 0, 4], "f4")[:, None] * np.ones(3, "f4")
    for name, values, dims in (("v", rain, ["time", "x"]), ("time", np.arange(4), ["time"])):
        more: Any = {"dimension_names": dims} if form == 3 else {}
        held: Any = group.create_array(
            name, shape=values.shape, dtype=values.dtype, fill_value=fill if name == "v" else 0, **more
        )
        held[...] = values
        if form == 2:
            held.attrs["_ARRAY_DIMENSIONS"] = dims
        held.attrs.update(attrs if name == "v" else {"units": "days since 2000-01-01"})
    return str(path)


@pytest.mark.parametrize(
    ("form", "fill", "attrs", "mean"),
    [(2, 0, {}, 1.0), (2, 4, {}, 0.0), (2, 0, {"_FillValue": 0}, 4.0), (2, 4, {"_FillValue": 0}, 4.0), (3, 4, {}, 1.0)],
)
def test_fills_of_zarr(form: int, fill: int, attrs: dict[str, Any], mean: float, tmp_path: Path) -> None:
    """A `fill_value` of 0 is what zarr makes arrays with; of version 3, every array has one."""
    assert float(read(plain_zarr(tmp_path, fill, form, **attrs)).mean()) == mean
    if mean == 1.0:
        assert float(read(plain_zarr(tmp_path, fill, form, **attrs), missing_values=[0]).mean()) == 4.0


@pytest.mark.parametrize("kind", ["f4", "i2"])
def test_a_fill_of_zarr_3_may_be_written_as_a_number(kind: str, tmp_path: Path) -> None:
    """xarray writes base64, and stumbles over what others write."""
    path = tmp_path / "n.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, dims, values in (("v", ["time", "y", "x"], np.array([[[1, -9]]], kind)), ("time", ["time"], np.zeros(1))):
        held = group.create_array(name, data=values, dimension_names=dims)
        held.attrs.update({"_FillValue": -9} if name == "v" else {"units": "days since 2000-01-01"})
    np.testing.assert_array_equal(read(str(path)).values.ravel(), [1, NAN])


def test_a_group_of_zarr(tmp_path: Path) -> None:
    grid([1.0, 2]).to_zarr(tmp_path / "g.zarr", group="deep/er", zarr_format=3, consolidated=False)
    assert firsts(read(str(tmp_path / "g.zarr"), group="deep/er")) == [1, 2]


# --- units


def test_units_are_converted_by_meaning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(grid([273.15, 283.15], valid_range=np.array([200.0, 300.0])), tmp_path)
    got = read(path, declared={"units": "celsius"})
    np.testing.assert_allclose(firsts(got), [0, 10], atol=1e-5)
    assert got.attrs["units"] == "degC" and got.attrs["source_units"] == "K"
    assert got.attrs["valid_range"] == pytest.approx([-73.15, 26.85])
    assert "'v' of" in caplog.text and "is converted from 'K' to 'celsius': times 1 plus -273.15" in caplog.text
    named = saved(grid([273.15]), tmp_path, "named.nc")
    mine = Array(path=named, variables={"sst_anomaly": {"from": "v", "units": "degC"}}).open()["sst_anomaly"]
    np.testing.assert_allclose(firsts(mine), [0], atol=1e-4, err_msg="what the recipe calls it does not say what it is")
    anomaly = read(saved(grid([1.0, 2], long_name="temperature anomaly"), tmp_path, "a.nc"), declared={"units": "degC"})
    assert firsts(anomaly) == [1, 2]
    wind = read(saved(grid([1.0, 2], units="m s**-1"), tmp_path, "u.nc"), declared={"units": "m/s"})
    assert firsts(wind) == [1, 2] and wind.attrs["units"] == "m s-1" and "source_units" not in wind.attrs
    old = read(saved(grid([1000.0, 1010], units="mb"), tmp_path, "p.nc"), declared={"units": "Pa"})
    np.testing.assert_allclose(firsts(old), [1e5, 1.01e5])
    assert "units 'mb' are read as 'hPa'" in caplog.text


@pytest.mark.bad_input("sources", "a source with two faults: units to convert, and a time that is there twice")
def test_nothing_is_said_of_conversions_of_what_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = grid([50.0, 59.0, 68.0], units="degF")
    twice = good.assign_coords(time=good["time"].values[[0, 1, 1]])
    with pytest.raises(SourceError):
        read(saved(twice, tmp_path, "twice.nc"), declared={"units": "K"})
    assert not caplog.text
    # The same words, once the source is mended.
    read(saved(good, tmp_path, "twice.nc"), declared={"units": "K"})
    assert "is converted from 'degF' to 'K'" in caplog.text


@pytest.mark.bad_input("sources", "units that cannot be what the recipe asks for: {id}")
@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        pytest.param("kg m-2 s-1", "mm h-1", id="a mass flux for a rain rate"),
        pytest.param("dBZ", "mm h-1", id="a logarithm for a rate"),
        pytest.param("m", "K", id="metres for kelvins"),
    ],
)
def test_units_that_cannot_be_converted_are_refused(held: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"has units '{held}', not '{wanted}'"):
        read(saved(grid([1.0, 2], units=held), tmp_path), declared={"units": wanted})


# --- coordinates


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_radians_and_degrees_south_become_degrees_north(kind: str, tmp_path: Path) -> None:
    data = grid([1.0, 2]).assign_coords(
        lat=("lat", np.deg2rad(LAT).astype(kind), {"units": "radians"}),
        lon=("lon", np.deg2rad(LON).astype(kind), {"units": "rad"}),
    )
    got = read(saved(data, tmp_path))
    np.testing.assert_allclose(got["latitude"], LAT, atol=1e-5)
    np.testing.assert_allclose(got["longitude"], LON, atol=1e-5)
    assert got["latitude"].attrs["units"] == "degrees_north"
    south = grid([1.0, 2]).assign_coords(lat=("lat", -LAT, {"units": "degrees_south"}))
    np.testing.assert_array_equal(read(saved(south, tmp_path, "s.nc"))["latitude"], LAT)


@pytest.mark.bad_input("sources", "a latitude that is none: {id}")
@pytest.mark.parametrize(
    ("values", "units", "message"),
    [
        pytest.param(LAT * 1e5, "m", "are no angle", id="in metres"),
        pytest.param(LAT * 3, "degrees_north", "goes to 135 degrees", id="beyond the pole"),
        pytest.param(LAT, "degrees_east", "are not of a latitude", id="degrees east"),
    ],
)
def test_what_is_no_latitude_is_refused(values: Any, units: str, message: str, tmp_path: Path) -> None:
    data = grid([1.0, 2]).assign_coords(lat=("lat", values, {"units": units}))
    with pytest.raises(SourceError, match=message):
        read(saved(data, tmp_path))


def test_latitudes_of_a_curvilinear_grid_may_be_missing_on_land(tmp_path: Path) -> None:
    from thalweg import score
    from thalweg_earth.metrics.rmse import RMSE

    two = np.array([[0.0, 60.0], [np.nan, np.nan], [0.0, 60.0]])
    data = grid([1.0, 2]).rename(lat="j", lon="i").drop_vars(["j", "i"])
    data = data.assign_coords(nav_lat=(("j", "i"), two, {"units": "degrees_north"}))
    got = read(saved(data, tmp_path))
    assert int(got["latitude"].isnull().sum()) == 2
    truth = got.rename(time="sample").drop_vars("sample").expand_dims(lead=[1], axis=1).to_dataset().load()
    estimate = truth + xr.DataArray([2.0, 5.0], dims="i")
    found = float(score(RMSE(weights="area"), estimate, truth).overall)
    np.testing.assert_allclose(found, np.sqrt((2.0**2 * 1 + 5.0**2 * 0.5) / 1.5))


@pytest.mark.bad_input("sources", "a dim of the source has a name of the pipeline's own: {id}")
@pytest.mark.parametrize("name", [pytest.param(n, id=n) for n in ("lead", "sample", "window", "member", "number")])
def test_dims_of_the_houses_own_are_refused_or_renamed(name: str, tmp_path: Path) -> None:
    path = saved(grid([1.0, 2]).expand_dims({name: 2}), tmp_path)
    with pytest.raises(OptionError, match=rf"has a dim '{name}', .*\n.*\n  do: rename it: `rename: {{{name}: "):
        read(path)
    assert "realization" in read(path, rename={name: "realization"}).dims


# --- times


def test_times_are_sorted_and_other_calendars_are_kept(tmp_path: Path) -> None:
    data = grid([1.0, 2, 3])
    assert firsts(read(saved(data.isel(time=[2, 1, 0]), tmp_path, "down.nc"))) == [1, 2, 3]
    assert firsts(read(saved(data.isel(time=[1, 2, 0]), tmp_path, "mixed.nc"))) == [1, 2, 3]
    for calendar in ("noleap", "360_day"):
        days = xr.date_range("2000-02-27", periods=3, freq="D", calendar=calendar, use_cftime=True)
        got = read(saved(data.assign_coords(time=days), tmp_path, f"{calendar}.nc"))
        assert got["time"].dt.calendar == calendar
        assert got["time"].dt.day.values.tolist() == ([27, 28, 1] if calendar == "noleap" else [27, 28, 29])


@pytest.mark.bad_input("sources", "an axis of time {id}")
@pytest.mark.parametrize(
    ("days", "message"),
    [
        pytest.param([0.0, 1.0, 1.0], "has 2001-01-02.* twice", id="with one time twice"),
        pytest.param([0.0, np.nan, 2.0], "is missing at position 1", id="with a time that is missing"),
    ],
)
def test_axes_that_are_no_axes_are_refused(days: list[float], message: str, tmp_path: Path) -> None:
    data = grid([1.0, 2, 3]).assign_coords(time=("time", days, {"units": "days since 2001-01-01"}))
    with pytest.raises(SourceError, match=message):
        read(saved(data, tmp_path))


def test_an_axis_of_dates_is_time_by_other_names(tmp_path: Path) -> None:
    for name in ("T", "date", "time_counter"):
        assert read(saved(grid([1.0, 2]).rename(time=name), tmp_path, f"{name}.nc")).dims[0] == "time"


@pytest.mark.parametrize(
    ("units", "numbers", "expected"),
    [
        ("day as %Y%m%d.%f", [20010131.5, 20010201.25], ["2001-01-31T12", "2001-02-01T06"]),
        ("month as %Y%m.%f", [200101.5, 200112], ["2001-01-16T12", "2001-12-01T00"]),
        ("YYYYMMDD", [20010131, 20010201], ["2001-01-31T00", "2001-02-01T00"]),
        ("months since 2001-01", [0, 11.5], ["2001-01-01T00", "2001-12-16T12"]),
        ("years since 2001", [0, 1.5], ["2001-01-01T00", "2002-07-01T00"]),
    ],
)
def test_dates_as_other_programs_write_them(
    units: str, numbers: list[float], expected: list[str], tmp_path: Path
) -> None:
    """CDO writes dates as numbers; as such the last of January and the first of February lay 70 steps apart."""
    data = grid([1.0, 2]).assign_coords(time=("time", numbers, {"units": units}))
    assert [str(each)[:13] for each in read(saved(data, tmp_path))["time"].values] == expected


@pytest.mark.bad_input("sources", "times that are written as text")
def test_times_that_are_text_are_not_dropped(tmp_path: Path) -> None:
    data = grid([1.0, 2]).assign_coords(time=np.array([b"20010101", b"20010201"]))
    with pytest.raises(SourceError, match=r"'time' of .* holds text, such as '20010101'"):
        read(saved(data, tmp_path))


@pytest.mark.bad_input("sources", "a file whose fields lie in a group that the recipe does not name")
def test_a_file_without_fields_asks_for_the_group(tmp_path: Path) -> None:
    grid([1.0]).to_netcdf(tmp_path / "g.nc", group="deep", engine="h5netcdf")
    with pytest.raises(SourceError, match=r"nor another\n.*\n  do: name the group in `group`"):
        read(str(tmp_path / "g.nc"))


@pytest.mark.bad_input("sources", "a global grid in radians that declares no units")
def test_a_grid_that_closes_in_radians_is_not_taken_for_degrees(tmp_path: Path) -> None:
    data = grid([1.0]).isel(lat=[0], lon=[0]).drop_vars(["lat", "lon"])
    lat, lon = np.deg2rad(np.linspace(-80, 80, 9)), np.deg2rad(np.arange(0, 360, 10.0))
    wide = data.isel(lat=0, lon=0).expand_dims(lat=lat, lon=lon).transpose("time", "lat", "lon")
    with pytest.raises(SourceError, match="declare no units, and go round the globe in radians"):
        read(saved(wide, tmp_path))
    for axis in ("lat", "lon"):
        wide[axis].attrs["units"] = "radian"
    np.testing.assert_allclose(read(saved(wide, tmp_path, "said.nc"))["longitude"], np.arange(0, 360, 10.0))
    box = wide.assign_coords(lat=np.arange(-1, 1.25, 0.25), lon=np.arange(36) * 0.25)
    assert float(read(saved(box, tmp_path, "box.nc"))["longitude"][-1]) == 8.75


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_months_since_are_months_of_the_calendar(kind: str, tmp_path: Path) -> None:
    months = np.array([-1.5, 0.5, 719.5], kind)
    data = grid([1.0, 2, 3]).rename(time="T", lat="Y", lon="X")
    attrs = {"units": "months since 1960-01-01", "standard_name": "time"}
    iri = data.assign_coords(T=("T", months, {**attrs, "calendar": "360"}))
    got = read(saved(iri, tmp_path, "iri.nc"))
    assert [str(each)[:10] for each in got["time"].values] == ["1959-11-16", "1960-01-16", "2019-12-16"]
    assert isinstance(got["time"].values[0], cftime.Datetime360Day)
    assert got.dims == ("time", "latitude", "longitude")
    real = data.assign_coords(T=("T", months, attrs))
    got = read(saved(real, tmp_path, "real.nc"))
    assert [str(each)[:13] for each in got["time"].values] == ["1959-11-16T00", "1960-01-16T12", "2019-12-16T12"]
    years = data.assign_coords(T=("T", np.array([0, 1, 2], "i4"), {**attrs, "units": "years since 1999-12-31"}))
    got = read(saved(years, tmp_path, "years.nc"))
    assert [str(each)[:10] for each in got["time"].values] == ["1999-12-31", "2000-12-31", "2001-12-31"]


def test_edges_of_a_period_or_a_box_have_a_tolerance() -> None:
    from thalweg_earth._dates import inside

    degrees = xr.DataArray(np.arange(-1, 1.01, 0.1, dtype="f4"), dims="y").astype("f8")
    assert int(inside(degrees, (-0.3, 0.3)).sum()) == 7
    metres = xr.DataArray(np.arange(5e6, 5e6 + 5000, 1000.0), dims="y")
    assert int(inside(metres, (5e6, 5e6 + 1990)).sum()) == 2
    hours = np.datetime64("1999-12-31T23:59:59.999997", "ns") + np.arange(3) * np.timedelta64(1, "D")
    assert int(inside(xr.DataArray(hours, dims="time"), (2000, "2000-01-02")).sum()) == 2


# --- groups and compression


def test_a_group_has_the_coordinates_of_the_groups_around_it(tmp_path: Path) -> None:
    data = grid([1.0, 2])
    path = tmp_path / "groups.nc"
    data.drop_vars("v").to_netcdf(path, engine="h5netcdf")
    data[["v"]].drop_vars(["time", "lat", "lon"]).to_netcdf(path, engine="h5netcdf", group="science/grids", mode="a")
    got = read(str(path), group="/science/grids")
    np.testing.assert_array_equal(got["latitude"], LAT)
    assert str(got["time"].values[1])[:10] == "2001-01-02"
    with pytest.raises(SourceError, match=r"has no group 'science/grid'\n  allowed: science, science/grids"):
        read(str(path), group="science/grid")


def pack(path: str, form: str) -> str:
    import bz2
    import lzma

    packed = f"{path}.{form}"
    if form == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(path, Path(path).name)
    else:
        opened: Any = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[form]
        with opened(packed, "wb") as file:
            file.write(Path(path).read_bytes())
    return packed


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "zip"])
def test_compressed_files_are_read(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    packed = pack(saved(grid([1.0, 2]), tmp_path), form)
    data = Array(path=packed, variables=["v"]).open()
    # Another machine has unpacked nothing yet.
    shutil.rmtree(tmp_path / "cache")
    assert firsts(data["v"]) == [1, 2]


@pytest.mark.bad_input("sources", "a compressed file that is cut short, or an archive of two files")
def test_compressed_files_that_cannot_be_unpacked_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    path = saved(grid([1.0, 2]), tmp_path)
    whole = Path(pack(path, "gz")).read_bytes()
    cut = tmp_path / "cut.nc.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="cannot be unpacked: EOFError"):
        read(str(cut))
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.nc", b"CDF")
        archive.writestr("b.nc", b"CDF")
    with pytest.raises(SourceError, match="holds 2 files\n  allowed: a zip archive of one file"):
        read(str(two))
    assert not list((tmp_path / "cache").glob("*.part"))


def test_grib_support_leaves_pythons_sqlite_alone() -> None:
    """The eccodes wheel brings an SQLite of 2018, which is in use where it is loaded first."""
    pytest.importorskip("cfgrib")
    own = "import sqlite3; print(sqlite3.sqlite_version)"
    after = f"import thalweg_earth.datasets._source, cfgrib, eccodes; {own}"
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for code in (own, after)
    ]
    assert found[0] == found[1]
