"""Nothing is not zero: what is missing weighs nothing, and what follows from it alone is missing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from thalweg import HandshakeError, Learner, Method, Samples, Solver, Training
from thalweg_earth.datasets.kaplan import Kaplan
from thalweg_earth.methods.damped_persistence import DampedPersistence, _predictor
from thalweg_earth.methods.linear_inverse_model import LinearInverseModel
from thalweg_earth.methods.persistence import Persistence
from thalweg_earth.methods.seasonal_ridge import SeasonalRidge
from thalweg_earth.transforms.anomaly import Anomaly
from thalweg_earth.transforms.windows import Windows

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
KAPLAN = SHARED / "data" / "sst" / "kaplan_sst_anom_5deg_1856_2014.nc"
METHODS = [
    Persistence(average=3),
    DampedPersistence(average=3),
    LinearInverseModel(modes=2, lag=3),
    SeasonalRidge(modes=1),
]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape)


def field(values: np.ndarray) -> xr.DataArray:
    """`(time, y, x)` by month, on a grid of latitudes and longitudes."""
    time = (np.datetime64("1900-01", "M") + np.arange(len(values))).astype("datetime64[ns]")
    height, width = values.shape[1:]
    coords = {"latitude": ("y", np.linspace(-40, 40, height)), "longitude": ("x", np.linspace(180, 280, width))}
    return xr.DataArray(values, {"time": time, **coords}, ("time", "y", "x"), attrs={"units": "degC"})


def both(one: xr.DataArray) -> xr.DataArray:
    """A series and its mirror image: their mean is the fixed point of linear dynamics."""
    return xr.concat([one, -one], xr.Variable("series", [0, 1]))


def linear(steps: int) -> xr.DataArray:
    """Rotation and decay of two modes, and the mirror image."""
    turn = 0.97 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    state = [noise(2)]
    for _ in range(steps - 1):
        state.append(turn @ state[-1])
    return both(field((np.stack(state) @ noise(12, 2).T).reshape(steps, 3, 4)))


def seasonal() -> xr.DataArray:
    """Series of a pattern that grows and shrinks with the year, `u (1.5 + cos theta)`, of several amplitudes."""
    year = 1.5 + np.cos(2 * np.pi * np.arange(72) / 12)
    one = field(year[:, None, None] * (1.0 + np.arange(12.0).reshape(3, 4)))
    return xr.concat([each * one for each in (-2.0, -1.0, 1.0, 2.0)], xr.Variable("series", np.arange(4)))


def windowed(one: xr.DataArray, *, inputs: int, targets: int) -> xr.Dataset:
    series = "series" if "series" in one.dims else None
    windows = Windows(inputs=inputs, targets=targets, series=series, predict=("sst",))
    return windows.apply(one.to_dataset(name="sst"), xr.Dataset())


def fit(method: Learner, data: xr.Dataset, folder: Path) -> Solver:
    samples = Samples.of(data)
    return method.fit(Training(samples, None, samples.wanted, {}, folder, lambda _numbers, _step: None, None))


def solved(method: Method, data: xr.Dataset, folder: Path) -> np.ndarray:
    samples = Samples.of(data)
    solver = fit(method, data, folder) if isinstance(method, Learner) else method
    assert isinstance(solver, Solver)
    return solver.solve(samples.inputs(slice(None)), samples.wanted).sst.values


@pytest.mark.bad_input("sources", "sea-surface temperatures of which a month was not observed")
def test_kaplan_gives_land_and_a_month_that_was_not_observed_as_missing(tmp_path: Path) -> None:
    values = np.ones((12, 3, 4), "f4")
    values[5] = values[:, 0, 0] = np.nan
    axes = {"time": pd.date_range("2000", periods=12, freq="MS"), "lat": [0.0, 1, 2], "lon": [0.0, 1, 2, 3]}
    path = str(tmp_path / "kaplan.nc")
    xr.Dataset({"ssta": (("time", "lat", "lon"), values, {"units": "degC"})}, axes).to_netcdf(path, engine="h5netcdf")
    data = Kaplan(path=path).open()
    np.testing.assert_array_equal(data["sst_anomaly"], values)
    anomaly = Anomaly(over="time")
    made = anomaly.apply(data, anomaly.statistics(data))["sst_anomaly"].values
    np.testing.assert_array_equal(made, np.where(np.isnan(values), np.nan, 0.0))


@pytest.mark.parametrize("method", METHODS, ids=lambda each: type(each).__name__)
def test_land_changes_nothing_at_sea(method: Method, tmp_path: Path) -> None:
    """Cells that are never there have no part: as if they were 0, and missing in the estimate."""
    values = field(noise(90, 3, 4) + np.sin(np.arange(90) / 3)[:, None, None])
    land = (values.latitude > 20) & (values.longitude > 250)
    free = solved(method, windowed(values.where(~land, 0.0), inputs=9, targets=4), tmp_path)
    found = solved(method, windowed(values.where(~land), inputs=9, targets=4), tmp_path)
    assert np.isnan(found).any()
    np.testing.assert_array_equal(found, np.where(np.isnan(found), np.nan, free))
    assert (np.isnan(found) == land.values).all()


@pytest.mark.parametrize("method", METHODS, ids=lambda each: type(each).__name__)
def test_a_forecast_from_a_month_that_was_not_observed_is_missing(method: Method, tmp_path: Path) -> None:
    values = noise(90, 3, 4)
    values[40] = np.nan
    found = solved(method, windowed(field(values), inputs=9, targets=4), tmp_path)
    # Inputs of window w are months w .. w + 8; only the last counts for the linear inverse model.
    used = {"Persistence": 3, "DampedPersistence": 3, "LinearInverseModel": 1, "SeasonalRidge": 9}[
        type(method).__name__
    ]
    without = [window for window in range(len(found)) if window + 9 - used <= 40 <= window + 8]
    missing = np.isnan(found)
    assert missing[without].all()
    assert missing.sum() == missing[without].sum()


def test_a_month_that_was_not_observed_is_not_learned_from(tmp_path: Path) -> None:
    """Linear dynamics stay exact: no pair of months holds it, and the EOFs do not know it."""
    values = linear(60)
    truth = Samples.of(windowed(values, inputs=2, targets=7)).truth(slice(None)).sst.values
    values[:, 20] = np.nan
    data = windowed(values, inputs=2, targets=7)
    estimate = solved(LinearInverseModel(modes=2, lag=3, weights="none"), data, tmp_path)
    known = np.isfinite(estimate).all((1, 2, 3))
    assert known.sum() == len(known) - 2
    np.testing.assert_allclose(estimate[known], truth[known], atol=1e-6)


def test_a_regression_is_over_the_months_whose_truth_is_there(tmp_path: Path) -> None:
    """What turns with the year is found exactly, though months of the truth, all or in one cell, are missing."""
    values = seasonal()
    truth = Samples.of(windowed(values, inputs=9, targets=5)).truth(slice(None)).sst.values
    values[:, 60:62] = np.nan
    values[:, 10:40, 0, 0] = np.nan
    estimate = solved(SeasonalRidge(modes=1, penalty=1e-9), windowed(values, inputs=9, targets=5), tmp_path)
    known = np.isfinite(estimate)
    assert known.mean() > 0.85
    assert known[..., 0, 0].any(), "a cell that is missing at times has no part in the EOFs, and an estimate"
    np.testing.assert_allclose(estimate[known], truth[known], atol=1e-3)


def test_a_cell_that_is_missing_at_times_has_no_part_in_the_eofs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = linear(40)
    truth = Samples.of(windowed(values, inputs=2, targets=7)).truth(slice(None)).sst.values
    values[:, 5:9, 1, 2] = np.nan
    estimate = solved(LinearInverseModel(modes=2, lag=3), windowed(values, inputs=2, targets=7), tmp_path)
    missing = np.isnan(estimate)
    assert missing[..., 1, 2].all() and missing.sum() == missing[..., 1, 2].sum()
    np.testing.assert_allclose(estimate[~missing], truth[~missing], atol=1e-6)
    assert "1 of 12 cells are missing at times: left out" in caplog.text


def test_of_an_input_with_gaps_the_modes_are_those_that_fit_what_is_there(tmp_path: Path) -> None:
    values = linear(40)
    data = windowed(values, inputs=2, targets=7)
    samples = Samples.of(data)
    solver = fit(LinearInverseModel(modes=2, lag=3), data, tmp_path)
    inputs, truth = samples.inputs([3, 4]), samples.truth([3, 4]).sst.values
    inputs["sst"][0, -1, 0] = np.nan
    estimate = solver.solve(inputs, samples.wanted).sst.values
    np.testing.assert_allclose(estimate, truth, atol=1e-6)
    inputs["sst"][0, -1] = np.nan
    inputs["sst"][1, -1].values.ravel()[1:] = np.nan
    assert np.isnan(solver.solve(inputs, samples.wanted).sst.values).all(), "one cell does not tell two modes apart"


def test_the_predictor_of_a_box_is_the_mean_of_the_cells_that_are_there() -> None:
    """All cells are alike, so that the index is known without the missing ones."""
    values = noise(90, 1, 1) + np.zeros((90, 3, 4))
    gaps = np.where(np.random.default_rng(0).random(values.shape) < 0.1, np.nan, values)
    gaps[50] = np.nan
    box = {"latitude": (-40.0, 40.0), "longitude": (180.0, 280.0)}
    whole, found = (
        _predictor(Samples.of(windowed(field(each), inputs=3, targets=2)).inputs(slice(None))["sst"], 3, box).ravel()
        for each in (values, gaps)
    )
    assert np.flatnonzero(np.isnan(found)).tolist() == [48, 49, 50]
    np.testing.assert_allclose(found[np.isfinite(found)], whole[np.isfinite(found)], atol=1e-12)


@pytest.mark.bad_input("sources", "a field of which no cell is there throughout the training period")
def test_a_field_without_a_cell_that_is_always_there_is_refused(tmp_path: Path) -> None:
    values = noise(60, 3, 4)
    for step in range(60):
        values[step].ravel()[[step % 12, (step + 5) % 12]] = np.nan
    with pytest.raises(HandshakeError, match="no cell of 'sst' is there in all of the 60 training steps") as caught:
        fit(LinearInverseModel(modes=2), windowed(field(values), inputs=2, targets=4), tmp_path)
    assert "select a part of the field" in str(caught.value)


@pytest.mark.skipif(not KAPLAN.exists(), reason=f"no {KAPLAN.name} beside the repository")
def test_land_is_left_out_of_the_area_mean_of_kaplan() -> None:
    data = Kaplan(path=str(KAPLAN)).open()["sst_anomaly"]
    assert float(data.isnull().mean()) == pytest.approx(12 / 264)
    assert bool((data.isnull() == data.isnull().all("time")).all())
