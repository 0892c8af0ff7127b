"""The mean intensity and the total of a forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import EstimateError, HandshakeError, Held, OptionError, Registry, Signature
from thalweg.components.context import context_of
from thalweg.laws import grid_of
from thalweg.testing import check_law
from thalweg_earth.laws.mean_intensity import MeanIntensity, fitted_walk, walked
from thalweg_earth.laws.total_rain import TotalRain
from thalweg_probconserv.enforcers.additive import Additive

DIMS = ("sample", "lead", "y", "x")
LEADS = 3
TIMES = np.array(["2016-07-01T12:00", "2016-07-02T12:00"], "datetime64[ns]")


def scene(seed: int = 0) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """An estimate, what is known beforehand, and the grid."""
    random = np.random.default_rng(seed)
    attrs = {"units": "mm h-1"}
    inputs = xr.Dataset({"rain": (DIMS, random.gamma(1.0, size=(2, 5, 4, 6)).astype("float32"), attrs)})
    inputs = inputs.assign_coords(lead=np.arange(-4, 1), reference_time=("sample", TIMES))
    estimate = xr.Dataset({"rain": (DIMS, random.gamma(1.0, size=(2, LEADS, 4, 6)), attrs)}, {"lead": np.arange(1, 4)})
    return estimate, context_of(inputs, Signature.of(estimate)), grid_of(estimate, inputs)


@pytest.mark.parametrize(
    "law",
    [
        MeanIntensity(variable="field"),
        MeanIntensity(variable="field", step=0.1, memory=0.9, deviations=2.0, uncertain=True, climate=0.2),
        TotalRain(variable="field"),
        TotalRain(variable="field", target=3.0),
    ],
    ids=str,
)
def test_conformance(law: Any) -> None:
    check_law(law)


def test_the_target_is_the_series_forecast() -> None:
    _, context, grid = scene()
    series = context.rain.astype("float64").mean(("y", "x"))
    found = MeanIntensity(variable="rain", deviations=2.0).targets(context, grid)
    step = np.sqrt((series.diff("lead") ** 2).mean("lead"))
    wanted = series.isel(lead=-1) + 2.0 * step * np.sqrt((LEADS + 1) * (2 * LEADS + 1) / (6 * LEADS))
    assert found.dims == ("sample", "row") and found.attrs["units"] == "mm h-1"
    np.testing.assert_allclose(found.values[:, 0], wanted, rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.floats(0.3, 1.0))
def test_its_variance_is_that_of_the_walk(leads: int, memory: float) -> None:
    """The mean of the leads is a sum of steps: their weights, squared."""
    powers = np.array(
        [[memory ** (later - step) if later >= step else 0.0 for step in range(leads)] for later in range(leads)]
    )
    assert walked(leads, memory) == pytest.approx(float((powers.mean(0) ** 2).sum()))
    if memory == 1.0:
        assert walked(leads, 1.0) == pytest.approx((leads + 1) * (2 * leads + 1) / (6 * leads))


def test_a_walk_comes_back_from_its_series() -> None:
    random = np.random.default_rng(0)
    series = [np.full(500, 10.0)]
    for _ in range(40):
        series.append(0.97 * series[-1] * (1.0 + 0.05 * random.normal(size=500)))
    for leads in (1, 6):
        step, memory = fitted_walk(np.stack(series, 1), leads=leads)
        assert step == pytest.approx(0.97 * 0.05, rel=0.05) and memory == pytest.approx(0.97, abs=0.002)
    assert fitted_walk(np.array([[1.0, 3.0, np.nan], [0.0, 2.0, 2.0]]))[1] == 1.0


def test_it_holds_over_cells_and_leads_at_once() -> None:
    estimate, context, grid = scene()
    law = MeanIntensity(variable="rain", deviations=1.0)
    held = Additive().hold(estimate, Held((law,), grid), context)
    np.testing.assert_allclose(held.rain.mean(("lead", "y", "x")), law.targets(context, grid)[:, 0], rtol=1e-12)
    moved = held.rain - estimate.rain
    np.testing.assert_allclose(moved.values, np.broadcast_to(moved.values[:, :1, :1, :1], moved.shape), rtol=1e-9)


def test_with_its_noise_it_pulls_as_far_as_the_series_is_sure() -> None:
    estimate, context, grid = scene()
    hard, soft = (MeanIntensity(variable="rain", uncertain=each) for each in (False, True))
    assert hard.variances(context, grid) == 0.0
    variance = soft.variances(context, grid)
    assert isinstance(variance, xr.DataArray) and variance.dims == ("sample", "row") and bool((variance > 0).all())
    held = [Additive().hold(estimate, Held((law,), grid), context).rain.mean(DIMS[1:]) for law in (hard, soft)]
    before, cells = estimate.rain.mean(DIMS[1:]), LEADS * 24
    share = (1 / cells) / (1 / cells + variance[:, 0])
    np.testing.assert_allclose(held[1] - before, share * (held[0] - before), rtol=1e-9)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("last-input", lambda rain: LEADS * rain[:, -1]),
        ("mean-input", lambda rain: LEADS * rain.mean(1)),
        (7.0, lambda rain: 7.0 + 0 * rain[:, 0]),
    ],
)
def test_totals_are_over_cells_and_leads(target: Any, wanted: Any) -> None:
    estimate, context, grid = scene()
    law = TotalRain(variable="rain", target=target)
    held = Additive().hold(estimate, Held((law,), grid), context)
    found = held.rain.sum(DIMS[1:])
    np.testing.assert_allclose(found, wanted(context.rain.astype("float64").sum(("y", "x")).values), rtol=1e-12)


def test_an_input_may_say_the_total() -> None:
    _, context, grid = scene()
    law = TotalRain(variable="rain", target="gauge")
    assert law.reads() == ("gauge",)
    known = context.assign(gauge=("sample", np.array([3.0, 4.0])))
    np.testing.assert_array_equal(law.targets(known, grid)[:, 0], [3.0, 4.0])
    with pytest.raises(EstimateError, match=r"the target of .* is -4 for 2016-07-02T12:00"):
        law.targets(known.assign(gauge=("sample", np.array([3.0, -4.0]))), grid)
    with pytest.raises(HandshakeError, match="lies along sample, lead"):
        law.targets(known.assign(gauge=context.rain.sum(("y", "x"))), grid)


def test_less_than_nothing_is_refused() -> None:
    _, context, grid = scene()
    with pytest.raises(EstimateError, match=r"the target of .* for 2016-07-01T12:00, and the field is nowhere below 0"):
        MeanIntensity(variable="rain", step=0.5, deviations=-4.0).targets(context, grid)
    with pytest.raises(OptionError, match=r"a total of -1\.0"):
        Registry.installed().make("laws", {"total-rain": {"variable": "rain", "target": -1.0}})


def test_a_field_without_leads_or_inputs_is_refused() -> None:
    estimate, context, grid = scene()
    for law in (MeanIntensity(variable="rain"), TotalRain(variable="rain")):
        with pytest.raises(HandshakeError, match="is of all leads"):
            law.check(Signature.of(estimate.isel(lead=0, drop=True)))
    with pytest.raises(HandshakeError, match="differences of 1 inputs"):
        MeanIntensity(variable="rain").targets(context.isel(lead=[0]), grid)
