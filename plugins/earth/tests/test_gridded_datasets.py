"""Gridded datasets: what the files hold, in CF names, lazily; sources that are not what they should be are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Dataset, OptionError, Registry, Samples, SourceError
from thalweg_earth.datasets import array as array_module
from thalweg_earth.datasets._cf import CHUNK, chunked
from thalweg_earth.datasets.array import Array
from thalweg_earth.datasets.ersst import ERSST
from thalweg_earth.datasets.icar_enso import ICARENSO, Generation
from thalweg_earth.datasets.kaplan import Kaplan
from thalweg_earth.datasets.oisst import OISST
from thalweg_earth.datasets.ostia_sample import OSTIASample
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
SST, GRID = SHARED / "data" / "sst", SHARED / "data" / "grid"
shared = pytest.mark.skipif(not SST.exists(), reason="the shared data are not there")
NONE = xr.Dataset()


def field(steps: int = 6, **attrs: Any) -> xr.Dataset:
    """`slp(time, lev, lat, lon)` as many files have it."""
    values = np.random.default_rng(2).standard_normal((steps, 1, 4, 5))
    return xr.Dataset(
        {"slp": (("time", "lev", "lat", "lon"), values, {"units": "Pa", **attrs}), "other": ("time", np.arange(steps))},
        {
            "time": xr.date_range("2001-01-01", periods=steps, freq="D", use_cftime=False),
            "lev": [0.0],
            "lat": np.linspace(-30, 30, 4),
            "lon": np.arange(0.0, 25, 5),
        },
    )


def write(data: xr.Dataset, folder: Path, form: str) -> str:
    path = folder / f"field.{form}"
    if form == "zarr2":
        data.to_zarr(path, zarr_format=2, consolidated=True)
    elif form == "zarr3":
        data.to_zarr(path, zarr_format=3, consolidated=False)
    else:
        data.to_netcdf(path, engine="scipy" if form == "nc3" else "h5netcdf")
    return str(path)


def text(error: pytest.ExceptionInfo[Exception], path: str) -> str:
    return str(error.value).replace(path, "PATH")


# --- array


@pytest.mark.parametrize("form", ["nc3", "nc4", "zarr2", "zarr3"])
def test_every_format_gives_the_same_fields(form: str, tmp_path: Path) -> None:
    data = field()
    got = Array(path=write(data, tmp_path, form), variables=["slp"]).open()
    assert list(got) == ["slp"]
    assert got["slp"].dims == ("time", "latitude", "longitude")
    assert got["slp"].dtype == np.float32
    assert got["slp"].chunks is not None
    assert got["slp"].attrs["units"] == "Pa"
    assert got["latitude"].attrs["units"] == "degrees_north"
    np.testing.assert_array_equal(got["slp"], data["slp"].squeeze("lev").astype(np.float32))
    np.testing.assert_array_equal(got["time"], data["time"])


def test_variables_are_declared_renamed_and_checked(tmp_path: Path) -> None:
    path = write(field().rename(lat="j"), tmp_path, "nc4")
    part = Registry().build(
        Array,
        "array",
        {"path": path, "variables": {"pressure": {"from": "slp", "units": "Pa"}}, "rename": {"j": "lat"}},
        where="ingest.array",
    )
    assert part.open()["pressure"].sizes["latitude"] == 4
    with pytest.raises(SourceError) as caught:
        Array(path=path, variables={"slp": {"units": "m"}}).open()
    assert text(caught, path) == (
        "'slp' of PATH has units 'Pa', not 'm'\n"
        "  allowed: units that 'Pa' can be converted to\n"
        "  do: declare the units that it has, and convert 'slp' with `rescale`"
    )
    with pytest.raises(SourceError, match=r"holds no variable 'sst'\n  allowed: slp \(time, lev, j, lon\), other"):
        Array(path=path, variables=["sst"]).open()
    with pytest.raises(OptionError, match="there is no 'k' to rename"):
        Array(path=path, variables=["slp"], rename={"k": "lat"}).open()


def test_missing_values_are_refused_kept_or_filled(tmp_path: Path) -> None:
    data = field()
    data["slp"][4, 0, 2, 3] = np.nan
    path = write(data, tmp_path, "nc4")
    with pytest.raises(SourceError, match=r"missing .* at time=4, latitude=2, longitude=3\n  allowed: finite values"):
        Array(path=path, variables=["slp"], chunks={"time": 2}).open()["slp"].compute()
    assert int(Array(path=path, variables=["slp"], missing="allow").open()["slp"].isnull().sum()) == 1
    filled = Array(path=path, variables=["slp"], missing="zero").open()["slp"]
    assert float(filled[4, 2, 3]) == 0
    data["slp"][0, 0, 1, 1] = np.inf
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    with pytest.raises(SourceError, match="at time=0, latitude=1, longitude=1"):
        Array(path=write(data, tmp_path, "nc4"), variables=["slp"]).open()


def test_packed_values_are_unpacked_with_their_limits(tmp_path: Path) -> None:
    data = field(valid_range=np.array([-600, 600], dtype=np.int16))
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -999}
    data.to_netcdf(tmp_path / "packed.nc", engine="h5netcdf", encoding={"slp": packing})
    got = Array(path=str(tmp_path / "packed.nc"), variables=["slp"]).open()["slp"]
    np.testing.assert_allclose(got, data["slp"][:, 0], atol=0.0051)
    assert got.attrs["valid_range"] == pytest.approx([-5, 7])


def test_a_missing_file_is_refused_with_its_neighbours(tmp_path: Path) -> None:
    write(field(), tmp_path, "nc4")
    path = str(tmp_path / "feild.nc4")
    for call in (Array(path=path, variables=["slp"]).open, Kaplan(path=path).fingerprint):
        with pytest.raises(SourceError) as caught:
            call()
        assert text(caught, str(tmp_path)) == (
            "there is no 'PATH/feild.nc4'\n  allowed: in 'PATH': field.nc4\n  do: did you mean 'field.nc4'?"
        )


def test_addresses_that_no_driver_knows_are_refused() -> None:
    with pytest.raises(SourceError, match=r"sst://bucket/sst\.nc: no driver knows the scheme 'sst'"):
        Array(path="sst://bucket/sst.nc", variables=["sst"]).open()


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(write(field(), tmp_path, "nc4")).read_bytes()
    for name, content, message in (
        ("cut.nc", whole[: len(whole) // 2], "cannot be read"),
        ("page.nc", b"<html>not found</html>", "is not NetCDF: it begins with b'<html>"),
        ("five.nc", b"CDF\x05" + bytes(40), "do: convert it with `nccopy"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=message):
            Array(path=str(tmp_path / name), variables=["slp"]).open()
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(40))
    monkeypatch.setattr(array_module, "find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"is GRIB, .*\n.*\n  do: install thalweg\[grib\]"):
        Array(path=str(tmp_path / "a.grib"), variables=["slp"]).open()


def test_grib_is_read_where_its_extra_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("cfgrib")
    eccodes = pytest.importorskip("eccodes")
    with (tmp_path / "t.grib").open("wb") as file:
        for day in (1, 2, 3):
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            eccodes.codes_set(message, "dataDate", 20200100 + day)
            eccodes.codes_set(message, "shortName", "2t")
            size = eccodes.codes_get_size(message, "values")
            eccodes.codes_set_values(message, 270.0 + day + np.arange(size) / size)
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    got = Array(path=str(tmp_path / "t.grib"), variables={"t2m": {"units": "K"}}).open()["t2m"]
    assert got.dims == ("time", "latitude", "longitude")
    assert [str(each)[:10] for each in got["time"].values] == ["2020-01-01", "2020-01-02", "2020-01-03"]
    np.testing.assert_allclose(got.mean(("latitude", "longitude")), [271.5, 272.5, 273.5], atol=0.01)


@pytest.mark.parametrize("form", ["nc4", "zarr3"])
def test_a_fingerprint_changes_when_the_source_does(form: str, tmp_path: Path) -> None:
    part = Array(path=write(field(), tmp_path, form), variables=["slp"])
    before = part.fingerprint()
    assert part.fingerprint() == before
    if form == "zarr3":
        chunk = next(each for each in (tmp_path / "field.zarr3" / "slp" / "c").rglob("*") if each.is_file())
        chunk.write_bytes(chunk.read_bytes())
    else:
        content = bytearray((tmp_path / "field.nc4").read_bytes())
        content[-1] ^= 1
        (tmp_path / "field.nc4").write_bytes(bytes(content))
    assert part.fingerprint() != before


def test_chunks_are_whole_fields_of_about_eight_mebibytes() -> None:
    import dask.array as da

    large = xr.Dataset({"t": (("time", "y", "x"), da.zeros((1000, 256, 256), dtype="f4", chunks=(7, 256, 256)))})
    large["t"].encoding["preferred_chunks"] = {"time": 7}
    got = chunked(large)["t"].chunksizes
    assert got["y"] == got["x"] == (256,)
    assert got["time"][0] % 7 == 0
    assert CHUNK / 2 < got["time"][0] * 256 * 256 * 4 <= CHUNK
    assert chunked(large.isel(time=slice(40)))["t"].chunksizes["time"] == (40,)


@pytest.mark.skipif(not GRID.exists(), reason="the shared data are not there")
def test_a_zarr_store_of_version_two_written_by_others() -> None:
    part = Array(path=str(GRID / "meteosat_ir016_5min.zarr"), variables={"reflectance": {"from": "data"}})
    got = part.open()
    assert got["reflectance"].dims == ("time", "y", "x")
    assert got["reflectance"].shape == (25, 298, 615)
    assert int(got["reflectance"][3].max()) > 0
    assert Windows(inputs=12, targets=12).apply(got, NONE).sizes["window"] == 2


# --- sea-surface temperature


@shared
def test_kaplan_holds_anomalies_and_land_is_missing() -> None:
    got = Kaplan(path=str(SST / "kaplan_sst_anom_5deg_1856_2014.nc")).open()["sst_anomaly"]
    assert got.dims == ("time", "latitude", "longitude")
    assert got.shape == (1906, 12, 22)
    assert got.attrs["units"] == "degC"
    assert 0.04 < float(got.isnull().mean()) < 0.05


def test_ostia_comes_with_a_package() -> None:
    pytest.importorskip("iris_sample_data")
    got = OSTIASample().open()["sea_surface_temperature"]
    assert got.shape == (54, 18, 432)
    assert got.attrs["units"] == "K"
    assert 285 < float(got.min()) < float(got.max()) < 310
    assert Windows(inputs=12, targets=6).apply(got.to_dataset(), NONE).sizes["window"] == 37


def month(date: str, *, day: int = 15, rows: int = 4) -> xr.Dataset:
    """A month of ERSST: `sst(time, lev, lat, lon)`; its values are the number of the month modulo 40."""
    values = np.full((1, 1, rows, 6), int(date) % 40, dtype=np.float32)
    values[0, 0, 0, 0] = np.nan
    return xr.Dataset(
        {"sst": (("time", "lev", "lat", "lon"), values, {"units": "degree_C", "valid_min": -3.0, "valid_max": 45.0})},
        {
            "time": [np.datetime64(f"{date[:4]}-{date[4:]}-{day:02}", "ns")],
            "lev": [0.0],
            "lat": np.linspace(-88, 88, rows),
            "lon": np.arange(0.0, 360, 60),
        },
    )


def archive(folder: Path, first: str = "2009-11", months: int = 5, *, engine: Any = "h5netcdf") -> list[str]:
    dates = [str(np.datetime64(first) + i).replace("-", "") for i in range(months)]
    for date in dates:
        encoding = {"sst": {"_FillValue": -999.0}}
        month(date).to_netcdf(folder / f"ersst.v5.{date}.nc", engine=engine, encoding=encoding)
    return dates


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_ersst_is_a_folder_of_months(engine: str, tmp_path: Path) -> None:
    dates = archive(tmp_path, engine=engine)
    for path in (str(tmp_path), f"{tmp_path}/ersst.v5.*.nc"):
        got = ERSST(path=path).open()["sea_surface_temperature"]
        assert [str(each)[:10] for each in got["time"].values] == [f"{d[:4]}-{d[4:]}-01" for d in dates]
        np.testing.assert_array_equal(got[:, 1, 1], [float(date) % 40 for date in dates])
        assert bool(got[:, 0, 0].isnull().all())
        assert got.attrs["units"] == "degC"
        assert got.attrs["valid_range"] == [-3, 45]
    assert ERSST(path=str(tmp_path), period=("2009-12", 2010)).open().sizes["time"] == 4
    single = ERSST(path=str(tmp_path / f"ersst.v5.{dates[2]}.nc")).open()["sea_surface_temperature"]
    np.testing.assert_array_equal(single[0], got[2])


def test_ersst_refuses_a_folder_with_a_hole_or_a_month_that_is_another(tmp_path: Path) -> None:
    dates = archive(tmp_path)
    (tmp_path / f"ersst.v5.{dates[2]}.nc").rename(tmp_path / "aside.nc")
    with pytest.raises(SourceError, match="has no file between 2009-12 and 2010-02"):
        ERSST(path=str(tmp_path)).open()
    with pytest.raises(SourceError, match=r"holds no file for \[1990, 1995\]\n  allowed: .*2009-11-01.* 2010-03-01"):
        ERSST(path=str(tmp_path), period=(1990, 1995)).open()
    shutil.copy(tmp_path / f"ersst.v5.{dates[1]}.nc", tmp_path / f"ersst.v5.{dates[2]}.nc")
    with pytest.raises(SourceError, match=f"is of {dates[1]}15\n  allowed: a file of {dates[2]}"):
        ERSST(path=str(tmp_path)).open().compute()
    month(dates[2], rows=5).to_netcdf(tmp_path / f"ersst.v5.{dates[2]}.nc", engine="h5netcdf")
    with pytest.raises(SourceError, match=r"holds fields of \(5, 6\)\n  allowed: \(4, 6\)"):
        ERSST(path=str(tmp_path)).open().compute()


def test_a_new_month_changes_the_fingerprint_of_the_period_that_it_is_in(tmp_path: Path) -> None:
    archive(tmp_path)
    old, whole = ERSST(path=str(tmp_path), period=(2009, 2009)), ERSST(path=str(tmp_path))
    before = old.fingerprint(), whole.fingerprint()
    archive(tmp_path, "2010-04", 1)
    assert old.fingerprint() == before[0]
    assert whole.fingerprint() != before[1]


def days(folder: Path) -> list[str]:
    """Four days of OISST around the turn of a month, packed, in a folder per month."""
    dates = ["20200130", "20200131", "20200201", "20200202"]
    for number, date in enumerate(dates):
        values = np.full((1, 1, 3, 4), 20 + number / 4, dtype=np.float32)
        values[..., 0] = np.nan
        limits = {"valid_min": np.int16(-300), "valid_max": np.int16(4500)}
        data = xr.Dataset(
            {"sst": (("time", "zlev", "lat", "lon"), values, {"units": "Celsius", **limits})},
            {
                "time": [np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}T12", "ns")],
                "zlev": [0.0],
                "lat": [-1.0, 0.0, 1.0],
                "lon": [0.5, 1.5, 2.5, 3.5],
            },
        )
        late = "_preliminary" if number == 3 else ""
        (folder / date[:6]).mkdir(exist_ok=True)
        packing = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": np.int16(-999)}
        name = f"oisst-avhrr-v02r01.{date}{late}.nc"
        data.to_netcdf(folder / date[:6] / name, engine="h5netcdf", encoding={"sst": packing})
    return dates


def test_oisst_is_a_tree_of_packed_days(tmp_path: Path) -> None:
    days(tmp_path)
    got = OISST(path=str(tmp_path)).open()["sea_surface_temperature"]
    np.testing.assert_allclose(got[:, 1, 1], [20, 20.25, 20.5, 20.75])
    assert [str(each)[:10] for each in got["time"].values[[0, 3]]] == ["2020-01-30", "2020-02-02"]
    assert bool(got[..., 0].isnull().all())
    assert got.attrs["valid_range"] == pytest.approx([-3, 45])
    february = OISST(path=str(tmp_path), period=("2020-02", "2020-02")).open()["sea_surface_temperature"]
    np.testing.assert_array_equal(february, got[2:])


# --- ICAR-ENSO


def icar(folder: Path, generations: tuple[Generation, ...]) -> None:
    """The archive's layout on a small grid; a value says which simulation and month it is, as does the label."""
    rows = [
        1e4 * model + 12 * year + np.arange(36)
        for model, years in enumerate(each.years for each in generations for _ in range(each.models))
        for year in range(years)
    ]
    values = np.array(rows, dtype=np.float32)
    longitude = np.array([90.0, 95, 330, 335])
    sst = np.repeat(values[:, :, None, None], 4, axis=3) + np.array([0, 0.25, 0.5, 0], dtype=np.float32)
    xr.Dataset({"sst": (("year", "month", "lat", "lon"), sst)}, {"lat": [0.0], "lon": longitude}).to_netcdf(
        folder / "CMIP_train.nc", engine="h5netcdf"
    )
    xr.Dataset({"nino": (("year", "month"), values)}).to_netcdf(folder / "CMIP_label.nc", engine="h5netcdf")


def test_icar_enso_folds_its_rows_and_splits_as_published(tmp_path: Path) -> None:
    icar(tmp_path, ICARENSO(path="").generations)
    data = ICARENSO(path=str(tmp_path), labels=True).open()
    field = data["sea_surface_temperature_anomaly"]
    assert field.shape == (32, 1836, 1, 2)
    assert list(data["longitude"]) == [95, 330]
    assert list(data["months"]) == [1836] * 15 + [1704] * 17
    for model, months in ((0, 1836), (14, 1836), (15, 1704), (31, 1704)):
        expected = 1e4 * model + np.arange(months)
        np.testing.assert_array_equal(field[model, :months, 0, 0], np.float32(expected + 0.25))
        np.testing.assert_array_equal(data["nino34"][model, :months], np.float32(expected))
        assert bool(field[model, months:].isnull().all())
    windows = Windows(inputs=12, targets=14, over="month", series="model", observe=("sea_surface_temperature_anomaly",))
    cut = windows.apply(data, NONE)
    split = Split(by="model", train=(0, 29), validate=(30, 30), test=(31, 31)).apply(cut, NONE)
    samples = {name: Samples.of(split, name) for name in ("train", "validate", "test")}
    assert [len(each) for each in samples.values()] == [52350, 1679, 1679]
    assert samples["train"].given.names == ("sea_surface_temperature_anomaly",)
    last = samples["test"].truth([-1])
    assert not last["sea_surface_temperature_anomaly"].isnull().any()
    assert float(last["nino34"][0, -1]) == np.float32(310000 + 1703)


@pytest.mark.parametrize(("gap", "counts"), [(10, 5205), (5, 334), (1, 1667)])
def test_icar_enso_gives_the_papers_counts_with_targets_of_26(gap: int, counts: int, tmp_path: Path) -> None:
    icar(tmp_path, ICARENSO(path="").generations)
    windows = Windows(inputs=12, targets=26, stride=gap, over="month", series="model")
    cut = windows.apply(ICARENSO(path=str(tmp_path)).open(), NONE)
    by = {"by": "model", "train": (0, 29), "validate": (30, 30), "test": (31, 31)}
    name = {10: "train", 5: "validate", 1: "test"}[gap]
    assert len(Samples.of(Split.model_validate(by).apply(cut, NONE), name)) == counts  # type: ignore[arg-type]


@shared
def test_icar_enso_reads_real_rows_of_its_layout(tmp_path: Path) -> None:
    real = xr.open_dataset(SST / "ersstv5_icar_shape_8x36x24x72.nc", engine="h5netcdf")
    real[["sst"]].to_netcdf(tmp_path / "CMIP_train.nc", engine="h5netcdf")
    real[["nino"]].to_netcdf(tmp_path / "CMIP_label.nc", engine="h5netcdf")
    rows = (Generation(number=6, models=1, years=8),)
    data = ICARENSO(path=str(tmp_path), labels=True, generations=rows).open()
    field = data["sea_surface_temperature_anomaly"]
    assert field.shape == (1, 120, 24, 48)
    crop = real["sst"].sel(lon=slice(95, 330)).values
    for k in (0, 11, 12, 50, 107, 108, 119):
        row = min(k // 12, 7)
        np.testing.assert_allclose(field[0, k], crop[row, k - 12 * row], atol=1e-6)
    box = field.sel(latitude=slice(-5, 5), longitude=slice(190, 240)).mean(("latitude", "longitude"))
    np.testing.assert_array_equal(data["nino34"][0, 48:60], real["nino"].values[3, 12:24])
    ahead = box.isel(model=0).rolling(month=3).mean().shift(month=-2).dropna("month")
    # The fixture's labels come from the 2-degree field, its field has 5 degrees.
    assert np.corrcoef(ahead, data["nino34"][0, : ahead.size])[0, 1] > 0.98
    scaled = ICARENSO(path=str(tmp_path), normalise=True, generations=rows).open()["sea_surface_temperature_anomaly"]
    np.testing.assert_allclose(scaled, (field + 16.549121856689453) / 26.748097419738769, atol=1e-6)
    with pytest.raises(SourceError, match=r"holds 8 rows\n  allowed: 4645 rows: 15 x 151 \+ 17 x 140"):
        ICARENSO(path=str(tmp_path)).open()


def test_icar_enso_refuses_what_is_missing(tmp_path: Path) -> None:
    rows = (Generation(number=5, models=2, years=4),)
    icar(tmp_path, rows)
    with xr.open_dataset(tmp_path / "CMIP_train.nc", engine="h5netcdf") as data:
        spoilt = data.load()
    spoilt["sst"][7, 35] = np.nan
    spoilt.to_netcdf(tmp_path / "CMIP_train.nc", engine="h5netcdf")
    got = ICARENSO(path=str(tmp_path), generations=rows).open()["sea_surface_temperature_anomaly"]
    assert got.shape == (2, 72, 1, 2)
    got[0].compute()
    with pytest.raises(SourceError, match=r"is missing in rows 4\.\.7, month 71"):
        got[1].compute()


# --- all


def test_opening_reads_no_more_than_one_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path)
    icar(tmp_path, (Generation(number=5, models=1, years=4),))
    path = write(field(600), tmp_path, "nc4")
    read = np.zeros(1, dtype=int)
    plain: Any = xr.backends.h5netcdf_.H5NetCDFArrayWrapper._getitem

    def counting(self: Any, key: Any) -> Any:
        values = plain(self, key)
        read[0] += values.size if values.ndim > 1 else 0
        return values

    monkeypatch.setattr(xr.backends.h5netcdf_.H5NetCDFArrayWrapper, "_getitem", counting)
    parts: list[tuple[Dataset, int]] = [
        (Array(path=path, variables=["slp"]), 20),
        (ERSST(path=str(tmp_path)), 24),
        (ICARENSO(path=str(tmp_path), generations=(Generation(number=5, models=1, years=4),)), 0),
    ]
    for part, allowed in parts:
        read[0] = 0
        data = part.open()
        assert read[0] <= allowed, part
        data.compute()
        assert read[0] > allowed, part
