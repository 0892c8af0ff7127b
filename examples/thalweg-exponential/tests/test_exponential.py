from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import Field, Registry, Signature, score
from thalweg.laws import grid_of
from thalweg.testing import check
from thalweg_exponential.decaying_tracer import DecayingTracer
from thalweg_exponential.exponential_decay import ExponentialDecay
from thalweg_exponential.exponential_smoothing import ExponentialSmoothing
from thalweg_exponential.geometric_bias import GeometricBias


def test_it_keeps_the_contract() -> None:
    report = check(Registry.installed(), "exponential")
    assert report.ok, str(report)
    assert not report.unchecked, str(report)


def cut(field: xr.DataArray, *, inputs: int, targets: int) -> tuple[xr.Dataset, xr.Dataset]:
    """The first window of a series."""
    steps = field.isel(time=slice(0, inputs + targets)).drop_vars("time").rename(time="lead").expand_dims("sample")
    steps = steps.assign_coords(lead=np.arange(1 - inputs, targets + 1)).load().to_dataset(name="concentration")
    return steps.isel(lead=slice(0, inputs)), steps.isel(lead=slice(inputs, None))


def test_the_tracer_obeys_the_law() -> None:
    field = DecayingTracer(lifetime=25).open()["concentration"]
    inputs, truth = cut(field, inputs=4, targets=6)
    law = ExponentialDecay(variable="concentration", lifetime=25, leads=6)
    assert abs(law.residual(truth, inputs, grid_of(truth, inputs))["concentration"]).max() < 1e-6
    longer = ExponentialDecay(variable="concentration", lifetime=50, leads=6)
    assert abs(longer.residual(truth, inputs, grid_of(truth, inputs))["concentration"]).max() > 1e-2


@pytest.mark.parametrize("weight", [0.2, 1.0])
def test_a_steady_field_goes_on_without_error(weight: float) -> None:
    field = xr.DataArray(np.full((10, 3), 7.0), dims=("time", "x"), coords={"time": np.arange(10)})
    inputs, _ = cut(field, inputs=8, targets=2)
    wanted = Signature((Field("concentration", ("sample", "lead", "x")),), {"sample": 1, "lead": 2, "x": 3})
    estimate = ExponentialSmoothing(weight=weight).solve(inputs, wanted)
    assert (estimate["concentration"] == 7.0).all()
    assert (estimate["concentration_variance"] == 0.0).all()


def test_all_weight_on_the_last_input_is_persistence() -> None:
    field = DecayingTracer().open()["concentration"]
    inputs, truth = cut(field, inputs=8, targets=2)
    wanted = Signature.of(truth)
    estimate = ExponentialSmoothing(weight=1.0).solve(inputs, wanted)
    np.testing.assert_allclose(estimate["concentration"], inputs["concentration"].isel(lead=[-1, -1]), rtol=1e-6)


def test_an_estimate_of_half_is_too_low_by_two() -> None:
    _, truth = cut(DecayingTracer().open()["concentration"], inputs=4, targets=3)
    assert float(score(GeometricBias(), truth / 2, truth).overall) == pytest.approx(2.0)
