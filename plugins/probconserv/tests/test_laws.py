"""Each law: what its residual is, that it is held, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import EstimateError, HandshakeError, Held, Law, LinearLaw, OutputEnforcer, Signature
from thalweg.errors import RunError
from thalweg.laws import (
    AreaMean,
    BlockMean,
    BoundaryFlux,
    BoundaryValue,
    Bounds,
    Integral,
    Monotone,
    Nonnegative,
    Periodic,
    PointObservations,
    grid_of,
    stencil,
)
from thalweg_probconserv.enforcers.additive import Additive
from thalweg_probconserv.enforcers.multiplicative import Multiplicative
from thalweg_probconserv.enforcers.probconserv import ProbConserv

Y, X = np.array([0.0, 1.0, 3.0, 4.0]), np.linspace(0.0, 1.0, 6) ** 2


def hold(enforcer: OutputEnforcer, laws: tuple[Law, ...], estimate: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
    return enforcer.hold(estimate, Held.of(laws, estimate, context), context)


def fields(leads: np.ndarray, *, seed: int) -> xr.Dataset:
    values = np.random.default_rng(seed).normal(2.0, 1.0, (3, len(leads), 4, 6))
    coords = {"lead": leads, "y": Y, "x": X, "area": (("y", "x"), np.arange(1.0, 25.0).reshape(4, 6))}
    return xr.DataArray(values, coords, ("sample", "lead", "y", "x"), attrs={"units": "mm"}).to_dataset(name="rain")


@pytest.fixture
def context() -> xr.Dataset:
    made = fields(np.arange(-2, 1), seed=1).assign_coords(target_lead=[1, 2])
    coarse = np.random.default_rng(5).normal(2.0, 0.1, (3, 2, 2, 3))
    return made.assign(m=("sample", [1.0, 3.0, 6.0]), model=(("sample", "target_lead", "coarse_y", "coarse_x"), coarse))


@pytest.fixture
def estimate() -> xr.Dataset:
    made = fields(np.arange(1, 3), seed=2)
    draw = np.random.default_rng(3)
    return made.assign(rain_variance=made.rain.copy(data=draw.uniform(0.1, 1.0, made.rain.shape)))


def left(law: Law, estimate: xr.Dataset, context: xr.Dataset) -> float:
    return float(abs(law.residual(estimate, context, grid_of(estimate, context)).rain).max())


LINEAR: list[LinearLaw] = [
    Integral(variable="rain", weights="trapezoid"),
    Integral(variable="rain", weights="cell-area", target=100.0),
    Integral(variable="rain", dims=("x",), target="0.9 * row(last(rain))"),
    Integral(variable="rain", target="m ** (1 + 1 / m) / (m + 1) * 0.5 ** (1 + 1 / m) + target_lead"),
    BlockMean(variable="rain", factor=2, coarse="model"),
    BlockMean(variable="rain", factor=2, weights="area"),
    BoundaryValue(variable="rain", dim="x", target="m"),
    BoundaryFlux(variable="rain", dim="x", order=3, target=1.5),
    BoundaryFlux(variable="rain", dim="y", side="right"),
    Periodic(variable="rain", dim="y"),
    PointObservations(variable="rain", points=({"y": 2.5, "x": 0.3}, {"y": 4.0, "x": 1.0}), values=(1.0, 3.0)),
]


@pytest.mark.parametrize(
    "enforcer", [Additive(), ProbConserv(), Multiplicative()], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("law", LINEAR, ids=lambda each: type(each).__name__)
def test_linear_laws_are_held(law: LinearLaw, enforcer: Additive, estimate: xr.Dataset, context: xr.Dataset) -> None:
    assert left(law, estimate, context) > 1e-2
    held = hold(enforcer, (law,), estimate, context)
    assert left(law, held, context) < 1e-11
    assert bool((held.rain_variance <= estimate.rain_variance + 1e-15).all())


def test_laws_of_all_kinds_are_held_at_once(estimate: xr.Dataset, context: xr.Dataset) -> None:
    laws = LINEAR[0], LINEAR[7], LINEAR[9], LINEAR[10]
    held = hold(ProbConserv(), laws, estimate, context)
    assert max(left(law, held, context) for law in laws) < 1e-9


def test_an_integral_is_what_it_says(estimate: xr.Dataset, context: xr.Dataset) -> None:
    rain, last = estimate.rain, context.rain.isel(lead=-1, drop=True)
    trapezoid = (
        Integral(variable="rain", weights="trapezoid")
        .residual(estimate, context, grid_of(estimate, context))
        .rain[..., 0]
    )
    expected = rain.integrate("x").integrate("y") - last.integrate("x").integrate("y")
    np.testing.assert_allclose(trapezoid, expected, atol=1e-12)
    area = (
        Integral(variable="rain", weights="cell-area", target=3.0)
        .residual(estimate, context, grid_of(estimate, context))
        .rain[..., 0]
    )
    np.testing.assert_allclose(area, (rain * rain.area).sum(("y", "x")) - 3.0, atol=1e-12)
    mean = (
        Integral(variable="rain", target="mean-input")
        .residual(estimate, context, grid_of(estimate, context))
        .rain[..., 0]
    )
    np.testing.assert_allclose(mean, rain.sum(("y", "x")) - context.rain.sum(("y", "x")).mean("lead"), atol=1e-12)
    globe = estimate.assign_coords(latitude=("y", [-60.0, 0.0, 30.0, 60.0]))
    known = context.assign_coords(latitude=globe.latitude)
    cosine = (
        Integral(variable="rain", weights="cos-lat", target=0.0)
        .residual(globe, known, grid_of(globe, known))
        .rain[..., 0]
    )
    np.testing.assert_allclose(cosine, (rain * np.cos(np.deg2rad(globe.latitude))).sum(("y", "x")), atol=1e-12)


def test_a_target_is_arithmetic_of_what_is_known(context: xr.Dataset) -> None:
    def target(text: str) -> xr.DataArray:
        return Integral(variable="rain", target=text).targets(context, grid_of(context, context))

    assert target("2 * m").dims == ("sample", "row")
    np.testing.assert_allclose(
        target("m * target_lead").transpose("sample", "lead", "row")[..., 0], [[1, 2], [3, 6], [6, 12]]
    )
    with pytest.raises(HandshakeError, match="needs 'truth_rain', which is not known before the estimate"):
        target("row(truth_rain)")
    with pytest.raises(ValueError, match="has a Attribute in it"):
        Integral(variable="rain", target="m.values")
    with pytest.raises(ValueError, match="is no expression"):
        Integral(variable="rain", target="1 +")


def test_stencils_are_those_of_the_books() -> None:
    np.testing.assert_allclose(stencil(np.arange(4.0), 3), np.array([-11, 18, -9, 2]) / 6, atol=1e-12)
    np.testing.assert_allclose(stencil(np.array([0.5, 0.0]), 1), [2, -2], atol=1e-12)
    points = np.sort(np.random.default_rng(0).uniform(size=5))
    assert stencil(points[::-1], 4) @ points[::-1] ** 4 == pytest.approx(4 * points[-1] ** 3, rel=1e-9)


def test_block_means_come_from_a_store_at_the_valid_times(
    tmp_path: object, context: xr.Dataset, estimate: xr.Dataset
) -> None:
    from thalweg.stores.arrays import lay_out

    times = np.array("2000-01-01", "datetime64[D]") + np.arange(12)
    coarse = xr.DataArray(
        np.random.default_rng(0).normal(size=(12, 2, 3)), {"time": times.astype("datetime64[ns]")}, ("time", "b", "a")
    )
    lay_out(f"{tmp_path}/coarse.zarr", coarse.to_dataset(name="model"), large={})
    valid = times[:3, None] + np.arange(3)
    known = context.drop_vars("model").assign_coords(valid_time=(("sample", "lead"), valid.astype("datetime64[ns]")))
    law = BlockMean(variable="rain", factor=2, coarse="model", store=f"{tmp_path}/coarse.zarr")
    held = hold(Additive(), (law,), estimate, known)
    blocks = held.rain.coarsen(y=2, x=2).mean().values
    for sample in range(3):
        np.testing.assert_allclose(blocks[sample], coarse.values[sample + 3 : sample + 5], atol=1e-12)
    late = known.assign_coords(valid_time=known.valid_time + np.timedelta64(20, "D"))
    with pytest.raises(HandshakeError, match="has no 'model' at 2000-01-24"):
        law.targets(late, grid_of(late, late))


def test_a_total_and_no_negative_value_are_held_together(estimate: xr.Dataset, context: xr.Dataset) -> None:
    laws = Integral(variable="rain", target=8.0), Nonnegative(variable="rain")
    for enforcer in (Additive(), ProbConserv(), Multiplicative()):
        held = hold(enforcer, laws, estimate, context)
        assert left(laws[0], held, context) < 1e-12
        assert left(laws[1], held, context) == 0.0
        assert float(held.rain.min()) == 0.0
    alone = hold(Additive(), laws[1:], estimate, context)
    xr.testing.assert_equal(alone.rain, estimate.rain.clip(min=0.0))
    xr.testing.assert_equal(alone.rain_variance, estimate.rain_variance)


def test_bounds_may_be_fields_and_totals_of_blocks(estimate: xr.Dataset, context: xr.Dataset) -> None:
    known = context.assign(most=context.rain.isel(lead=-1, drop=True) + 3.0)
    laws = BlockMean(variable="rain", factor=2, coarse="model"), Bounds(variable="rain", lower=0.5, upper="most")
    held = hold(ProbConserv(), laws, estimate, known)
    assert max(left(law, held, known) for law in laws) < 1e-12
    with pytest.raises(RunError, match="cannot be held within the bounds"):
        hold(ProbConserv(), (laws[0], Bounds(variable="rain", upper=1.0)), estimate, known)
    with pytest.raises(ValueError, match="is above upper"):
        Bounds(variable="rain", lower=2.0, upper=1.0)


def test_one_factor_for_all_holds_a_total_in_proportion(estimate: xr.Dataset, context: xr.Dataset) -> None:
    wet = estimate.assign(rain=estimate.rain.clip(min=0.0))
    held = hold(Multiplicative(), (Integral(variable="rain"),), wet, context)
    total = context.rain.isel(lead=-1, drop=True).sum(("y", "x"))
    np.testing.assert_allclose(held.rain, wet.rain * total / wet.rain.sum(("y", "x")), atol=1e-12)
    xr.testing.assert_identical(held.rain_variance, wet.rain_variance)
    dry = wet.assign(rain=0 * wet.rain)
    with pytest.raises(RunError, match="no cell that it weighs has any variance"):
        hold(Multiplicative(), (Integral(variable="rain"),), dry, context)
    xr.testing.assert_equal(
        hold(Multiplicative(), (Integral(variable="rain", target=0.0),), dry, context).rain,
        dry.rain,
    )


def test_members_are_a_distribution_and_each_obeys(estimate: xr.Dataset, context: xr.Dataset) -> None:
    draw = np.random.default_rng(4)
    members = xr.concat([estimate[["rain"]] + draw.normal(size=estimate.rain.shape) for _ in range(8)], "member")
    law = BoundaryValue(variable="rain", dim="x", side="left", target=1.0)
    held = hold(ProbConserv(), (law,), members, context)
    assert held.rain.dims == members.rain.dims
    assert left(law, held, context) < 1e-12
    assert float(abs(held.rain - members.rain).isel(x=slice(1, None)).max()) > 1e-3
    both = Integral(variable="rain", target=9.0), Nonnegative(variable="rain")
    bounded = hold(ProbConserv(), both, members, context)
    assert max(left(law, bounded, context) for law in both) < 1e-11
    with pytest.raises(RunError, match="6 rows cannot be held by an ensemble of 3 members"):
        hold(ProbConserv(), (LINEAR[4],), members.isel(member=slice(3)), context)


def test_a_factor_is_conditioned_with_the_mean(estimate: xr.Dataset, context: xr.Dataset) -> None:
    low = np.random.default_rng(4).normal(size=(*estimate.rain.shape, 5))
    law = Integral(variable="rain", target=9.0)
    own = estimate[["rain"]].assign(rain_factor=((*estimate.rain.dims, "rank"), low))
    held = hold(ProbConserv(), (law,), own, context)
    assert left(law, held, context) < 1e-11
    assert float(abs(held.rain_factor.sum(("y", "x"))).max()) < 1e-12
    both = hold(ProbConserv(), (law,), own.assign(rain_variance=estimate.rain_variance), context)
    assert bool((both.rain_variance <= estimate.rain_variance + (low**2).sum(-1)).all())


def test_smoothing_makes_lines_smoother_and_the_law_still_holds(estimate: xr.Dataset, context: xr.Dataset) -> None:
    law = Integral(variable="rain", weights="trapezoid")
    rough, smooth = (hold(ProbConserv(smoothing=dim), (law,), estimate, context) for dim in ("", "x"))
    assert left(law, smooth, context) < 1e-12
    assert float(abs(smooth.rain.diff("x", 2)).mean()) < 0.7 * float(abs(rough.rain.diff("x", 2)).mean())
    assert bool((smooth.rain_variance < estimate.rain_variance).all())
    with pytest.raises(HandshakeError, match="goes over missing cells"):
        hold(ProbConserv(smoothing="x"), (law,), estimate.where(estimate.x < 0.5), context)
    with pytest.raises(HandshakeError, match="no law reduces"):
        hold(ProbConserv(smoothing="lead"), (law,), estimate, context)


def test_order_is_held_along_a_dim(estimate: xr.Dataset, context: xr.Dataset) -> None:
    law = Monotone(variable="rain", dim="y", rising=False)
    held = hold(Additive(), (law, Nonnegative(variable="rain")), estimate, context)
    assert left(law, held, context) == 0.0
    np.testing.assert_allclose(
        hold(Additive(), (law,), estimate, context).rain.sum("y"),
        estimate.rain.sum("y"),
        atol=1e-12,
    )
    with pytest.raises(HandshakeError, match="held together with other laws of order or of rows"):
        hold(Additive(), (law, Integral(variable="rain")), estimate, context)


@pytest.mark.parametrize("chunks", [{"sample": 1}, {"sample": 2, "y": 3, "x": 4}, {"lead": 1, "x": 1}])
@pytest.mark.parametrize("law", [LINEAR[0], LINEAR[2], LINEAR[4], LINEAR[9]], ids=lambda each: type(each).__name__)
def test_chunks_are_held_as_the_whole_and_lazily(
    law: LinearLaw, chunks: dict, estimate: xr.Dataset, context: xr.Dataset
) -> None:
    factor = (*estimate.rain.dims, "rank"), np.random.default_rng(4).normal(size=(*estimate.rain.shape, 4))
    for enforcer, given in (
        (Additive(), estimate[["rain"]]),
        (ProbConserv(), estimate),
        (Multiplicative(), estimate),
        (ProbConserv(), estimate.assign(rain_factor=factor)),
    ):
        held = hold(enforcer, (law,), given.chunk(chunks), context)
        assert held.rain.chunks == given.chunk(chunks).rain.chunks
        expected = hold(enforcer, (law,), given, context)
        xr.testing.assert_allclose(held.compute(scheduler="sync"), expected, rtol=1e-9, atol=1e-11)


def test_what_needs_a_whole_field_is_refused_in_chunks(estimate: xr.Dataset, context: xr.Dataset) -> None:
    with pytest.raises(HandshakeError, match="bounds cannot be held on a field in chunks"):
        hold(Additive(), (Nonnegative(variable="rain"),), estimate.chunk(x=2), context)


def test_grids_that_do_not_fit_are_refused(estimate: xr.Dataset, context: xr.Dataset) -> None:
    cases: list[tuple[Law, str]] = [
        (BlockMean(variable="rain", factor=4), "blocks of 4 do not fill"),
        (BlockMean(variable="rain", factor=2, coarse="m"), "the coarse 'm' has"),
        (BlockMean(variable="rain", factor=2, coarse="other"), "needs 'other', which the context lacks"),
        (BoundaryValue(variable="rain", dim="z"), "goes over 'z'"),
        (BoundaryFlux(variable="rain", dim="y", order=4), "takes 5 points, and there are 4"),
        (Integral(variable="rain", weights="cos-lat"), "needs a latitude along y, x"),
        (PointObservations(variable="rain", points=({"x": 7.0},), values=(1.0,)), "x = 7 is outside the grid"),
        (PointObservations(variable="rain", points=({"x": 0.5},), values=(1.0, 2.0)), "2 values for 1 points"),
        (Bounds(variable="rain", upper="most"), "needs 'most'"),
    ]
    for law, message in cases:
        with pytest.raises(HandshakeError, match=message):
            hold(Additive(), (law,), estimate, context)
    unsorted = estimate.assign_coords(x=X[::-1] ** 2 * (X - 0.4))
    with pytest.raises(HandshakeError, match="does not rise or fall"):
        hold(Additive(), (Integral(variable="rain", weights="trapezoid"),), unsorted, context)
    with pytest.raises(EstimateError, match="needs the variance of 'rain'"):
        hold(ProbConserv(), (AreaMean(variable="rain", weights="equal"),), estimate[["rain"]], context)


def test_a_variable_is_held_to_the_range_that_it_declares() -> None:
    """8-bit radar by one line: no value below 0 or above 255, and those within are left alone."""
    draw = np.random.default_rng(0)
    bytes_ = xr.Dataset({"vil": (("sample", "lead", "y", "x"), draw.integers(0, 255, (2, 3, 4, 5)).astype("uint8"))})
    rough = bytes_.astype("float32") + draw.normal(scale=60, size=(2, 3, 4, 5)).astype("float32")
    law, grid = Bounds(variable="vil"), grid_of(bytes_, bytes_)
    held = Additive().hold(rough, Held((law,), grid), bytes_)
    assert float(rough.vil.min()) < -30 and float(rough.vil.max()) > 256
    xr.testing.assert_allclose(held.vil, rough.vil.clip(0, 255))
    assert float(abs(law.residual(held, bytes_, grid).vil).max()) == 0.0
    assert float(abs(law.residual(rough, bytes_, grid).vil).max()) > 30
    with pytest.raises(HandshakeError, match="'vil' declares no range of its values"):
        law.check(Signature.of(rough))
    law.check(Signature.of(bytes_))
