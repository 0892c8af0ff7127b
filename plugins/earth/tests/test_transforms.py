"""Transforms: equal to the obvious computation, lazy, and refusing what cannot be meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from thalweg import HandshakeError, OptionError, Registry, Samples, Signature, Transform
from thalweg.components.signature import shake
from thalweg_earth.datasets.kaplan import Kaplan
from thalweg_earth.transforms.anomaly import Anomaly
from thalweg_earth.transforms.excess import Excess
from thalweg_earth.transforms.rescale import Rescale
from thalweg_earth.transforms.season import Season
from thalweg_earth.transforms.select import Select
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
KAPLAN = SHARED / "data" / "sst" / "kaplan_sst_anom_5deg_1856_2014.nc"
NONE = xr.Dataset()


def monthly(years: int = 6, **attrs: Any) -> xr.Dataset:
    """`t(latitude, time, longitude)` from January 2000, with a seasonal cycle, a cell of land, and chunks."""
    time = xr.date_range("2000-01-01", periods=12 * years, freq="MS", use_cftime=False)
    values = (
        np.random.default_rng(1).standard_normal((3, time.size, 8)) + 10 * np.cos(np.arange(time.size) / 2)[:, None]
    )
    values[1, :, 2] = np.nan
    array = xr.DataArray(
        values.astype(np.float32),
        {"latitude": [10.0, 0.0, -10.0], "time": time, "longitude": np.arange(0.0, 360, 45)},
        ("latitude", "time", "longitude"),
        attrs={"units": "K", **attrs},
    )
    return array.to_dataset(name="t").chunk(time=7, latitude=2)


def made(kind: type[Transform], name: str, **options: Any) -> Transform:
    """A part as a recipe makes it, with its errors."""
    return Registry().build(kind, name, options, where=f"preprocess[0].{name}")


# --- anomaly


@pytest.mark.parametrize("over", ["time.month", "time.dayofyear", "time"])
def test_anomaly_is_the_field_less_its_mean_over_the_baseline(over: Any) -> None:
    data = monthly()
    anomaly = Anomaly(over=over, baseline=(2000, 2003))
    got = anomaly.apply(data, anomaly.statistics(data))["t"]
    assert got.chunks == data["t"].chunks
    whole = data["t"].compute()
    base = whole.sel(time=slice("2000", "2003"))
    expected = whole - base.mean("time") if over == "time" else whole.groupby(over) - base.groupby(over).mean("time")
    np.testing.assert_allclose(got, expected.transpose(*got.dims), atol=3e-6)
    assert got.attrs["units"] == "K"
    assert got.attrs["climatology"] == f"mean by {over.removeprefix('time.')} of 2000..2003"
    assert got.dtype == np.float32


def test_anomaly_of_a_slice_is_the_slice_of_the_anomaly() -> None:
    data = monthly()
    anomaly = Anomaly(baseline=(2000, 2001))
    known = anomaly.statistics(data).compute()
    part = slice(5, 31)
    xr.testing.assert_identical(
        anomaly.apply(data.isel(time=part), known).compute(), anomaly.apply(data, known).isel(time=part).compute()
    )
    in_memory = anomaly.apply(data.compute(), known)
    xr.testing.assert_identical(in_memory, anomaly.apply(data, known).compute())


def test_a_climatology_without_its_month_or_baseline_is_refused() -> None:
    data = monthly()
    with pytest.raises(OptionError, match=r"\[1900, 1901\] is not in the data\n  allowed: 2000-01-01"):
        Anomaly(baseline=(1900, 1901)).statistics(data)
    with pytest.raises(OptionError, match="has no month 1\n"):
        Anomaly(baseline=("2000-02", "2000-12")).statistics(data)
    with pytest.raises(OptionError, match="ends before it begins"):
        Anomaly(baseline=(2003, 2001)).statistics(data)


# --- rescale


@given(st.floats(-1e3, 1e3).filter(lambda by: abs(by) > 1e-3), st.floats(-1e3, 1e3))
@settings(max_examples=30, deadline=None)
def test_rescale_there_and_back_is_nothing(by: float, offset: float) -> None:
    data = monthly(1, valid_range=[-50.0, 50.0])
    there = Rescale(variable="t", by=by, offset=offset, units="K", to="other").apply(data, NONE)
    back = Rescale(variable="t", by=1 / by, offset=-offset / by, to="kelvin").apply(there, NONE)
    assert there["t"].attrs["units"] == "other"
    assert back["t"].attrs["units"] == "K"
    size = 50 * (1 + abs(offset / by))
    np.testing.assert_allclose(back["t"], data["t"], atol=1e-5 * size)
    np.testing.assert_allclose(back["t"].attrs["valid_range"], [-50, 50], atol=1e-9 * size)
    low, high = there["t"].attrs["valid_range"]
    assert low < high


def test_rescale_asks_for_the_units_that_it_converts() -> None:
    needs = Rescale(variable="t", units="Pa", by=0.01, to="hPa").needs()
    with pytest.raises(HandshakeError, match="units 'K', not 'Pa'"):
        shake(Signature.of(monthly()), needs, giver="array", taker="rescale")
    with pytest.raises(OptionError, match="loses the field"):
        made(Rescale, "rescale", variable="t", by=0.0, to="1")


# --- season


def test_season_adds_the_field_times_the_harmonics_of_the_year() -> None:
    data = monthly(2)
    got = Season(harmonics=2).apply(data, NONE)
    share = (data["time"].dt.dayofyear.values - 1) / np.where(data["time"].dt.year == 2000, 366, 365)
    for word, wave in (("cosine", np.cos), ("sine", np.sin)):
        for number, harmonic in (("", 1), ("2", 2)):
            expected = data["t"].values * wave(2 * np.pi * harmonic * share)[:, None]
            np.testing.assert_allclose(got[f"t_{word}{number}"], expected, atol=1e-4)
            assert got[f"t_{word}{number}"].attrs["units"] == "K"
            assert got[f"t_{word}{number}"].chunks == data["t"].chunks
    xr.testing.assert_identical(got["t"], data["t"])
    part = slice(5, 17)
    xr.testing.assert_identical(Season(harmonics=2).apply(data.isel(time=part), NONE), got.isel(time=part))


def test_season_needs_dates() -> None:
    with pytest.raises(HandshakeError, match="'t' does not change in time"):
        Season(variables=("t",)).check(Signature.of(monthly().mean("time")))
    with pytest.raises(HandshakeError, match="nothing changes in time"):
        Season().check(Signature.of(monthly().mean("time")))
    with pytest.raises(OptionError, match="'time' holds float64"):
        Season().apply(monthly().assign_coords(time=np.arange(72.0)), NONE)


# --- select


def test_select_keeps_the_ends_and_partial_dates_mean_all_of_them() -> None:
    data = Select(variables=("t",), time=("2001-03", 2002), latitude=(-5, 20)).apply(monthly(), NONE)
    assert str(data["time"].values[0])[:10] == "2001-03-01"
    assert str(data["time"].values[-1])[:10] == "2002-12-01"
    assert list(data["latitude"]) == [10, 0]
    xr.testing.assert_identical(data, Select(time=("2001-03", 2002), latitude=(20, -5)).apply(monthly(), NONE))
    sizes = data["t"].chunksizes["time"]
    assert len(set(sizes[:-1])) <= 1
    assert sizes[-1] <= sizes[0]


@given(st.integers(-360, 360), st.integers(0, 359), st.sampled_from([0.0, -180.0]), st.sampled_from([-360, 0, 360]))
@settings(max_examples=60, deadline=None)
def test_longitudes_go_eastward_around_the_globe(west: int, width: int, first: float, turn: int) -> None:
    longitude = first + np.arange(0.0, 360, 5)
    data = xr.Dataset({"t": ("longitude", longitude)}, {"longitude": longitude})
    expected = {value % 360 for value in np.arange(west, west + width + 1) if value % 5 == 0}
    east = west + width + (turn if width + turn >= 0 and turn < 0 else 0)
    select = Select(longitude=(west, east))
    if not expected:
        with pytest.raises(OptionError, match="no longitude lies in"):
            select.apply(data, NONE)
        return
    got = select.apply(data, NONE)["longitude"].values
    assert {value % 360 for value in got} == expected
    assert (np.diff((got - west) % 360) > 0).all()


def test_selecting_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match=r"no latitude lies in \[50.0, 60.0\]\n  allowed: latitude -10.0 .. 10.0"):
        Select(latitude=(50, 60)).apply(monthly(), NONE)
    with pytest.raises(HandshakeError, match="a range of 'model'"):
        Select(ranges={"model": (0, 3)}).check(Signature.of(monthly()))


# --- windows


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_windows_are_all_those_that_cross_nothing(draw: st.DataObject) -> None:
    inputs, targets, every = (draw.draw(st.integers(1, 3), label=name) for name in ("inputs", "targets", "every"))
    extent = (inputs + targets - 1) * every + 1
    size = extent + draw.draw(st.integers(8, 30), label="more")
    within = st.lists(st.integers(1, size - 1), max_size=2)
    changes, lost = draw.draw(within, label="changes"), set(draw.draw(within, label="gaps"))
    runs = np.isin(np.arange(size), changes).cumsum()
    minutes = np.cumsum([5 * (4 if i in lost else 1) for i in range(size)])
    lengths = draw.draw(st.lists(st.integers(1, size), min_size=2, max_size=2), label="lengths")
    data = xr.Dataset(
        {"field": (("series", "time"), np.zeros((2, size)))},
        {
            "time": np.datetime64("2020-01-01", "ns") + minutes.astype("timedelta64[m]"),
            "run": ("time", runs),
            "length": ("series", lengths, {"sample_dimension": "time"}),
        },
    )
    fits = [
        (row, start)
        for row in range(2)
        for start in range(lengths[row] - extent + 1)
        if len(set(runs[start : start + extent])) == 1 and not lost & set(range(start + 1, start + extent))
    ]
    part = Windows(inputs=inputs, targets=targets, every=every, series="series", within="run", gaps="cut")
    if not fits:
        with pytest.raises(OptionError, match="is longer than the longest unbroken run"):
            part.apply(data, NONE)
        return
    got = part.apply(data, NONE)
    assert list(zip(got["window_series"].values, got["window_start"].values, strict=True)) == fits


def test_a_stride_counts_from_the_start_of_each_run() -> None:
    data = monthly(2).assign_coords(run=("time", [0] * 10 + [1] * 14))
    got = Windows(inputs=2, targets=1, stride=4, within="run").apply(data, NONE)
    assert list(got["window_start"]) == [0, 4, 10, 14, 18]
    assert got["window_start"].dtype == np.int64


def test_windows_copy_nothing() -> None:
    data = monthly()
    got = Windows(inputs=2, targets=1).apply(data, NONE)
    assert got["t"].data is data["t"].data


def test_named_starts_take_what_lies_beside_them_along() -> None:
    data = monthly(2).assign(start=("event", [0, 9, 22]), wet=("event", [0.1, 0.2, 0.3]))
    with pytest.raises(OptionError, match="1 of 3 windows run past the end of a run, as at 22"):
        Windows(inputs=2, targets=1, starts="start").apply(data, NONE)
    got = Windows(inputs=2, targets=1, starts="start", gaps="cut").apply(data, NONE)
    assert list(got["window_start"]) == [0, 9]
    samples = Samples.of(got)
    assert samples.given.names == ("t",)
    np.testing.assert_array_equal(samples.inputs([1])["wet"], [0.2])


def test_further_windows_are_for_training_only() -> None:
    data = monthly(3).assign(start=("event", [0, 3, 12, 20, 30]), wet=("event", [0.1, 0.2, 0.3, 0.4, 0.5]))
    got = Windows(inputs=3, targets=2, starts="start", between=3).apply(data, NONE)
    # From 0: 0, 3 (given); from 3: 3, 6; from 12: 12, 15; from 20: 20, 23; from 30: 30, as 33 would run past the end.
    assert list(got["window_start"]) == [0, 3, 6, 12, 15, 20, 23, 30]
    assert list(got["window_further"]) == [0, 0, 1, 0, 1, 0, 1, 0]
    assert list(got["wet"]) == [0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5]
    first = str(got["time"].values[0])[:4]
    split = Split(train=(first, first), validate=(int(first) + 1, int(first) + 1), test=(int(first) + 2,) * 2)
    labels = split.apply(got, NONE)["window_split"].values
    assert list(labels) == [0, 0, 0, 1, -1, -1, -1, 2]
    alone = Windows(inputs=3, targets=2, starts="start").apply(data, NONE)
    assert "window_further" not in alone
    assert list(alone["window_start"]) == list(got["window_start"].values[got["window_further"].values == 0])
    with pytest.raises(OptionError, match="`between: 3` without `starts`"):
        Windows(inputs=3, targets=2, between=3).apply(data, NONE)


def test_a_window_longer_than_its_series_is_refused_with_both_lengths() -> None:
    with pytest.raises(OptionError) as caught:
        Windows(inputs=20, targets=10).apply(monthly(2), NONE)
    assert str(caught.value) == (
        "a window of 30 steps is longer than the longest unbroken run of 'time', 24 steps\n"
        "  allowed: at most 24 steps: (inputs + targets - 1) * every + 1\n"
        "  do: shorten `inputs` or `targets`"
    )


@pytest.mark.parametrize("freq", ["MS", "ME", "YS", "3MS", "D", "5min"])
def test_regular_calendars_have_no_gaps_and_a_lost_step_is_one(freq: str) -> None:
    time = xr.date_range("1999-11-30", periods=60, freq=freq, use_cftime=False)
    data = xr.Dataset({"field": ("time", np.zeros(60))}, {"time": time})
    windows = Windows(inputs=2, targets=1)
    assert windows.apply(data, NONE).sizes["window"] == 58
    lost = data.isel(time=[i for i in range(60) if i != 30])
    with pytest.raises(OptionError, match=r"'time' has 1 gap\(s\), the first from .*\n  allowed: equal steps"):
        windows.apply(lost, NONE)
    got = windows.model_copy(update={"gaps": "cut"}).apply(lost, NONE)
    assert sorted(set(range(57)) - set(got["window_start"].values)) == [28, 29]


def test_times_that_go_back_and_fields_that_are_not_there_are_refused() -> None:
    data = monthly(2)
    with pytest.raises(OptionError, match="'time' goes back after"):
        Windows(inputs=1, targets=1, gaps="cut").apply(data.isel(time=[0, 1, 2, 1, 3]), NONE)
    with pytest.raises(HandshakeError, match="needs a field 'wind' along 'time'\n  allowed: t"):
        Windows(inputs=1, targets=1, predict=("wind",)).check(Signature.of(data))
    with pytest.raises(OptionError, match="have samples already"):
        Windows(inputs=1, targets=1).apply(Windows(inputs=1, targets=1).apply(data, NONE), NONE)


# --- split


@pytest.mark.skipif(not KAPLAN.exists(), reason=f"{KAPLAN.name} is not there")
def test_kaplan_has_the_published_numbers_of_starts() -> None:
    data = Kaplan(path=str(KAPLAN)).open()
    anomaly = Anomaly(baseline=(1871, 1973))
    data = Windows(inputs=12, targets=16).apply(anomaly.apply(data, anomaly.statistics(data)), NONE)
    data = Split(train=(1871, 1973), validate=(1974, 1983), test=(1984, 2014)).apply(data, NONE)
    counts = [len(Samples.of(data, name)) for name in ("train", "validate", "test")]
    assert counts == [1209, 93, 343]
    last = data["time"].values[data["window_start"].values[Samples.of(data, "test").numbers] + 11]
    assert [str(each)[:7] for each in last[[0, -1]]] == ["1984-12", "2013-06"]


@given(st.integers(1, 4), st.integers(1, 3), st.lists(st.integers(0, 71), min_size=6, max_size=6, unique=True))
@settings(max_examples=40, deadline=None)
def test_windows_of_different_splits_share_no_month(inputs: int, targets: int, ends: list[int]) -> None:
    data = Windows(inputs=inputs, targets=targets).apply(monthly(), NONE)
    months = [str(each)[:7] for each in data["time"].values]
    a, b, c, d, e, f = sorted(ends)
    split = Split(train=(months[a], months[b]), validate=(months[c], months[d]), test=(months[e], months[f]))
    length = inputs + targets
    if min(b - a, d - c, f - e) + 1 < length:
        with pytest.raises(OptionError, match="would hold no samples"):
            split.apply(data, NONE)
        return
    label = split.apply(data, NONE)["window_split"].values
    for number, (first, last) in enumerate([(a, b), (c, d), (e, f)]):
        np.testing.assert_array_equal(np.flatnonzero(label == number), np.arange(first, last - length + 2))


def test_partial_dates_hold_in_a_calendar_without_leap_days() -> None:
    time = xr.date_range("2001-01-01", periods=730, freq="D", calendar="noleap", use_cftime=True)
    data = Windows(inputs=1, targets=1).apply(xr.Dataset({"t": ("time", np.zeros(730))}, {"time": time}), NONE)
    label = Split(train=(2001, "2002-02"), test=("2002-03-01", "2002-03-10")).apply(data, NONE)["window_split"].values
    assert (label == 0).sum() == 365 + 59 - 1
    assert (label == 2).sum() == 9


def test_periods_that_overlap_are_refused_by_name() -> None:
    with pytest.raises(OptionError) as caught:
        made(Split, "split", train=[1871, 1974], validate=["1974-06", 1983], test=[1984, 2014])
    assert str(caught.value) == (
        "preprocess[0].split: train [1871, 1974] and validate ['1974-06', 1983] overlap\n"
        "  allowed: periods that share no time\n"
        "  do: end one before the other begins"
    )
    with pytest.raises(ValidationError, match="ends before it begins"):
        Split(train=(1974, 1871))
    with pytest.raises(OptionError, match="neither periods nor fractions"):
        made(Split, "split")


def test_a_split_without_windows_is_refused_with_the_counts() -> None:
    data = Windows(inputs=6, targets=6).apply(monthly(), NONE)
    with pytest.raises(OptionError, match="validate would hold no samples: train 13, validate 0, test 25\n"):
        Split(train=(2000, 2001), validate=("2002-01", "2002-05"), test=(2003, 2005)).apply(data, NONE)
    with pytest.raises(HandshakeError, match="put `windows` before `split`"):
        Split(train=(2000, 2001)).apply(monthly(), NONE)


def test_half_open_bounds_are_moments() -> None:
    begin = np.array(["2018-12-31T23:55", "2019-01-01", "2019-01-01T00:05", "2019-06-01"], dtype="datetime64[ns]")
    data = xr.Dataset({"vil": (("event", "time"), np.zeros((4, 5)))}, {"begin": ("event", begin), "time": np.arange(5)})
    data = Windows(inputs=2, targets=3, series="event").apply(data, NONE)
    split = Split(by="begin", train=(None, "2019-01-01"), test=("2019-01-01", "2019-06-01"), bounds="(]")
    assert list(split.apply(data, NONE)["window_split"]) == [0, 0, 2, 2]
    with pytest.raises(OptionError, match=r"cannot be split by 'start'\n  allowed: begin, time"):
        Split(by="start", train=(0, 1)).apply(data, NONE)


def test_fractions_draw_pairs_and_whole_series_but_never_windows_that_overlap() -> None:
    data = xr.Dataset({"field": (("model", "time"), np.zeros((10, 8)))}, {"time": np.arange(8)})
    windows = Windows(inputs=2, targets=1, series="model").apply(data, NONE)
    got = Split(fractions=(0.6, 0.2, 0.2), seed=3).apply(windows, NONE)
    label = xr.DataArray(
        got["window_split"].values, coords={"model": ("window", got["window_series"].values)}, dims="window"
    )
    assert [len({int(m) for m in label["model"][label == number]}) for number in range(3)] == [6, 2, 2]
    assert all(len(set(each.values)) == 1 for _, each in label.groupby("model"))
    pairs = xr.Dataset({"a": ("image", np.zeros(7))}, attrs={"samples": {"kind": "pairs", "dim": "image"}})
    drawn = Split(fractions=(0.5, 0.25, 0.25)).apply(pairs, NONE)["pair_split"]
    assert drawn.dims == ("image",)
    assert sorted(np.bincount(drawn)) == [1, 2, 4]
    with pytest.raises(OptionError, match="they overlap, and the test would be learned"):
        Split(fractions=(0.5, 0.25, 0.25)).apply(Windows(inputs=2, targets=1).apply(data, NONE), NONE)


# --- all


def test_no_transform_reads_a_field() -> None:
    def fail(_: Any) -> Any:
        raise AssertionError("a field was read")

    data = monthly()
    lazy = data.assign(
        t=data["t"].copy(data=data["t"].data.map_blocks(fail, dtype=np.float32, meta=np.empty((0,) * 3)))
    )
    for part in (
        Select(time=(2000, 2004), longitude=(-60, 60)),
        Rescale(variable="t", offset=-273.15, units="K", to="degC"),
        Anomaly(baseline=(2000, 2002)),
        Windows(inputs=3, targets=2),
        Split(train=(2000, 2002), test=(2003, 2004)),
    ):
        part.check(Signature.of(lazy))
        lazy = part.apply(lazy, part.statistics(lazy))
    assert len(Samples.of(lazy, "test")) == 20
    with pytest.raises(AssertionError, match="a field was read"):
        lazy["t"].compute()


def test_select_cuts_fields_whose_coordinates_have_chunks_of_their_own() -> None:
    data = monthly()
    run = xr.DataArray(np.arange(data.sizes["time"]), dims="time").chunk(time=5)
    found = Select(time=(2001, 2002)).apply(data.assign_coords(run=run), NONE)
    assert found.sizes["time"] == 24
    np.testing.assert_array_equal(found["run"], np.arange(12, 36))


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_an_excess_is_zero_up_to_the_threshold(kind: str) -> None:
    values = np.array([[0, 73, 74, 200]], kind)
    data = xr.Dataset({"z": (("time", "x"), values, {"units": "1", "valid_range": [0, 255]})}).chunk(x=2)
    found = Excess(variable="z", over=73.0, to="rain").apply(data, NONE)["rain"]
    assert found.dtype == np.float32 and found.chunks is not None
    assert found.values.tolist() == [[0.0, 0.0, 1.0, 127.0]]
    assert (found.attrs["units"], found.attrs["valid_range"]) == ("1", [0.0, 182.0])
    if kind != "uint8":
        holed = data.where(data.z != 74)
        assert np.isnan(Excess(variable="z", over=73.0, to="rain").apply(holed, NONE)["rain"].values[0, 2])
