"""The law and the enforcers, on fields with land, members and several laws."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import xarray as xr
from thalweg import EstimateError, HandshakeError, Held, Law, LinearLaw, OutputEnforcer, Rows
from thalweg.errors import RunError
from thalweg.laws import AreaMean, Integral, grid_of
from thalweg.testing import check_enforcer, check_law
from thalweg_probconserv.enforcers.additive import Additive
from thalweg_probconserv.enforcers.probconserv import ProbConserv

SPACE = (5, 6)
LATITUDE = np.linspace(-60.0, 30.0, 5)


def hold(enforcer: OutputEnforcer, laws: tuple[Law, ...], estimate: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
    return enforcer.hold(estimate, Held.of(laws, estimate, context), context)


def fields(leads: np.ndarray, *, seed: int, dtype: str = "float32") -> xr.Dataset:
    values = np.random.default_rng(seed).normal(20.0, 3.0, (3, len(leads), *SPACE)).astype(dtype)
    values[..., 1, 2:4] = np.nan
    coords = {"lead": leads, "latitude": ("y", LATITUDE), "area": (("y", "x"), np.arange(1.0, 31.0).reshape(SPACE))}
    sst = xr.DataArray(values, coords, ("sample", "lead", "y", "x"), attrs={"units": "degC"})
    return xr.Dataset({"sst": sst, "wind": sst + 1})


@pytest.fixture
def context() -> xr.Dataset:
    return fields(np.arange(-3, 1), seed=1)


@pytest.fixture
def estimate() -> xr.Dataset:
    made = fields(np.arange(1, 5), seed=2)
    variance = np.random.default_rng(3).uniform(0.1, 2.0, made.sst.shape).astype("float32")
    return made.assign(sst_variance=made.sst.copy(data=variance))


def size(law: LinearLaw, estimate: xr.Dataset, context: xr.Dataset) -> float:
    """The largest residual, relative to `sum |g mu|`: the weights add up to 1 and the values are near 20."""
    return (
        float(abs(law.residual(estimate, context, grid_of(estimate, context))[law.rows(estimate).variable]).max())
        / 20.0
    )


@pytest.mark.parametrize("weights", ["cosine", "area", "equal"])
def test_the_residual_is_the_weighted_mean_over_sea_minus_that_of_the_last_input(
    estimate: xr.Dataset, context: xr.Dataset, weights: str
) -> None:
    law = AreaMean(variable="sst", weights=weights)
    weight = {"cosine": np.cos(np.deg2rad(estimate.latitude)), "area": estimate.area, "equal": xr.DataArray(1.0)}[
        weights
    ]
    weight = weight.broadcast_like(estimate.sst[0, 0])
    found = law.residual(estimate, context, grid_of(estimate, context)).sst
    last = context.sst.isel(lead=-1, drop=True).astype("float64")
    expected = estimate.sst.astype("float64").weighted(weight).mean(("y", "x")) - last.weighted(weight).mean(("y", "x"))
    assert found.dims == ("sample", "lead", "row")
    assert found.attrs["units"] == "degC"
    np.testing.assert_allclose(found[..., 0], expected.transpose("sample", "lead"), atol=1e-12)


@pytest.mark.parametrize(("target", "value"), [("zero", 0.0), (3.5, 3.5)])
def test_the_mean_can_be_a_number(estimate: xr.Dataset, context: xr.Dataset, target: str | float, value: float) -> None:
    law = AreaMean(variable="sst", target=target)
    assert (law.targets(context, grid_of(context, context)) == value).all()
    assert size(law, hold(Additive(), (law,), estimate, context), context) < 2e-7


def test_the_mean_of_all_inputs_is_the_mean_of_their_means(context: xr.Dataset) -> None:
    law = AreaMean(variable="sst", target="mean-input")
    single = [
        AreaMean(variable="sst").targets(
            context.isel(lead=slice(0, end)),
            grid_of(context.isel(lead=slice(0, end)), context.isel(lead=slice(0, end))),
        )
        for end in range(1, 5)
    ]
    np.testing.assert_allclose(law.targets(context, grid_of(context, context)), sum(single) / 4, rtol=1e-14)


@pytest.mark.parametrize("enforcer", [Additive(), ProbConserv()], ids=lambda each: type(each).__name__)
def test_float32_fields_obey_to_rounding_and_all_else_stays(
    enforcer: Additive | ProbConserv, estimate: xr.Dataset, context: xr.Dataset
) -> None:
    law = AreaMean(variable="sst")
    assert size(law, estimate, context) > 1e-3
    held = hold(enforcer, (law,), estimate, context)
    assert size(law, held, context) < 2e-7
    assert held.sst.dtype == np.float32
    assert held.sst.isnull().equals(estimate.sst.isnull())
    xr.testing.assert_identical(held.wind, estimate.wind)
    assert held.sst.attrs == estimate.sst.attrs


def test_in_float64_the_law_holds_to_a_part_in_ten_to_the_twelve(estimate: xr.Dataset, context: xr.Dataset) -> None:
    law = AreaMean(variable="sst")
    assert (
        size(
            law,
            hold(ProbConserv(), (law,), estimate.astype("float64"), context),
            context,
        )
        < 1e-12
    )


def test_an_area_mean_with_equal_weights_is_held_by_one_number_everywhere(
    estimate: xr.Dataset, context: xr.Dataset
) -> None:
    law = AreaMean(variable="sst", weights="equal")
    change = (hold(Additive(), (law,), estimate, context) - estimate).sst
    assert float((change.max(("y", "x")) - change.min(("y", "x"))).max()) < 1e-5
    xr.testing.assert_identical(hold(Additive(), (law,), estimate, context).sst_variance, estimate.sst_variance)


def test_where_the_estimate_is_sure_it_is_not_moved(estimate: xr.Dataset, context: xr.Dataset) -> None:
    law = AreaMean(variable="sst")
    sure = estimate.assign(sst_variance=estimate.sst_variance.where(estimate.latitude > 0, 0.0))
    held = hold(ProbConserv(), (law,), sure, context)
    xr.testing.assert_equal(held.sst.where(held.latitude <= 0), sure.sst.where(sure.latitude <= 0))
    assert size(law, held, context) < 2e-7
    assert bool((held.sst_variance <= sure.sst_variance).all())


def test_laws_of_one_variable_are_held_together(estimate: xr.Dataset, context: xr.Dataset) -> None:
    laws = AreaMean(variable="sst"), AreaMean(variable="sst", weights="area", target=21.0)
    held = hold(ProbConserv(), laws, estimate, context)
    assert max(size(law, held, context) for law in laws) < 4e-7
    swapped = hold(ProbConserv(), laws[::-1], estimate, context)
    xr.testing.assert_allclose(held, swapped, rtol=1e-6)


def test_laws_over_other_dims_are_held_together(estimate: xr.Dataset, context: xr.Dataset) -> None:
    sea, before = estimate.astype("float64").fillna(20.0), context.fillna(20.0)
    zonal = AreaMean(variable="sst", dims=("x",), target=20.0, weights="equal")
    column = AreaMean(variable="sst", dims=("y",), target=20.0)
    held = hold(ProbConserv(), (zonal, column), sea.assign(sst_variance=sea.sst_variance.clip(max=1)), before)
    assert max(size(law, held, before) for law in (zonal, column)) < 1e-9
    # Where each zonal mean is 20, so is the mean of the area, and no other.
    with pytest.raises(RunError, match="contradict each other") as caught:
        hold(ProbConserv(), (zonal, AreaMean(variable="sst", target=21.0)), sea, before)
    assert caught.value.where == "AreaMean, AreaMean"


def test_a_law_that_follows_from_another_is_dropped_and_named(
    estimate: xr.Dataset, context: xr.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    law = AreaMean(variable="sst")
    with caplog.at_level(logging.WARNING):
        hold(ProbConserv(), (law, AreaMean(variable="sst")), estimate, context)
    assert not caplog.text
    with caplog.at_level(logging.WARNING):
        twice = hold(ProbConserv(), (law, Integral(variable="sst", weights="cos-lat")), estimate, context)
    assert "follow from the others and were dropped" in caplog.text
    xr.testing.assert_allclose(twice, hold(ProbConserv(), (law,), estimate, context), rtol=1e-6)


def test_each_member_of_an_ensemble_obeys(estimate: xr.Dataset, context: xr.Dataset) -> None:
    law = AreaMean(variable="sst")
    ensemble = xr.concat([estimate[["sst"]], estimate[["sst"]] + 1], "member")
    held = hold(Additive(), (law,), ensemble, context)
    assert held.sst.dims == ensemble.sst.dims
    assert size(law, held, context) < 2e-7


def test_bytes_become_float32() -> None:
    frames = np.random.default_rng(4).integers(0, 200, (2, 3, 4, 5)).astype("uint8")
    bytes_ = xr.Dataset({"vil": (("sample", "lead", "y", "x"), frames)})
    law = AreaMean(variable="vil", weights="equal", target=90.0)
    held = hold(Additive(), (law,), bytes_, bytes_)
    assert held.vil.dtype == np.float32
    np.testing.assert_allclose(held.vil.mean(("y", "x")), 90.0, rtol=1e-6)
    np.testing.assert_allclose(
        law.residual(bytes_, bytes_, grid_of(bytes_, bytes_)).vil[..., 0], frames.mean((2, 3)) - 90.0
    )


def test_a_law_with_targets_by_lead_is_held_at_each(estimate: xr.Dataset, context: xr.Dataset) -> None:
    class Budget(AreaMean):
        """A mean that rises by one per lead."""

        def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
            return xr.DataArray(20.0 + np.arange(4.0)[:, None], {"lead": np.arange(1, 5)}, ("lead", "row"))

    law = Budget(variable="sst")
    assert size(law, hold(ProbConserv(), (law,), estimate, context), context) < 2e-7


def test_a_mask_that_moves_is_held(estimate: xr.Dataset, context: xr.Dataset) -> None:
    moving = estimate.copy(deep=True)
    moving.sst[0, 0, 0, 0] = np.nan
    moving.sst[1, 2] = np.nan
    law = AreaMean(variable="sst")
    held = hold(ProbConserv(), (law,), moving, context)
    assert size(law, held, context) < 2e-7
    left = law.residual(held, context, grid_of(held, context)).sst
    assert left.isnull().sum() == 1 and bool(left[1, 2].isnull())


def test_noise_of_a_mean_counts_for_what_is_there(estimate: xr.Dataset, context: xr.Dataset) -> None:
    """As if the field had been made of the cells that are there, in memory and in chunks."""
    law = AreaMean(variable="sst", weights="equal", noise=0.3)
    small = estimate[["sst"]].isel(y=[0], x=slice(0, 3)).astype("float64")
    known = context[["sst"]].isel(y=[0], x=slice(0, 3))
    wide = xr.concat([small, small.isel(x=[0]) * np.nan], "x")
    told = xr.concat([known, known.isel(x=[0]) * np.nan], "x")
    expected = hold(Additive(), (law,), small, known).sst
    for given in (wide, wide.chunk(x=2)):
        found = hold(Additive(), (law,), given, told).sst.isel(x=slice(0, 3))
        np.testing.assert_allclose(found.transpose(*expected.dims), expected, rtol=1e-10)
    ensemble = xr.concat([small + each for each in (0.0, 0.5, -1.0, 2.0)], "member") ** 1.1
    extended = xr.concat([ensemble, ensemble.isel(x=[0]) * np.nan], "x")
    left, right = (hold(ProbConserv(), (law,), *each).sst for each in ((ensemble, known), (extended, told)))
    np.testing.assert_allclose(right.isel(x=slice(0, 3)).transpose(*left.dims), left, rtol=1e-9)


def test_a_grid_without_latitude_is_refused(estimate: xr.Dataset, context: xr.Dataset) -> None:
    with pytest.raises(HandshakeError) as caught:
        AreaMean(variable="sst").rows(grid_of(estimate.drop_vars("latitude"), context.drop_vars("latitude")))
    assert caught.value.given == "area-mean needs a latitude along y, x to weigh the cells of 'sst' by"
    assert caught.value.advice == "set `weights: equal` for a plane of equal cells"


def test_probconserv_without_a_variance_is_refused(estimate: xr.Dataset, context: xr.Dataset) -> None:
    with pytest.raises(EstimateError, match="needs the variance of 'sst', which the estimate lacks"):
        hold(ProbConserv(), (AreaMean(variable="sst"),), estimate.drop_vars("sst_variance"), context)


def test_targets_of_a_dim_that_the_law_reduces_are_refused(estimate: xr.Dataset, context: xr.Dataset) -> None:
    class Wrong(AreaMean):
        """Targets along y."""

        def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
            return xr.DataArray(np.zeros((5, 1)), dims=("y", "row"))

    with pytest.raises(HandshakeError, match="the targets of Wrong are"):
        hold(Additive(), (Wrong(variable="sst"),), estimate, context)


def test_conformance() -> None:
    check_law(AreaMean(variable="field", weights="equal"))
    check_enforcer(Additive())
    check_enforcer(ProbConserv())
    assert isinstance(AreaMean(variable="field", weights="equal"), LinearLaw)
    assert issubclass(type(AreaMean(variable="wind").rows(fields(np.arange(1, 3), seed=0))), Rows)
