"""GRIB: valid times, steps, keys to choose by, and messages that are there twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg import OptionError, SourceError
from thalweg_earth.datasets.array import Array

eccodes = pytest.importorskip("eccodes")
pytest.importorskip("cfgrib")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "t.grib"


def messages(path: Path, *fields: dict[str, Any]) -> str:
    """One message a mapping of keys; its values are `value`."""
    with path.open("wb") as file:
        for keys in fields:
            keys = {"shortName": "2t", "dataDate": 20200101, "dataTime": 0, **keys}
            value = keys.pop("value")
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            for name, each in keys.items():
                eccodes.codes_set(message, name, each)
            eccodes.codes_set_values(message, np.full(eccodes.codes_get_size(message, "values"), float(value)))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return str(path)


def read(path: str, name: str = "t2m", **options: Any) -> Any:
    got = Array(path=path, variables=[name], **options).open()[name]
    return [str(each)[:13] for each in got["time"].values], [round(float(each), 2) for each in got[:, 0, 0]]


def test_a_field_is_dated_by_the_time_at_which_it_is_valid(path: Path) -> None:
    steps = [{"step": step, "value": 270 + step} for step in (12, 6, 18)]
    assert read(messages(path, *steps)) == (["2020-01-01T06", "2020-01-01T12", "2020-01-01T18"], [276, 282, 288])
    days = [{"dataDate": 20200100 + day, "step": 24, "value": day} for day in (1, 2)]
    assert read(messages(path, *days)) == (["2020-01-02T00", "2020-01-03T00"], [1, 2])


def test_reference_times_and_steps_that_do_not_overlap_are_one_axis(path: Path) -> None:
    fields = [{"dataTime": 100 * hour, "step": step, "value": hour + step} for hour in (0, 12) for step in (3, 9)]
    times = [f"2020-01-01T{hour:02}" for hour in (3, 9, 15, 21)]
    assert read(messages(path, *fields)) == (times, [3, 9, 15, 21])


def test_accumulations_are_dated_by_their_end(path: Path) -> None:
    fields = [
        {"shortName": "tp", "stepType": "accum", "stepRange": f"{step}-{step + 6}", "value": step} for step in (0, 6)
    ]
    assert read(messages(path, *fields), "tp") == (["2020-01-01T06", "2020-01-01T12"], [0, 6])


def test_variables_of_other_levels_are_read_beside_each_other(path: Path) -> None:
    fields = [{"dataDate": 20200100 + day, "shortName": name, "value": day} for day in (1, 2) for name in ("2t", "10u")]
    got = Array(path=messages(path, *fields), variables=["t2m", "u10"]).open()
    assert got["u10"].attrs["units"] == "m s-1" and got["t2m"].attrs["units"] == "K"
    assert got["u10"].shape == got["t2m"].shape


def levels(path: Path) -> str:
    surface = [{"shortName": "t", "typeOfLevel": "surface", "value": 1, "dataDate": 20200100 + d} for d in (1, 2)]
    aloft = [
        {"shortName": "t", "typeOfLevel": "isobaricInhPa", "level": 500, "value": 2, "dataDate": 20200100 + d}
        for d in (1, 2)
    ]
    return messages(path, *surface, *aloft)


def test_messages_are_chosen_by_their_keys(path: Path) -> None:
    assert read(levels(path), "t", filter_by_keys={"typeOfLevel": "isobaricInhPa"})[1] == [2, 2]


@pytest.mark.bad_input("sources", "a GRIB file that holds one variable on levels of two kinds")
def test_levels_of_two_kinds_are_refused_with_their_keys(path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"differ in typeOfLevel\n  allowed: .*isobaricInhPa.*\n  do: .*filter_by_keys"
    ):
        read(levels(path), "t")


@pytest.mark.bad_input("sources", "a GRIB file with {id}")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            [{"value": 1}, {"value": 2}, {"dataDate": 20200102, "value": 3}],
            "holds 3 fields of 't2m' for 2",
            id="a field twice",
        ),
        pytest.param(
            [{"dataTime": 100 * hour, "step": step, "value": 1} for hour in (0, 6) for step in (6, 12)],
            "several forecasts of one time",
            id="forecasts of one time from two starts",
        ),
    ],
)
def test_fields_that_are_there_twice_are_refused(fields: list[dict[str, Any]], message: str, path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        read(messages(path, *fields))


def test_a_variable_that_is_not_there_is_refused(path: Path) -> None:
    file = messages(path, {"value": 1}, {"value": 1, "dataDate": 20200102})
    with pytest.raises(SourceError, match=r"holds no variable 'msl'\n  allowed: t2m"):
        read(file, "msl")


def test_keys_are_of_grib(tmp_path: Path) -> None:
    import xarray as xr

    xr.Dataset({"v": ("x", [1.0])}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(OptionError, match="`filter_by_keys` is of GRIB"):
        Array(path=str(tmp_path / "a.nc"), variables=["v"], filter_by_keys={"level": 500}).open()


def test_a_step_that_a_reference_time_does_not_have_is_no_time(path: Path) -> None:
    """An analysis at 0, with a forecast, and one at 12: cfgrib makes a field of NaN for 18."""
    wrote = messages(path, {"value": 1}, {"value": 2, "step": 6}, {"value": 3, "dataTime": 1200})
    assert read(wrote) == (["2020-01-01T00", "2020-01-01T06", "2020-01-01T12"], [1, 2, 3])
    # The forecast of 6 for 12, and the analysis at 6: no time is there twice, for 0 has no step 6.
    wrote = messages(path, {"value": 1}, {"value": 2, "dataTime": 600}, {"value": 3, "dataTime": 600, "step": 6})
    assert read(wrote) == (["2020-01-01T00", "2020-01-01T06", "2020-01-01T12"], [1, 2, 3])


@pytest.mark.bad_input("sources", "a GRIB file with one variable on two grids")
def test_two_grids_in_one_file_are_refused(path: Path) -> None:
    moved = {"latitudeOfFirstGridPointInDegrees": 50, "latitudeOfLastGridPointInDegrees": 20}
    with pytest.raises(SourceError, match=r"on 2 grids\n  allowed: one grid\n  do: choose .*md5GridSection"):
        read(messages(path, {"value": 1}, {"value": 2, "step": 6, **moved}))


@pytest.mark.bad_input("sources", "a GRIB file that is cut within a message")
def test_a_file_that_is_cut_is_refused(path: Path) -> None:
    whole = Path(messages(path, {"value": 1}, {"value": 2, "step": 6})).read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(SourceError, match="cannot be read: PrematureEndOfFile"):
        read(str(path))


def test_a_field_of_one_time_beside_a_series_is_said_to_be_taken_for_constant(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrote = messages(path, {"value": 1}, {"value": 2, "step": 6}, {"value": 3, "shortName": "2d"})
    data = Array(path=wrote, variables=["t2m", "d2m"]).open()
    assert "time" not in data["d2m"].dims
    assert "'d2m' of" in caplog.text and "is there at 2020-01-01T00:00 only" in caplog.text
