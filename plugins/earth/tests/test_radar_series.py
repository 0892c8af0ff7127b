"""Folders of one file a step: one series on one grid, in the order of valid times, or a refusal that names a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from thalweg import OptionError, SourceError, score
from thalweg_earth.datasets._radar import _formats, _series
from thalweg_earth.datasets.radar import Radar
from thalweg_earth.metrics.mae import MAE
from thalweg_earth.transforms.rain_rate import RainRate
from thalweg_earth.transforms.select import Select
from thalweg_earth.transforms.windows import Windows

NONE = xr.Dataset()
ROWS, COLUMNS = 6, 8
CORNERS = {"LL_lon": 4.0, "LL_lat": 50.0}


def composite(folder: Path, minute: int, *, named: str = "", **changed: Any) -> Path:
    """ODIM of one step: a drop that moves one cell to the right in five minutes."""
    from thalweg_earth.datasets._projection import crs_of, project, projection

    definition = "+proj=laea +lat_0=52 +lon_0=5 +ellps=WGS84 +units=m"
    text = projection(definition, source="test")
    left, bottom = (float(each) for each in project(text, 4.0, 50.0))
    scale = changed.pop("scale", 2000.0)
    import pyproj

    back = pyproj.Transformer.from_crs(crs_of(text), crs_of("OGC:CRS84"), always_xy=True)
    right, top = back.transform(left + COLUMNS * scale, bottom + ROWS * scale)
    clock = f"{12 + minute // 60:02d}{minute % 60:02d}00"
    path = folder / (named or f"rate_20200601{clock[:4]}.h5")
    raw = np.zeros((ROWS, COLUMNS), np.uint8)
    raw[2:4, (minute // 5) % COLUMNS] = 20
    raw[0] = 255
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = "ODIM_H5/V2_3"
        what = {"object": "COMP", "date": "20200601", "time": changed.pop("time", clock)}
        file.create_group("what").attrs.update(what)
        where = {"projdef": definition, "xscale": scale, "yscale": scale, "UR_lon": right, "UR_lat": top, **CORNERS}
        file.create_group("where").attrs.update(where)
        array = file.create_group("dataset1/data1")
        array.create_dataset("data", data=raw, compression="gzip", chunks=raw.shape)
        quantity = changed.pop("quantity", "RATE")
        packing = {"quantity": quantity, "gain": 0.5, "offset": 0.0, "nodata": 255.0, "undetect": 0.0}
        array.create_group("what").attrs.update(packing | changed)
    return path


def hour(folder: Path, count: int = 12) -> Path:
    for minute in range(0, 5 * count, 5):
        composite(folder, minute)
    return folder


def said(call: Callable[[], Any], folder: Path) -> str:
    with pytest.raises((SourceError, OptionError)) as error:
        call()
    return str(error.value).replace(str(folder), "FOLDER")


def test_an_hour_is_one_series(tmp_path: Path) -> None:
    data = Radar(path=str(hour(tmp_path))).open()
    assert data["rain_rate"].sizes == {"time": 12, "y": ROWS, "x": COLUMNS}
    assert (np.diff(data["time"].values) == np.timedelta64(5, "m")).all()
    assert data["rain_rate"].chunks is not None
    drops = np.argmax(data["rain_rate"].values[:, 2], axis=1)
    np.testing.assert_array_equal(drops, np.arange(12) % COLUMNS)
    assert np.isnan(data["rain_rate"].values[:, 0]).all()
    assert data["latitude"].dims == ("y", "x")
    assert data.attrs["projection"].startswith("PROJCRS")


def test_the_order_is_that_of_the_valid_times(tmp_path: Path) -> None:
    for number, minute in enumerate((10, 0, 5)):
        composite(tmp_path, minute, named=f"part{number}.h5")
    data = Radar(path=str(tmp_path)).open()
    np.testing.assert_array_equal(np.argmax(data["rain_rate"].values[:, 2], axis=1), [0, 1, 2])


def test_names_that_say_the_start_do_not_move_the_times(tmp_path: Path) -> None:
    for minute in (0, 5, 10):
        composite(tmp_path, minute + 5, named=f"scan_2020060112{minute:02d}.h5")
    data = Radar(path=str(tmp_path)).open()
    assert str(data["time"].values[0])[11:16] == "12:05"
    assert str(Radar(path=str(tmp_path), time="name").open()["time"].values[0])[11:16] == "12:00"


def test_nothing_is_read_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hour(tmp_path)
    read: list[str] = []
    true = _formats.read_values
    monkeypatch.setattr(_series, "read_values", lambda url, *a, **k: read.append(url) or true(url, *a, **k))
    monkeypatch.setattr(_series, "CHUNK", 1)
    data = Radar(path=str(tmp_path)).open()
    assert read == []
    assert data["rain_rate"].chunks[0] == (1,) * 12
    data["rain_rate"].isel(time=3).load(scheduler="sync")
    assert [Path(each).name for each in read] == ["rate_202006011215.h5"]


def test_of_many_files_the_first_and_the_last_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_series, "MANY", 4)
    asked: list[str] = []
    true = _formats.read_header
    monkeypatch.setattr(_series, "read_header", lambda url, *a: asked.append(url) or true(url, *a))
    data = Radar(path=str(hour(tmp_path))).open()
    assert [Path(each).name for each in asked] == ["rate_202006011200.h5", "rate_202006011255.h5"]
    composite(tmp_path, 20, time="122100")
    text = said(lambda: data["rain_rate"].load(scheduler="sync"), tmp_path)
    assert "'FOLDER/rate_202006011220.h5' is valid at 2020-06-01T12:21:00, and its name says" in text


@pytest.mark.bad_input("radar", "a folder of two products: {id}")
@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"scale": 1000.0}, "has y from"),
        ({"quantity": "ACRR"}, "has quantity 'ACRR'"),
        ({"quantity": "DBZH"}, "has quantity 'DBZH'"),
    ],
    ids=["two grids", "accumulations among rates", "reflectivity among rates"],
)
def test_mixed_folders_are_refused(changed: dict[str, Any], text: str, tmp_path: Path) -> None:
    hour(tmp_path, 3)
    composite(tmp_path, 15, **changed)
    message = said(lambda: Radar(path=str(tmp_path)).open(), tmp_path)
    assert message.startswith("'FOLDER/rate_202006011215.h5' " + text)
    assert "as in 'FOLDER/rate_202006011200.h5'" in message
    assert message.endswith("do: use files of one product, named by a glob in `path`")


@pytest.mark.bad_input("radar", "two files of one time in a folder")
def test_two_files_of_one_time_are_refused(tmp_path: Path) -> None:
    hour(tmp_path, 3)
    composite(tmp_path, 5, named="final_202006011205.h5")
    assert said(lambda: Radar(path=str(tmp_path)).open(), tmp_path) == (
        "'FOLDER/final_202006011205.h5' and 'FOLDER/rate_202006011205.h5' are both valid at 2020-06-01T12:05:00\n"
        "  allowed: one file a step\n"
        "  do: name one kind of file by a glob in `path`"
    )
    assert Radar(path=str(tmp_path / "rate_*.h5")).open().sizes["time"] == 3


@pytest.mark.bad_input("radar", "a series with a missing step")
def test_a_missing_step_is_for_windows_to_refuse_or_cut(tmp_path: Path) -> None:
    hour(tmp_path)
    (tmp_path / "rate_202006011230.h5").unlink()
    data = Radar(path=str(tmp_path)).open()
    with pytest.raises(OptionError, match="12:25"):
        Windows(inputs=2, targets=2).apply(data, NONE)
    cut = Windows(inputs=2, targets=2, gaps="cut").apply(data, NONE)
    assert cut["window_start"].values.tolist() == [0, 1, 2, 6, 7]


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    if kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"<html>503 Service Unavailable</html>")
    else:
        at = whole.rfind(b"x\x9c")  # the compressed chunk
        if at < 0:
            at = whole.find(b"x^")
        path.write_bytes(whole[: at + 2] + bytes(len(whole) - at - 2))


@pytest.mark.fault("radar", "a file of a series is damaged: {id}")
@pytest.mark.parametrize("kind", ["cut", "empty", "text", "values"])
def test_damaged_files_are_named_in_one_line(kind: str, tmp_path: Path) -> None:
    hour(tmp_path, 4)
    damage(tmp_path / "rate_202006011210.h5", kind)
    text = said(lambda: Radar(path=str(tmp_path)).open()["rain_rate"].load(scheduler="sync"), tmp_path)
    assert text.startswith("'FOLDER/rate_202006011210.h5' ")
    assert len(text.splitlines()) == 3


def test_hidden_files_and_sidecars_are_left_out(tmp_path: Path) -> None:
    hour(tmp_path, 3)
    for name in (".DS_Store", "rate_202006011200.h5.aux.xml", "README.md"):
        (tmp_path / name).write_text("notes")
    assert Radar(path=str(tmp_path)).open().sizes["time"] == 3


def test_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    part = Radar(path=str(hour(tmp_path, 3)))
    before = part.fingerprint()
    composite(tmp_path, 15)
    assert part.fingerprint() != before


# --- what comes after


def test_a_box_is_read_alone(tmp_path: Path) -> None:
    whole = Radar(path=str(hour(tmp_path, 3))).open()
    x, y = whole["x"].values, whole["y"].values
    part = Radar(path=str(tmp_path), box={"x": (x[2], x[5]), "y": (y[1], y[4])}).open()
    xr.testing.assert_identical(part["rain_rate"].load(), whole["rain_rate"].isel(x=slice(2, 6), y=slice(1, 5)).load())
    text = said(lambda: Radar(path=str(tmp_path), box={"x": (9e6, 9.1e6)}).open(), tmp_path)
    assert "`box` x [9000000.0, 9100000.0] holds nothing of the grid" in text
    assert "`box` has no 'longitude'" in said(
        lambda: Radar(path=str(tmp_path), box={"longitude": (1, 2)}).open(), tmp_path
    )


def test_transforms_and_metrics_take_projected_grids(tmp_path: Path) -> None:
    data = Radar(path=str(hour(tmp_path))).open()
    x = data["x"].values
    part = Select(ranges={"x": (float(x[1]), float(x[6]))}).apply(data, NONE)
    assert part.sizes["x"] == 6
    assert part["latitude"].sizes == {"y": ROWS, "x": 6}
    truth = part[["rain_rate"]].load().rename(time="sample")
    assert float(score(MAE(weights="area"), truth + 1, truth).overall) == pytest.approx(1.0, abs=1e-5)


def test_reflectivity_becomes_rain(tmp_path: Path) -> None:
    composite(tmp_path, 0, quantity="DBZH", gain=2.0)
    rain = RainRate(variable="reflectivity").apply(Radar(path=str(tmp_path)).open(), NONE)["rain"].values[0]
    assert np.isnan(rain[0]).all()
    assert rain[1].max() == 0.0
    assert rain[2, 0] == pytest.approx((10 ** (40 / 10) / 200) ** (1 / 1.6), rel=1e-5)


@pytest.mark.fault("radar", "the reader of GRIB brings another PROJ and is loaded first")
def test_projections_survive_the_libraries_of_eccodes() -> None:
    pytest.importorskip("eccodes")
    code = (
        "import eccodes, sqlite3\n"
        "from thalweg_earth.datasets._projection import project\n"
        "print([round(float(each), 3) for each in project('EPSG:3067', 25.0, 60.0)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stdout.strip()) == (0, "[388455.958, 6653097.435]"), done.stderr
