"""Methods count in steps of the windows: with `every: n`, n steps of the series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Learner, Registry, Samples, Solver, Training, score
from thalweg_earth.methods.linear_inverse_model import LinearInverseModel
from thalweg_earth.metrics.nino34_skill import Nino34Skill
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

R = Registry.installed()
NONE = xr.Dataset()
A, STEPS = 0.8, 6000
OPTIONS = {
    "linear-inverse-model": {"modes": 2, "lag": 1, "weights": "none"},
    "seasonal-ridge": {"modes": 2, "recent": 1, "before": 1, "penalty": 1e-3},
    "damped-persistence": {"average": 1, "by": "none"},
}


def unheard(_numbers: object, _step: int) -> None:
    pass


def autoregressive(*, dated: bool = True) -> xr.Dataset:
    """Two cells, each `x(t) = a x(t - 1)` plus noise."""
    made = np.zeros((STEPS, 1, 2))
    noise = np.random.default_rng(0).normal(size=made.shape)
    for step in range(1, STEPS):
        made[step] = A * made[step - 1] + noise[step]
    time = np.arange(STEPS)
    dates = (np.datetime64("1500-01") + time).astype("datetime64[s]") if dated else time
    coords = {"time": dates, "latitude": ("y", [0.0]), "x": [0.0, 1.0]}
    return xr.Dataset({"field": (("time", "y", "x"), made.astype("f4"), {"units": "1"})}, coords).chunk(time=2000)


def cut(data: xr.Dataset, every: int, **options: int) -> xr.Dataset:
    data = Windows(inputs=2, targets=3, every=every, **options).apply(data, NONE)
    return Split(train=(1500, 1899), test=(1900, 1999)).apply(data, NONE)


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("name", OPTIONS)
def test_damping_by_lead_is_that_of_the_steps_of_a_window(name: str, every: int, tmp_path: Path) -> None:
    data = cut(autoregressive(), every)
    train, test = Samples.of(data, "train"), Samples.of(data, "test")
    method = R.make("methods", {name: OPTIONS[name]})
    assert isinstance(method, Learner)
    solver = method.fit(Training(train, None, train.wanted, {}, tmp_path, unheard, None))
    inputs = test.inputs(slice(0, 600))
    last = inputs["field"].isel(lead=-1).values
    estimate = solver.solve(inputs, test.wanted)["field"].transpose("lead", "sample", ...).values
    damping = [float((each * last).sum() / (last**2).sum()) for each in estimate]
    np.testing.assert_allclose(damping, [A ** (every * m) for m in (1, 2, 3)], atol=0.06)


def test_a_lag_is_of_steps_of_the_windows(tmp_path: Path) -> None:
    data = cut(autoregressive(), 2)
    train = Samples.of(data, "train")
    solver = LinearInverseModel(modes=2, lag=2, weights="none").fit(
        Training(train, None, train.wanted, {}, tmp_path, unheard, None)
    )
    np.testing.assert_allclose(np.diag(solver.state["field.propagator"]), A**4, atol=0.1)


@pytest.mark.parametrize(("every", "stride"), [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (4, 7)])
def test_tracks_are_the_steps_that_windows_touch(every: int, stride: int) -> None:
    data = cut(autoregressive(dated=True).isel(time=slice(4000, 6000)), 1)
    data = Windows(inputs=2, targets=3, every=every, stride=stride).apply(
        autoregressive().isel(time=slice(0, 200)), NONE
    )
    train = Samples.of(data)
    found = [each.start + every * i for each in train.index.tracks(train.numbers) for i in range(len(each))]
    starts = data["window_start"].values
    assert sorted(found) == sorted({int(start) + every * i for start in starts for i in range(5)})
    assert len(found) == len(set(found))


def test_persistence_averages_steps_of_the_window() -> None:
    data = cut(autoregressive(), 3)
    samples = Samples.of(data, "test")
    persistence = R.make("methods", {"persistence": {"average": 2}})
    assert isinstance(persistence, Solver)
    estimate = persistence.solve(samples.inputs([0]), samples.wanted)["field"].values[0, 0]
    start = int(data["window_start"].values[samples.numbers[0]])
    values = data["field"].values
    np.testing.assert_allclose(estimate, (values[start] + values[start + 3]) / 2, rtol=1e-6)


@pytest.mark.bad_input("sources", "a three-month index of leads that are {id} apart")
@pytest.mark.parametrize(
    ("times", "apart"),
    [
        pytest.param(np.datetime64("2000-01") + 3 * np.arange(4), "3", id="three months"),
        pytest.param(np.datetime64("2000-01-01") + np.arange(4), "0", id="a day"),
    ],
)
def test_a_three_month_index_of_leads_that_are_no_months_is_refused(times: np.ndarray, apart: str) -> None:
    shape = (5, 4, 2, 2)
    at = np.broadcast_to(times.astype("datetime64[ns]"), (5, 4))
    coords = {"latitude": [-2.5, 2.5], "longitude": [200.0, 210.0], "valid_time": (("sample", "lead"), at)}
    made = xr.Dataset({"t": (("sample", "lead", "latitude", "longitude"), np.random.default_rng(0).normal(size=shape))})
    made = made.assign_coords(coords)
    with pytest.raises(HandshakeError, match=f"two leads are {apart} months apart"):
        score(Nino34Skill(), made, made)
    assert float(score(Nino34Skill(months=1), made, made).overall) == pytest.approx(1.0)
