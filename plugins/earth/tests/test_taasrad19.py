"""TAASRAD19: its events, on the real file where it is there."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg.errors import SourceError
from thalweg.samples import SPLITS, Samples
from thalweg_earth.datasets.taasrad19 import TAASRAD19
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
REAL = SHARED / "data" / "radar" / "taasrad19_64_2015-10_2016-07.nc"
real = pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL.name}, which is not in this checkout")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "radar.nc"
    refl = np.random.default_rng(0).integers(0, 255, (60, 4, 4), dtype=np.uint8)
    xr.Dataset(
        {
            "refl": (("time", "y", "x"), refl),
            "sequence": ("time", np.repeat([0, 1], 30).astype("i4")),
            "event_start": ("event", np.array([0, 30], "i4")),
            "event_wet_fraction": ("event", np.array([0.02, 0.03], "f4")),
            "event_split": ("event", np.array([0, 1], "i1")),
        },
        {"time": np.datetime64("2016-01-01", "ns") + np.arange(60) * np.timedelta64(5, "m")},
    ).to_netcdf(path, engine="h5netcdf")
    return str(path), refl


def test_the_layout(small):
    path, refl = small
    data = TAASRAD19(path=path, frames_per_chunk=25).open()
    assert list(data.data_vars) == ["reflectivity"]
    assert data.reflectivity.chunks == ((25, 25, 10), (4,), (4,)) and data.reflectivity.dtype == np.uint8
    np.testing.assert_array_equal(data.reflectivity.values, refl)
    assert data.event_start.values.tolist() == [0, 30] and "sequence" in data.coords
    copy = pickle.loads(pickle.dumps(data))
    assert copy.reflectivity.isel(time=slice(20, 30)).compute().identical(data.reflectivity[20:30].compute())


def test_dry_events_are_left_out(small):
    data = TAASRAD19(path=small[0], minimum_wet_fraction=0.03).open()
    assert data.event_start.values.tolist() == [30] and data.event_split.values.tolist() == [1]
    with pytest.raises(SourceError, match=r"no event has a wet fraction of 0\.5"):
        TAASRAD19(path=small[0], minimum_wet_fraction=0.5).open()


def test_another_file_is_refused(tmp_path):
    xr.Dataset({"refl": ("time", [1])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(SourceError, match="has no 'sequence', 'event_start'"):
        TAASRAD19(path=str(tmp_path / "other.nc")).open()


@real
def test_the_events_of_the_real_file():
    data = TAASRAD19(path=str(REAL)).open()
    start, split = data.event_start.values, data.event_split.values
    assert len(start) == 1245 and (np.diff(start) >= 25).all() and (split == 1).sum() == 174
    sequence = data.sequence.values
    assert (sequence[start] == sequence[start + 24]).all()
    july = data.time.values[start] >= np.datetime64("2016-07-01")
    np.testing.assert_array_equal(july, split == 1)
    wet = TAASRAD19(path=str(REAL), minimum_wet_fraction=0.03).open()
    assert wet.sizes["event"] == 435 and int((wet.event_split == 1).sum()) == 87


@real
def test_the_windows_are_the_events():
    data = TAASRAD19(path=str(REAL), minimum_wet_fraction=0.03).open()
    windows = Windows(inputs=13, targets=12, within="sequence", starts="event_start")
    cut = windows.apply(data, xr.Dataset())
    split = Split(train=(None, "2016-05"), validate=("2016-06", "2016-06"), test=("2016-07", None))
    cut = split.apply(cut, xr.Dataset())
    np.testing.assert_array_equal(cut.window_start, data.event_start)
    counts = {name: len(Samples.of(cut, name)) for name in SPLITS}
    assert sum(counts.values()) == 435 and counts["test"] == 87
    first = Samples.of(cut, "test")
    start = int(data.event_start[data.event_split == 1][0])
    assert list(first.truth([0]).data_vars) == ["reflectivity"]
    np.testing.assert_array_equal(first.truth([0]).reflectivity[0], data.reflectivity[start + 13 : start + 25])


@real
def test_the_wet_fraction_is_of_pixels_at_15_dbz():
    data = TAASRAD19(path=str(REAL)).open()
    for event in (0, 700, 1244):
        first = int(data.event_start[event])
        share = (data.reflectivity[first : first + 25] * (52.5 / 255) >= 15).mean()
        np.testing.assert_allclose(share, data.event_wet_fraction[event], atol=1e-6)
