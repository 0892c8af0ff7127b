"""Baselines on fields whose future is known, and on the table of what simple methods reach."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Learner, Samples, Signature, Solver, Training
from thalweg.errors import EstimateError
from thalweg_earth.methods.damped_persistence import DampedPersistence
from thalweg_earth.methods.linear_inverse_model import LinearInverseModel
from thalweg_earth.methods.persistence import Persistence
from thalweg_earth.methods.seasonal_ridge import SeasonalRidge

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
KAPLAN = SHARED / "data" / "sst" / "kaplan_sst_anom_5deg_1856_2014.nc"
NINO34 = {"latitude": (-5.0, 5.0), "longitude": (190.0, 240.0)}


def windowed(field: xr.DataArray, *, inputs: int, targets: int, starts: np.ndarray | None = None) -> xr.Dataset:
    """A dataset of all windows, or of those that begin at `starts`."""
    if starts is None:
        starts = np.arange(field.sizes["time"] - inputs - targets + 1)
    data = field.to_dataset(name="sst").assign(window_start=("window", starts))
    spec = {"kind": "windows", "dim": "time", "series": None, "inputs": inputs, "targets": targets, "predict": ["sst"]}
    if "series" in field.dims:
        count = field.sizes["series"]
        data = data.assign(
            window_start=("window", np.tile(starts, count)),
            window_series=("window", np.repeat(np.arange(count), len(starts))),
        )
        spec["series"] = "series"
    return data.assign_attrs(samples=spec)


def unheard(_numbers: object, _step: int) -> None:
    pass


def fit(learner: Learner, data: xr.Dataset, folder: Path) -> Solver:
    samples = Samples.of(data)
    return learner.fit(Training(samples, None, samples.wanted, {}, folder, unheard, None))


def field(values: np.ndarray) -> xr.DataArray:
    """`(time, y, x)` by month, with latitudes and a name."""
    time = np.datetime64("1900-01", "M") + np.arange(len(values))
    height, width = values.shape[1:]
    coords = {
        "time": time.astype("datetime64[ns]"),
        "latitude": ("y", np.linspace(-40, 40, height)),
        "longitude": ("x", np.linspace(180, 280, width)),
    }
    return xr.DataArray(values, coords, ("time", "y", "x"), attrs={"units": "degC"})


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape)


def test_an_estimate_has_the_dims_the_coordinates_and_the_units_of_the_truth() -> None:
    samples = Samples.of(windowed(field(noise(40, 3, 4)), inputs=4, targets=6))
    inputs, truth = samples.inputs(slice(0, 5)), samples.truth(slice(0, 5))
    estimate = Persistence(average=2).solve(inputs, samples.wanted)
    assert estimate.sst.dims == truth.sst.dims
    assert estimate.sst.attrs == truth.sst.attrs
    for name in ("lead", "reference_time", "latitude", "longitude"):
        xr.testing.assert_equal(estimate[name], truth[name])


def test_persistence_of_bytes_is_the_last_frame_itself() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (20, 3, 4)).astype("uint8")
    samples = Samples.of(windowed(field(frames), inputs=4, targets=6))
    inputs = samples.inputs([3])
    estimate = Persistence().solve(inputs, samples.wanted)
    assert estimate.sst.dtype == np.uint8
    assert (estimate.sst.values == frames[6]).all()
    mean = Persistence(average=3).solve(inputs, samples.wanted).sst
    np.testing.assert_allclose(mean.values[0, 5], frames[4:7].mean(0), rtol=1e-6)


def test_damped_persistence_is_exact_on_a_field_that_decays_and_leaves_land_missing(tmp_path: Path) -> None:
    values = 2.0 + noise(1, 3, 4) * 0.9 ** np.arange(60)[:, None, None]
    values[:, 0, 0] = np.nan
    data = windowed(field(values), inputs=3, targets=5)
    samples = Samples.of(data)
    solver = fit(DampedPersistence(average=2), data, tmp_path)
    estimate = solver.solve(samples.inputs(slice(0, 9)), samples.wanted)
    np.testing.assert_allclose(estimate.sst.values, samples.truth(slice(0, 9)).sst.values, atol=2e-5)
    assert np.isnan(estimate.sst.values[:, :, 0, 0]).all()


def test_damped_persistence_of_a_box_has_the_regression_of_the_box_index_as_its_mean(tmp_path: Path) -> None:
    box = {"latitude": (0.0, 40.0), "longitude": (180.0, 230.0)}
    values = field(np.cumsum(noise(80, 3, 4), axis=0))
    data = windowed(values, inputs=3, targets=2)
    samples = Samples.of(data)
    solver = fit(DampedPersistence(average=3, by="none", box=box), data, tmp_path)
    estimate = solver.solve(samples.inputs(slice(None)), samples.wanted).sst.values[:, 1, 1:, :2].mean((1, 2))
    index = values.values[:, 1:, :2].mean((1, 2))
    predictor = np.convolve(index, np.ones(3) / 3, "valid")[: len(estimate)]
    line = np.polyfit(predictor, index[4 : 4 + len(estimate)], 1)
    np.testing.assert_allclose(estimate, np.polyval(line, predictor), atol=1e-5)


def test_damped_persistence_refuses_a_month_that_it_never_saw(tmp_path: Path) -> None:
    data = windowed(field(noise(40, 2, 2)), inputs=3, targets=2, starts=np.array([0, 12, 24]))
    samples = Samples.of(windowed(field(noise(40, 2, 2)), inputs=3, targets=2))
    solver = fit(DampedPersistence(), data, tmp_path)
    with pytest.raises(EstimateError, match="no line for calendar month 4"):
        solver.solve(samples.inputs([1]), samples.wanted)


def test_damped_persistence_refuses_an_empty_box(tmp_path: Path) -> None:
    data = windowed(field(noise(40, 2, 2)), inputs=3, targets=2)
    with pytest.raises(HandshakeError, match="no cell of 'sst' lies inside the box") as caught:
        fit(DampedPersistence(box={"longitude": (-10.0, 10.0)}), data, tmp_path)
    assert caught.value.allowed == "longitude 180.0 to 280.0"


def linear(steps: int, *, series: int = 1) -> np.ndarray:
    """Deterministic linear dynamics of two modes: rotation and decay, from other starts, `(series, step, y, x)`."""
    angle, decay = 0.5, 0.97
    turn = decay * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    state = [noise(2, series)]
    for _ in range(steps - 1):
        state.append(turn @ state[-1])
    patterns = noise(12, 2)
    return np.einsum("cm,tms->stc", patterns, np.stack(state)).reshape(series, steps, 3, 4)


@pytest.mark.parametrize("weights", ["area", "none"])
def test_a_linear_inverse_model_is_exact_on_linear_dynamics(tmp_path: Path, weights: str) -> None:
    values = linear(40)[0]
    values[:, 1, 2] = np.nan
    one = field(values)
    # A series and its mirror image: their mean is the fixed point of the dynamics.
    mirrored = xr.concat([one, -one], xr.Variable("series", [0, 1]))
    data = windowed(mirrored, inputs=2, targets=7)
    samples = Samples.of(data)
    solver = fit(LinearInverseModel(modes=2, lag=3, weights=weights), data, tmp_path)
    estimate = solver.solve(samples.inputs(slice(None)), samples.wanted).sst.values
    np.testing.assert_allclose(estimate, samples.truth(slice(None)).sst.values, atol=1e-6)
    missing = np.isnan(estimate)
    assert missing[..., 1, 2].all() and missing.sum() == missing[..., 1, 2].sum()


def test_no_lagged_pair_crosses_a_series_or_a_gap(tmp_path: Path) -> None:
    values = linear(30, series=40)
    values -= values.mean((0, 1))
    one = field(values[0])
    coords = {"series": np.arange(40), **one.coords}
    series = xr.DataArray(values, coords, ("series", *one.dims))
    whole = fit(LinearInverseModel(modes=2, lag=3), windowed(series, inputs=2, targets=4), tmp_path)
    joined = field(values.reshape(-1, 3, 4))
    starts = np.concatenate([30 * number + np.arange(10, 25) for number in range(40)])
    gaps = fit(LinearInverseModel(modes=2, lag=3), windowed(joined, inputs=2, targets=4, starts=starts), tmp_path)
    expected = np.exp(3 * (np.log(0.97) + 0.5j * np.array([-1, 1])))
    for solver in (whole, gaps):
        found = np.linalg.eigvals(solver.state["sst.propagator"])
        np.testing.assert_allclose(found[np.argsort(found.imag)], expected, atol=0.01)


def test_a_linear_inverse_model_says_how_many_modes_there_are(tmp_path: Path) -> None:
    with pytest.raises(HandshakeError, match="asks for 15 modes of 'sst'") as caught:
        fit(LinearInverseModel(), windowed(field(linear(60)[0]), inputs=2, targets=4), tmp_path)
    assert caught.value.allowed.startswith("at most 2")


@pytest.mark.parametrize("method", [Persistence(average=3), DampedPersistence(average=3)])
def test_a_history_that_is_too_short_is_refused_at_plan_time(method: Persistence | DampedPersistence) -> None:
    with pytest.raises(HandshakeError, match="needs the last 3 steps of its inputs, which hold 2"):
        method.check(Signature((), {"lead": 2}))
    with pytest.raises(HandshakeError, match="no steps in time"):
        method.check(Signature((), {"sample": 2}))


def seasonal(*amplitudes: float) -> xr.DataArray:
    """Series of a pattern that grows and shrinks with the year, `u (1.5 + cos theta)`, of several amplitudes."""
    year = 1.5 + np.cos(2 * np.pi * np.arange(72) / 12)
    one = field(year[:, None, None] * (1.0 + np.arange(12.0).reshape(3, 4)))
    return xr.concat([each * one for each in amplitudes], xr.Variable("series", np.arange(len(amplitudes))))


def test_a_seasonal_ridge_is_exact_on_what_turns_with_the_year(tmp_path: Path) -> None:
    """Two features times 1, cosine and sine span the first two harmonics, whatever the phase of the inputs."""
    values = seasonal(-2.0, -1.0, 1.0, 2.0)
    values[..., 1, 2] = np.nan
    data = windowed(values, inputs=9, targets=5)
    samples = Samples.of(data)
    solver = fit(SeasonalRidge(modes=1, penalty=1e-9), data, tmp_path)
    estimate = solver.solve(samples.inputs(slice(None)), samples.wanted).sst.values
    np.testing.assert_allclose(estimate, samples.truth(slice(None)).sst.values, atol=1e-4)


def test_a_seasonal_ridge_with_a_large_penalty_is_the_mean(tmp_path: Path) -> None:
    data = windowed(seasonal(1.0, 2.0, 3.0), inputs=9, targets=2)
    samples = Samples.of(data)
    solver = fit(SeasonalRidge(modes=1, penalty=1e12), data, tmp_path)
    estimate = solver.solve(samples.inputs([0]), samples.wanted).sst.values
    np.testing.assert_allclose(estimate[0], samples.truth(slice(None)).sst.values.mean(0), rtol=1e-4)


def test_a_seasonal_ridge_refuses_samples_without_dates(tmp_path: Path) -> None:
    values = field(noise(40, 3, 4)).assign_coords(time=np.arange(40.0))
    with pytest.raises(HandshakeError, match="seasonal-ridge needs the calendar month"):
        fit(SeasonalRidge(modes=1), windowed(values, inputs=9, targets=2), tmp_path)


TABLE = [
    (Persistence(average=3), ".80 .68 .55 .43 .32 .21 .12 .05 -.01 -.05 -.09 -.13", 0.240, 1.024),
    (DampedPersistence(box=NINO34), ".86 .78 .69 .59 .48 .36 .25 .15 .08 .03 .03 .09", 0.366, 0.739),
    (LinearInverseModel(), ".91 .84 .75 .66 .57 .49 .40 .32 .24 .16 .09 .04", 0.456, 0.726),
    (SeasonalRidge(), ".87 .80 .73 .66 .58 .51 .45 .39 .35 .31 .27 .23", 0.514, 0.702),
]


@pytest.mark.skipif(not KAPLAN.exists(), reason=f"no {KAPLAN.name} beside the repository")
@pytest.mark.parametrize(("method", "row", "mean", "error"), TABLE, ids=lambda each: type(each).__name__)
def test_the_table_of_what_simple_methods_reach(
    method: Solver | Learner, row: str, mean: float, error: float, tmp_path: Path
) -> None:
    with xr.open_dataset(KAPLAN) as source:
        sst = source.ssta.sel(time=slice("1871", None)).load()
    sst = sst.swap_dims(lat="y", lon="x").rename(lat="latitude", lon="longitude")
    by_month = sst.groupby("time.month")
    sst = (by_month - sst.sel(time=slice("1871", "1973")).groupby("time.month").mean("time")).fillna(0.0)
    year = sst.time.dt.year.values

    def period(first: int, last: int) -> xr.Dataset:
        inside = np.flatnonzero((year >= first) & (year <= last))
        return windowed(sst, inputs=12, targets=16, starts=np.arange(inside[0], inside[-1] + 1 - 27))

    train, test = period(1871, 1973), Samples.of(period(1984, 2014))
    assert (train.sizes["window"], len(test)) == (1209, 343)
    solver = fit(method, train, tmp_path) if isinstance(method, Learner) else method
    cells = (abs(sst.latitude) <= 5) & (sst.longitude >= 190) & (sst.longitude <= 240)

    def index(fields: xr.Dataset) -> np.ndarray:
        box = fields.sst.where(cells).mean(("y", "x")).rolling(lead=3).mean().isel(lead=slice(2, 14))
        return box.transpose("lead", "sample").values

    estimate, truth = index(solver.solve(test.inputs(slice(None)), test.wanted)), index(test.truth(slice(None)))
    skill = [np.corrcoef(one, other)[0, 1] for one, other in zip(estimate, truth, strict=True)]
    np.testing.assert_allclose(skill, [float(each) for each in row.split()], atol=0.02)
    assert np.mean(skill) == pytest.approx(mean, abs=0.005)
    assert np.sqrt(((estimate - truth) ** 2).mean(1)).mean() == pytest.approx(error, abs=0.005)
