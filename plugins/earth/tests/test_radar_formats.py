"""Radar files as services write them: the same field comes out of every layout, and what cannot be known is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from thalweg import OptionError, SourceError
from thalweg_earth.datasets._projection import project, projection, unproject
from thalweg_earth.datasets._radar._times import by_format, in_name, in_text
from thalweg_earth.datasets.radar import Declared, Radar

LAEA = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=m"
ROWS, COLUMNS, SCALE = 5, 4, 2000.0
RAW = np.array([[255, 0, 40, 41], [42, 43, 44, 45], [46, 47, 48, 49], [50, 51, 52, 53], [54, 55, 0, 255]], np.uint8)


def corners(definition: str = LAEA, *, left: float = 1.2e6, top: float = -1.0e6) -> dict[str, float]:
    """LL_lon ... UR_lat of the outer edges, from the same corner in metres."""
    text = projection(definition, source="test")
    edges = {"L": left, "R": left + COLUMNS * SCALE}, {"U": top, "L": top - ROWS * SCALE}
    found: dict[str, float] = {}
    for v, y in edges[1].items():
        for h, x in edges[0].items():
            latitude, longitude = unproject64(text, x, y)
            found |= {f"{v}{h}_lon": longitude, f"{v}{h}_lat": latitude}
    return found


def unproject64(text: str, x: float, y: float) -> tuple[float, float]:
    from thalweg_earth.datasets._projection import _transformer

    longitude, latitude = _transformer(text, "OGC:CRS84").transform(x, y)
    return latitude, longitude


def odim(
    path: Path,
    *,
    raw: Any = RAW,
    quantity: str = "RATE",
    gain: float | None = 0.5,
    offset: float | None = 0.0,
    nodata: Any = 255.0,
    undetect: Any = 0.0,
    level: str = "data",
    at: str = "dataset1/data1",
    time: str | None = "120000",
    ends: tuple[str, str] | None = None,
    where: dict[str, Any] | None = None,
    mode: str = "w",
    text: Callable[[str], Any] = np.bytes_,
    kind: str = "COMP",
) -> Path:
    """An ODIM composite whose packing stands in `what` of the array, of its dataset, or of the file."""
    with h5py.File(path, mode) as file:
        file.attrs["Conventions"] = text("ODIM_H5/V2_2")
        root = file.require_group("what")
        root.attrs.update({"object": text(kind), "source": text("ORG:247")})
        if time:
            root.attrs.update({"date": text("20200601"), "time": text(time)})
        place = file.require_group("where")
        given = {"projdef": text(LAEA), "xsize": COLUMNS, "ysize": ROWS, "xscale": SCALE, "yscale": SCALE}
        place.attrs.update(given | corners() | (where or {}))
        array = file.require_group(at)
        array.create_dataset("data", data=raw, compression="gzip")
        groups = {"data": array, "dataset": file[at.split("/")[0]], "root": file}
        packing = {"gain": gain, "offset": offset, "nodata": nodata, "undetect": undetect}
        groups[level].require_group("what").attrs.update({k: v for k, v in packing.items() if v is not None})
        what = array.require_group("what")
        what.attrs["quantity"] = text(quantity)
        if ends:
            groups["dataset"].require_group("what").attrs.update(
                {"startdate": text("20200601"), "starttime": text(ends[0])}
                | {"enddate": text("20200601"), "endtime": text(ends[1])}
            )
    return path


def opened(path: Path | str, **options: Any) -> xr.DataArray:
    (array,) = Radar(path=str(path), **options).open().data_vars.values()
    return array


def said(call: Callable[[], Any], path: Path) -> str:
    with pytest.raises((SourceError, OptionError)) as error:
        call()
    return str(error.value).replace(str(path), "PATH")


# --- ODIM


@pytest.mark.parametrize("level", ["data", "dataset", "root"])
@pytest.mark.parametrize("text", [np.bytes_, str, lambda each: np.array([each], dtype="S")], ids=["bytes", "str", "1"])
def test_odim_packing_may_stand_at_any_level(level: str, text: Any, tmp_path: Path) -> None:
    array = opened(odim(tmp_path / "a.h5", level=level, text=text))
    assert (array.name, array.attrs["units"], array.dims) == ("rain_rate", "mm h-1", ("time", "y", "x"))
    assert array.dtype == np.float32
    field = array.values[0]
    assert np.isnan(field[0, 0])  # nodata: not measured
    assert np.isnan(field[4, 3])
    assert field[0, 1] == 0.0  # undetect: no rain
    assert field[4, 2] == 0.0
    np.testing.assert_array_equal(field[1], [21, 21.5, 22, 22.5])
    assert str(array["time"].values[0])[:19] == "2020-06-01T12:00:00"


def test_odim_first_row_is_north_and_coordinates_are_centres(tmp_path: Path) -> None:
    array = opened(odim(tmp_path / "a.h5"))
    np.testing.assert_allclose(array["y"], -1.0e6 - SCALE * (np.arange(ROWS) + 0.5), atol=1e-3)
    np.testing.assert_allclose(array["x"], 1.2e6 + SCALE * (np.arange(COLUMNS) + 0.5), atol=1e-3)
    assert array["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert array["y"].attrs["units"] == "m"
    latitude, longitude = unproject64(projection(LAEA, source="t"), 1.2e6 + 1.5 * SCALE, -1.0e6 - 0.5 * SCALE)
    assert float(array["latitude"][0, 1]) == pytest.approx(latitude, abs=1e-5)
    assert float(array["longitude"][0, 1]) == pytest.approx(longitude, abs=1e-5)


@pytest.mark.parametrize("scale", [SCALE, SCALE / 1000], ids=["scale in m", "scale in km"])
def test_odim_planes_in_km_become_metres(scale: float, tmp_path: Path) -> None:
    definition = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=km"
    file = odim(tmp_path / "a.h5", where={"projdef": definition, "xscale": scale, "yscale": scale})
    np.testing.assert_allclose(opened(file)["x"], 1.2e6 + SCALE * (np.arange(COLUMNS) + 0.5), atol=1e-3)


def test_odim_latitudes_and_longitudes_stay_what_they_are(tmp_path: Path) -> None:
    where = {"projdef": "+proj=longlat +ellps=WGS84", "xscale": 0.5, "yscale": 0.5}
    where |= {"LL_lon": 5.0, "UL_lon": 5.0, "LR_lon": 7.0, "UR_lon": 7.0}
    where |= {"LL_lat": 40.0, "LR_lat": 40.0, "UL_lat": 42.5, "UR_lat": 42.5}
    array = opened(odim(tmp_path / "a.h5", where=where))
    assert array.dims == ("time", "latitude", "longitude")
    np.testing.assert_allclose(array["latitude"], [42.25, 41.75, 41.25, 40.75, 40.25])
    np.testing.assert_allclose(array["longitude"], [5.25, 5.75, 6.25, 6.75])


def test_odim_of_reflectivity_has_a_floor_that_can_be_chosen(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", quantity="DBZH", offset=-32.0)
    array = opened(file)
    assert (array.name, array.attrs["units"], array.attrs["undetected"]) == ("reflectivity", "dBZ", -32.0)
    assert array.values[0, 0, 1] == -32.0
    assert array.values[0, 0, 2] == -12.0
    assert np.isnan(array.values[0, 0, 0])
    assert opened(file, undetected=-10).values[0, 0, 1] == -10.0


def test_odim_of_other_quantities_has_nothing_where_nothing_was_detected(tmp_path: Path) -> None:
    array = opened(odim(tmp_path / "a.h5", quantity="VRADH"))
    assert (array.name, array.attrs["units"]) == ("vradh", "m s-1")
    assert np.isnan(array.values[0, 0, 1])
    assert opened(odim(tmp_path / "b.h5", quantity="VRADH"), undetected=0).values[0, 0, 1] == 0.0


@pytest.mark.bad_input("radar", "a gain of 0, with which it would rain nowhere")
def test_a_gain_that_loses_the_values_is_refused(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", gain=0.0)
    with pytest.raises(SourceError, match=r"is packed by gain 0\.0"):
        opened(file)
    assert opened(file, declare=Declared(gain=0.5)).notnull().any()


def test_odim_of_floats_and_without_packing(tmp_path: Path) -> None:
    raw = np.where(RAW == 255, -9999000.0, np.where(RAW == 0, -8888000.0, RAW * 0.1)).astype(np.float32)
    file = odim(tmp_path / "a.h5", raw=raw, gain=None, offset=None, nodata=-9999000.0, undetect=-8888000.0)
    field = opened(file).values[0]
    assert np.isnan(field[0, 0])
    assert field[0, 1] == 0.0
    assert field[0, 2] == np.float32(4.0)


def test_odim_nan_is_a_code_too(tmp_path: Path) -> None:
    raw = np.where(RAW == 255, np.nan, RAW.astype(np.float64))
    field = opened(odim(tmp_path / "a.h5", raw=raw, nodata=np.nan)).values[0]
    assert np.isnan(field[0, 0])
    assert field[0, 1] == 0.0


@pytest.mark.bad_input("radar", "a composite that writes one code both for no rain and for not measured")
def test_odim_code_of_two_meanings_is_refused_or_decided(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", nodata=0.0, undetect=0.0)
    assert said(lambda: opened(file), file) == (
        "'PATH' writes 0.0 both where nothing was measured (`nodata`) and where nothing was detected (`undetect`)\n"
        "  allowed: two codes\n"
        "  do: set `ambiguous: nodata` to take them for missing, or `ambiguous: undetect` for no rain"
    )
    assert np.isnan(opened(file, ambiguous="nodata").values[0, 0, 1])
    assert opened(file, ambiguous="undetect").values[0, 0, 1] == 0.0
    corrected = opened(file, declare={"nodata": [255]})
    assert corrected.values[0, 0, 1] == 0.0
    assert np.isnan(corrected.values[0, 0, 0])


def two_quantities(path: Path) -> Path:
    odim(path, quantity="DBZH", offset=-32.0, at="dataset1/data1")
    return odim(path, quantity="ACRR", gain=0.1, at="dataset2/data1", mode="a", ends=("110000", "120000"))


def test_odim_quantities_are_found_wherever_they_are(tmp_path: Path) -> None:
    file = two_quantities(tmp_path / "a.h5")
    rain = opened(file, quantity="ACRR")
    assert (rain.name, rain.attrs["units"]) == ("rain", "mm")
    assert rain.attrs["cell_methods"] == "time: sum (interval: 3600 s)"
    assert rain.values[0, 0, 2] == np.float32(4.0)
    assert opened(file, quantity="DBZH").values[0, 0, 2] == -12.0
    assert opened(file, quantity="dataset2/data1").name == "rain"
    assert opened(file, quantity="ACRR", rename="mine").name == "mine"


@pytest.mark.bad_input("radar", "several quantities in a composite, and none is named")
def test_odim_several_quantities_must_be_told_apart(tmp_path: Path) -> None:
    file = two_quantities(tmp_path / "a.h5")
    assert said(lambda: opened(file), file) == (
        "'PATH' holds 2 fields, and `quantity` is ''\n"
        "  allowed: DBZH (dataset1/data1/data), ACRR (dataset2/data1/data)\n"
        "  do: name one of these in `quantity`"
    )
    assert "holds no quantity 'RATE'" in said(lambda: opened(file, quantity="RATE"), file)
    twice = odim(tmp_path / "b.h5")
    odim(twice, at="dataset2/data1", mode="a")
    assert "holds 2 fields of 'RATE'" in said(lambda: opened(twice, quantity="RATE"), twice)
    assert opened(twice, quantity="dataset2/data1").values[0, 0, 2] == 20.0


def test_odim_quality_is_not_taken_for_the_quantity(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5")
    odim(file, quantity="QIND", at="dataset2/data1", mode="a")
    assert opened(file).name == "rain_rate"
    assert opened(file, quantity="QIND").attrs["units"] == "1"


def test_odim_times(tmp_path: Path) -> None:
    def when(name: str, **options: Any) -> str:
        return str(opened(odim(tmp_path / name, **options))["time"].values[0])[11:19]

    assert when("nominal.h5", ends=("115000", "120500")) == "12:00:00"  # an image: at its nominal time
    assert when("end.h5", time=None, ends=("115500", "120000")) == "12:00:00"
    assert when("sum.h5", quantity="ACRR", time="110000", ends=("110000", "120000")) == "12:00:00"  # a sum: at its end
    assert when("short.h5", time="1215") == "12:15:00"
    assert when("named_20200601_1230.h5", time=None) == "12:30:00"


@pytest.mark.bad_input("radar", "a composite without a time, in the file or in its name")
def test_odim_without_a_time_is_refused(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", time=None)
    assert "does not say when it is valid" in said(lambda: opened(file), file)


@pytest.mark.bad_input("radar", "a header of ODIM that does not fit its values: {id}")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"where": {"xsize": 7}}, "declares xsize 7, but dataset1/data1/data is 5 x 4"),
        ({"where": {"xscale": 500.0}}, "but xscale 500.0 times 4 cells is 2000"),
        ({"where": {"projdef": "+proj=nonsense"}}, "has a projection that PROJ cannot read: '+proj=nonsense'"),
        ({"quantity": "FOO"}, "the units of 'FOO' in 'PATH' are not known"),
        ({"kind": "PVOL"}, "is PVOL of ODIM, which is not on a map"),
    ],
    ids=["size", "scale", "projection", "unknown quantity", "polar volume"],
)
def test_odim_headers_that_do_not_fit(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", **options)
    assert text in said(lambda: opened(file), file)


def test_odim_units_and_packing_may_be_declared(tmp_path: Path) -> None:
    file = odim(tmp_path / "a.h5", quantity="FOO")
    array = opened(file, declare=Declared(units="mm/h", gain=2.0))
    assert array.attrs["units"] == "mm h-1"
    assert array.values[0, 0, 2] == 80.0
    assert array.values[0, 0, 1] == 0.0


# --- KNMI


def knmi(
    path: Path,
    *,
    formula: str = "GEO=0.01*PV+0.0",
    parameter: str = "ACCUMULATED_PRECIPITATION_[MM]",
    missing: float = 255,
    outside: float = 255,
    end: str = "01-JUN-2020;12:05:00.000",
    valid: str = "",
    images: int = 1,
    axis: str = "+a=6378.137 +b=6356.752",
) -> Path:
    with h5py.File(path, "w") as file:
        overview, geographic = file.create_group("overview"), file.create_group("geographic")
        overview.attrs["product_datetime_start"] = np.array([b"01-JUN-2020;12:00:00.000"])
        overview.attrs["product_datetime_end"] = np.array([end.encode()])
        text = f"+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 {axis} +x_0=0 +y_0=0"
        geographic.create_group("map_projection").attrs["projection_proj4_params"] = np.bytes_(text)
        geographic.attrs.update({"geo_dim_pixel": np.bytes_("KM,KM"), "geo_pixel_def": np.bytes_("LU")})
        geographic.attrs.update({"geo_pixel_size_x": np.float32([1.0]), "geo_pixel_size_y": np.float32([-1.0])})
        geographic.attrs.update({"geo_column_offset": np.float32([0.0]), "geo_row_offset": np.float32([3650.0])})
        for number in range(1, images + 1):
            image = file.create_group(f"image{number}")
            image.attrs["image_geo_parameter"] = np.bytes_(parameter)
            if valid:
                image.attrs["image_datetime_valid"] = np.bytes_(valid)
            image.create_dataset("image_data", data=RAW)
            calibration = image.create_group("calibration")
            calibration.attrs["calibration_formulas"] = np.bytes_(formula)
            calibration.attrs["calibration_missing_data"] = np.int32([missing])
            calibration.attrs["calibration_out_of_image"] = np.int32([outside])
    return path


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("GEO = 0.5 * PV - 32.0", -12.0),
        ("GEO=0.01*PV+0.0", 0.4),
        ("GEO = 0.500000 * PV + -32.000000", -12.0),
        ("GEO=0.5*PV-31.5", -11.5),
        ("GEO=0.12*PV", 4.8),
    ],
)
def test_knmi_calibrations(formula: str, expected: float, tmp_path: Path) -> None:
    array = opened(knmi(tmp_path / "a.h5", formula=formula))
    assert array.values[0, 0, 2] == np.float32(expected)
    assert np.isnan(array.values[0, 0, 0])
    assert str(array["time"].values[0])[:19] == "2020-06-01T12:05:00"


@pytest.mark.parametrize(
    ("parameter", "name", "units"),
    [
        ("ACCUMULATED_PRECIPITATION_[MM]", "rain", "mm"),
        ("RAINFALL_RATE_[MM/H]", "rain_rate", "mm h-1"),
        ("REFLECTIVITY_[DBZ]", "reflectivity", "dBZ"),
    ],
)
def test_knmi_units_are_those_of_the_parameter(parameter: str, name: str, units: str, tmp_path: Path) -> None:
    array = opened(knmi(tmp_path / "a.h5", parameter=parameter))
    assert (array.name, array.attrs["units"]) == (name, units)


@pytest.mark.parametrize("axis", ["+a=6378.137 +b=6356.752", "+a=6378137 +b=6356752"], ids=["km", "m"])
def test_knmi_grid_is_in_metres(axis: str, tmp_path: Path) -> None:
    array = opened(knmi(tmp_path / "a.h5", axis=axis))
    np.testing.assert_allclose(array["x"], 1000 * (np.arange(COLUMNS) + 0.5))
    np.testing.assert_allclose(array["y"], -3.65e6 - 1000 * (np.arange(ROWS) + 0.5))
    # The upper left corner of this grid lies at 0 E, 55.974 N (geo_product_corners of the service).
    assert float(array["latitude"][0, 0]) == pytest.approx(55.974, abs=0.01)


def test_knmi_missing_and_outside_are_both_missing(tmp_path: Path) -> None:
    field = opened(knmi(tmp_path / "a.h5", missing=53, outside=255)).values[0]
    assert np.isnan(field[3, 3])
    assert np.isnan(field[0, 0])
    assert field[0, 1] == 0.0


def test_knmi_several_images(tmp_path: Path) -> None:
    file = knmi(tmp_path / "a.h5", images=2, valid="01-JUN-2020;13:00:00.000")
    assert "holds 2 images" in said(lambda: opened(file), file)
    assert str(opened(file, quantity="image2")["time"].values[0])[11:19] == "13:00:00"


@pytest.mark.bad_input("radar", "a KNMI file with a calibration that is no line")
def test_knmi_formulas_that_are_no_line_are_refused(tmp_path: Path) -> None:
    file = knmi(tmp_path / "a.h5", formula="GEO=10^((PV-109)/32)")
    assert "is calibrated by 'GEO=10^((PV-109)/32)'" in said(lambda: opened(file), file)


# --- NetCDF


def netcdf(path: Path, *, attrs: dict[str, Any] | None = None, time: str = "", **field: Any) -> Path:
    """One step of packed rain on a plane in km."""
    packed = {"units": "mm/h", "grid_mapping": "proj", "scale_factor": 0.5, "_FillValue": np.uint8(255)} | field
    data = xr.Dataset(
        {"rain": (("y", "x"), RAW, packed), "proj": ((), np.int8(0))},
        {
            "y": ("y", 4.0 - np.arange(ROWS), {"standard_name": "projection_y_coordinate", "units": "km"}),
            "x": ("x", np.arange(COLUMNS) * 1.0, {"standard_name": "projection_x_coordinate", "units": "km"}),
        },
        attrs or {},
    )
    data["proj"].attrs = {
        "grid_mapping_name": "lambert_azimuthal_equal_area",
        "latitude_of_projection_origin": np.array([52.0]),
        "longitude_of_projection_origin": 10.0,
        "false_easting": 0.0,
        "false_northing": 0.0,
    }
    if time == "scalar":
        data["valid_time"] = ((), 1591014600, {"units": "seconds since 1970-01-01", "standard_name": "time"})
    elif time == "dim":
        data = data.expand_dims(time=1)
        data["time"] = ("time", [1591014600], {"units": "seconds since 1970-01-01"})
        data["proj"] = data["proj"].isel(time=0)
    engine: Any = "scipy" if path.suffix == ".nc3" else "h5netcdf"
    data.to_netcdf(path, engine=engine, encoding={"rain": {"_FillValue": None}} if "_FillValue" not in packed else {})
    return path


@pytest.mark.parametrize("time", ["scalar", "dim"])
@pytest.mark.parametrize("suffix", [".nc"])
def test_netcdf_with_its_time_inside(time: str, suffix: str, tmp_path: Path) -> None:
    array = opened(netcdf(tmp_path / f"a{suffix}", time=time))
    assert (array.name, array.attrs["units"], array.dims) == ("rain_rate", "mm h-1", ("time", "y", "x"))
    assert str(array["time"].values[0])[:19] == "2020-06-01T12:30:00"
    np.testing.assert_allclose(array["x"], [0, 1000, 2000, 3000])
    assert np.isnan(array.values[0, 0, 0])
    assert array.values[0, 0, 2] == 20.0
    assert float(array["latitude"][4, 0]) == pytest.approx(52.0, abs=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "rain_202006011230.nc",
        "20200601T123000Z.nc",
        "r-20200601-1230.nc",
        "2_20200601_123000.x.nc",
        "2020-06-01_12-30.nc",
    ],
)
def test_netcdf_with_its_time_in_the_name(name: str, tmp_path: Path) -> None:
    assert str(opened(netcdf(tmp_path / name))["time"].values[0])[:19] == "2020-06-01T12:30:00"


@pytest.mark.parametrize(
    "attrs",
    [
        {"nominal_product_time": "2020-06-01T12:30:00Z", "time_coverage_end": "2020-06-01T12:41:11Z"},
        {"observed_at_time": "2020-06-01 12:30 UTC", "date_created": "2021-01-01T00:00:00Z"},
        {"time_coverage_start": "2020-06-01T12:15:00Z", "time_coverage_end": "2020-06-01T12:30:00Z"},
        {"valid_time": "2020-06-01T14:30:00+02:00"},
    ],
    ids=["nominal", "any", "coverage", "zone"],
)
def test_netcdf_with_its_time_in_an_attribute(attrs: dict[str, str], tmp_path: Path) -> None:
    assert str(opened(netcdf(tmp_path / "a.nc", attrs=attrs))["time"].values[0])[:19] == "2020-06-01T12:30:00"


def test_netcdf_attribute_of_the_time_can_be_named(tmp_path: Path) -> None:
    attrs = {"first_time": "2020-06-01T12:30:00Z", "second_time": "2020-06-01T12:35:00Z"}
    file = netcdf(tmp_path / "a.nc", attrs=attrs)
    assert "does not say when it is valid" in said(lambda: opened(file), file)
    assert str(opened(file, time="second_time")["time"].values[0])[11:16] == "12:35"
    assert "has no time in 'third'" in said(lambda: opened(file, time="third"), file)


def test_netcdf_valid_range_and_fills(tmp_path: Path) -> None:
    ranged = opened(netcdf(tmp_path / "a_202006011230.nc", valid_range=np.array([0, 50], np.uint8))).values[0]
    assert ranged[3, 0] == 25.0
    assert np.isnan(ranged[3, 1])
    physical = opened(netcdf(tmp_path / "b_202006011230.nc", valid_max=25.0)).values[0]
    np.testing.assert_array_equal(np.isnan(physical), np.isnan(ranged))
    offset = opened(netcdf(tmp_path / "c_202006011230.nc", add_offset=-1.0)).values[0]
    assert offset[0, 2] == 19.0


def test_netcdf_on_latitudes_and_longitudes(tmp_path: Path) -> None:
    data = xr.Dataset({"tp": (("lat", "lon"), RAW.astype("f4"), {"units": "mm"})})
    data = data.assign_coords(lat=np.linspace(5, 1, 5), lon=[0.0, 1, 2, 3])
    data.to_netcdf(tmp_path / "a_20200601.nc", engine="h5netcdf")
    array = opened(tmp_path / "a_20200601.nc")
    assert array.dims == ("time", "latitude", "longitude")
    np.testing.assert_array_equal(array["latitude"], [5, 4, 3, 2, 1])


def test_netcdf_with_2d_places_only(tmp_path: Path) -> None:
    lat, lon = np.meshgrid(np.linspace(5, 1, 5), [0.0, 1, 2, 3], indexing="ij")
    data = xr.Dataset({"tp": (("row", "col"), RAW.astype("f4"), {"units": "mm"})})
    data = data.assign(latitude=(("row", "col"), lat), longitude=(("row", "col"), lon))
    data.to_netcdf(tmp_path / "a_20200601.nc", engine="h5netcdf")
    array = opened(tmp_path / "a_20200601.nc")
    assert array.dims == ("time", "y", "x")
    np.testing.assert_allclose(array["latitude"], lat)


# --- GRIB and GeoTIFF


def grib(path: Path, *, keys: dict[str, Any] | None = None, values: Any = None) -> Path:
    eccodes = pytest.importorskip("eccodes")
    message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    grid = {"Ni": COLUMNS, "Nj": ROWS, "iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0}
    grid |= {"latitudeOfFirstGridPointInDegrees": 44.0, "latitudeOfLastGridPointInDegrees": 40.0}
    grid |= {"longitudeOfFirstGridPointInDegrees": 250.0, "longitudeOfLastGridPointInDegrees": 253.0}
    what = {"dataDate": 20200601, "dataTime": 1230, "shortName": "prate"}
    for name, value in (grid | what | (keys or {})).items():
        eccodes.codes_set(message, name, value)
    eccodes.codes_set_values(message, np.asarray(RAW * 0.5 if values is None else values, float).ravel())
    with path.open("ab") as file:
        eccodes.codes_write(message, file)
    eccodes.codes_release(message)
    return path


MRMS = {"centre": 161, "discipline": 209, "parameterCategory": 6, "parameterNumber": 1}


def test_grib_of_mrms_knows_what_its_codes_mean(tmp_path: Path) -> None:
    rate = np.array([[-3.0, -1.0, 0.0, 1.5]] + [[2.0, 3.0, 4.0, 5.0]] * 4)
    array = opened(grib(tmp_path / "a.grib2", keys=MRMS, values=rate))
    assert (array.name, array.attrs["units"]) == ("rain_rate", "mm h-1")
    np.testing.assert_allclose(array.values[0, 0], [np.nan, np.nan, 0, 1.5], atol=1e-3)
    np.testing.assert_allclose(array["longitude"], [250, 251, 252, 253])
    np.testing.assert_allclose(array["latitude"], [44, 43, 42, 41, 40])
    assert str(array["time"].values[0])[:19] == "2020-06-01T12:30:00"
    echo = np.where(rate < 0, rate * 333, rate)
    echo[0, :2] = -999, -99
    keys = {**MRMS, "parameterCategory": 10, "parameterNumber": 0}
    reflectivity = opened(grib(tmp_path / "b.grib2", keys=keys, values=echo))
    assert reflectivity.attrs["units"] == "dBZ"
    np.testing.assert_allclose(reflectivity.values[0, 0], [np.nan, -32, 0, 1.5], atol=0.02)


def test_grib_packed_by_gzip_is_the_same(tmp_path: Path) -> None:
    plain = grib(tmp_path / "a.grib2", keys=MRMS)
    packed = tmp_path / "b.grib2.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(opened(plain).values, opened(packed).values)


def test_grib_of_other_centres(tmp_path: Path) -> None:
    keys = {"jScansPositively": 1, "latitudeOfFirstGridPointInDegrees": 40.0, "latitudeOfLastGridPointInDegrees": 44.0}
    keys |= {"bitmapPresent": 1, "missingValue": 255 * 0.5}
    array = opened(grib(tmp_path / "a.grib2", keys=keys))
    assert array.attrs["units"] == "kg m-2 s-1"
    np.testing.assert_allclose(array["latitude"], [40, 41, 42, 43, 44])
    assert np.isnan(array.values[0, 0, 0])
    assert array.values[0, 0, 2] == pytest.approx(20, abs=1e-2)
    grib(tmp_path / "a.grib2", keys={"shortName": "2t"})
    assert "holds 2 messages" in said(lambda: opened(tmp_path / "a.grib2"), tmp_path / "a.grib2")
    assert opened(tmp_path / "a.grib2", quantity="prate").name == "rain_rate"


@pytest.mark.bad_input("radar", "a GRIB parameter that no table knows")
def test_grib_without_known_units_is_refused(tmp_path: Path) -> None:
    file = grib(tmp_path / "a.grib2", keys={**MRMS, "parameterCategory": 99})
    assert "the units of '209.99.1' in 'PATH' are not in the tables of eccodes" in said(lambda: opened(file), file)
    assert opened(file, declare={"units": "dBZ"}).name == "reflectivity"


def geotiff(path: Path, *, xml: str = "", **profile: Any) -> Path:
    rasterio = pytest.importorskip("rasterio")
    from affine import Affine

    given = {"driver": "GTiff", "height": ROWS, "width": COLUMNS, "count": 1, "dtype": "uint8", "crs": "EPSG:3067"}
    given["transform"] = Affine(250.0, 0.0, 3.0e5, 0.0, -250.0, 7.0e6)
    scale, unit = profile.pop("scale", None), profile.pop("unit", "")
    with rasterio.open(path, "w", **(given | profile)) as file:
        file.write(RAW, 1)
        if xml:
            file.update_tags(GDAL_METADATA=xml)
        if scale:
            file.scales, file.offsets = [scale[0]], [scale[1]]
        if unit:
            file.units = [unit]
    return path


FMI = """<GDALMetadata>
<Item name="Observation time" format="YYYYMMDDhhmm">202006011230</Item>
<Item name="Quantity" unit="dBZ">Corrected reflectivity</Item>
<Item name="Gain">0.500000</Item><Item name="Offset">-32.000000</Item>
<Item name="Nodata">255</Item><Item name="Undetect">0</Item>
</GDALMetadata>
"""


def test_geotiff_with_items_as_fmi_writes_them(tmp_path: Path) -> None:
    array = opened(geotiff(tmp_path / "a.tif", xml=FMI))
    assert (array.name, array.attrs["units"]) == ("reflectivity", "dBZ")
    assert np.isnan(array.values[0, 0, 0])
    np.testing.assert_array_equal(array.values[0, 0, 1:], [-32, -12, -11.5])
    np.testing.assert_allclose(array["x"], 3.0e5 + 250 * (np.arange(COLUMNS) + 0.5))
    np.testing.assert_allclose(array["y"], 7.0e6 - 250 * (np.arange(ROWS) + 0.5))
    assert str(array["time"].values[0])[:19] == "2020-06-01T12:30:00"


def test_geotiff_with_the_scale_of_gdal(tmp_path: Path) -> None:
    file = geotiff(tmp_path / "rain_202006011230.tif", scale=(0.1, 1.0), unit="mm/h", nodata=255)
    array = opened(file)
    assert (array.name, array.attrs["units"]) == ("rain_rate", "mm h-1")
    assert array.values[0, 0, 2] == 5.0
    assert np.isnan(array.values[0, 0, 0])
    declared = opened(file, declare={"undetect": [0]})
    assert declared.values[0, 0, 1] == 0.0


@pytest.mark.bad_input("radar", "a GeoTIFF that does not say its units")
def test_geotiff_without_units_is_refused(tmp_path: Path) -> None:
    file = geotiff(tmp_path / "202006011230.tif")
    assert "does not say the units of band 1" in said(lambda: opened(file), file)
    array = opened(file, declare={"units": "dBZ", "gain": 0.5, "offset": -32, "nodata": [255], "undetect": [0]})
    np.testing.assert_array_equal(array.values[0, 0, 1:], [-32, -12, -11.5])


# --- times and projections


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("202006011230", ["2020-06-01T12:30:00"]),
        ("T_PAAH21_C_EUOC_20180824180000", ["2018-08-24T18:00:00"]),
        ("3B-HHR.MS.MRG.20200601-S123000-E125959", ["2020-06-01T12:30:00"]),
        ("20200601-1230-0015", ["2020-06-01T12:30:00"]),
        ("20200601T0700Z_20200601T0715Z", ["2020-06-01T07:00:00", "2020-06-01T07:15:00"]),
        ("day_20200601", ["2020-06-01T00:00:00"]),
        ("20200230_1200", []),
        ("station_12345678901234", []),
    ],
)
def test_times_in_names(text: str, found: list[str]) -> None:
    assert [str(each) for each in in_name(text)] == found


def test_times_in_texts_and_by_format() -> None:
    assert str(in_text("2020-06-01T14:30:00+02:00")[0]) == "2020-06-01T12:30:00"
    assert str(by_format("AQC151350005F_00005.801.gif", "AQC%y%j%H%M")) == "2015-05-15T00:05:00"
    assert by_format("AQC_nothing", "AQC%y%j%H%M") is None
    with pytest.raises(OptionError, match="is not a format of dates in names"):
        by_format("x", "AQC%Q")


def test_projections_invert() -> None:
    text = projection("+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0", source="t")
    x, y = project(text, np.array([5.0]), np.array([52.0]))
    latitude, longitude = unproject(text, x, y)
    np.testing.assert_allclose([latitude.item(), longitude.item()], [52, 5], rtol=1e-6)
    assert abs(x.item()) > 1e5  # metres, not km
    geos = projection("+proj=geos +a=6378137 +b=6356752.3 +lon_0=0 +h=35785863", source="t")
    latitude, _ = unproject(geos, np.array([0.0, 5.6e6]), np.array([0.0]))
    assert np.isfinite(latitude[0, 0])
    assert np.isnan(latitude[0, 1])  # beside the disk
