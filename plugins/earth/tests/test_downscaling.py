"""Block means, and back to the fine grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import HandshakeError, Samples, Signature
from thalweg.samples import index_of
from thalweg.testing import check_method, check_transform, series
from thalweg_earth.methods.interpolate import Interpolate
from thalweg_earth.transforms.coarsen import Coarsen
from thalweg_earth.transforms.rain_rate import RainRate


def fine(values: np.ndarray[Any, Any]) -> xr.Dataset:
    sizes = values.shape[1:]
    coords = {"latitude": np.linspace(30, 60, sizes[0]), "x": np.arange(float(sizes[1]))}
    field = xr.DataArray(values, coords, ("time", "latitude", "x"), attrs={"units": "K"})
    return field.to_dataset(name="t").chunk(time=2)


def coarsened(data: xr.Dataset, **options: Any) -> xr.Dataset:
    return Coarsen(variable="t", **options).apply(data, xr.Dataset())


@pytest.mark.parametrize("weights", ["equal", "cosine"])
def test_a_coarse_cell_is_the_mean_of_its_block(weights: str) -> None:
    data = fine(np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32))
    found = coarsened(data, factor=2, weights=weights)["t_coarse"]
    assert found.dims == ("time", "latitude_coarse", "x_coarse")
    cosine = np.cos(np.deg2rad(data["latitude"].values)) if weights == "cosine" else np.ones(4)
    block = data["t"].values[1, 2:4, 4:6] * cosine[2:4, None]
    assert found.values[1, 1, 2] == pytest.approx(block.sum() / cosine[2:4].sum() / 2, rel=1e-6)
    np.testing.assert_allclose(found["x_coarse"], [0.5, 2.5, 4.5])


@pytest.mark.parametrize("weights", ["equal", "cosine"])
def test_a_block_is_the_mean_of_the_cells_that_are_there(weights: str) -> None:
    values = np.random.default_rng(1).normal(280, 5, size=(2, 4, 6)).astype(np.float32)
    values[0, 0, 1] = values[0, 2:, :2] = np.nan
    values[1] = np.nan
    data = fine(values)
    found = coarsened(data, factor=2, weights=weights)["t_coarse"].values
    cosine = np.cos(np.deg2rad(data["latitude"].values)) if weights == "cosine" else np.ones(4)
    expected = np.average(values[0, [0, 1, 1], [0, 0, 1]], weights=cosine[[0, 1, 1]])
    assert found[0, 0, 0] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(found[0, 1, 0]) and np.isnan(found[1]).all()
    assert np.isfinite(found[0]).sum() == 5


@pytest.mark.parametrize(("share", "there"), [(0.0, True), (0.25, True), (0.5, True), (0.51, False), (1.0, False)])
def test_a_block_of_which_less_than_a_share_is_there_is_missing(share: float, there: bool) -> None:
    values = np.ones((1, 4, 4), np.float32)
    values[0, :2, 0] = np.nan
    found = coarsened(fine(values), factor=2, min_valid=share)["t_coarse"].values[0]
    assert bool(np.isfinite(found[0, 0])) is there
    np.testing.assert_array_equal(found.ravel()[1:], 1.0)


@pytest.mark.parametrize("order", ["nearest", "linear", "cubic"])
def test_missing_blocks_weigh_nothing(order: Any) -> None:
    """A constant stays one beside a gap, and other fields stay within what is there."""
    generator = np.random.default_rng(2)
    for values in (np.full((2, 12, 18), 280.0), generator.normal(280, 1, (2, 12, 18))):
        values = values.astype(np.float32)
        values[0, 3:6, 3:9] = values[0, :3, :3] = values[1, 3:] = np.nan
        samples = Samples.of(coarsened(fine(values), factor=3))
        coarse = samples.inputs([0, 1])["t_coarse"].values
        found = Interpolate(order=order).solve(samples.inputs([0, 1]), samples.wanted)["t"].values
        np.testing.assert_array_equal(np.isnan(found), np.isnan(coarse).repeat(3, 1).repeat(3, 2))
        # The spline itself keeps a constant to 1e-5 of it; a cubic one goes beyond its points.
        slack = 0.5 if order == "cubic" and np.nanstd(values) > 0 else 5e-3
        assert np.nanmin(found) >= np.nanmin(coarse) - slack
        assert np.nanmax(found) <= np.nanmax(coarse) + slack


@settings(deadline=None)
@given(slope=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), factor=st.sampled_from([2, 3, 5]))
def test_a_plane_comes_back_between_the_centres(slope: tuple[float, float], factor: int) -> None:
    row, column = np.indices((6 * factor, 8 * factor))
    plane = (slope[0] * row + slope[1] * column)[None].astype(np.float32)
    samples = Samples.of(coarsened(fine(plane), factor=factor))
    found = Interpolate(order="linear").solve(samples.inputs([0]), samples.wanted)["t"].values
    inside = (slice(factor, -factor), slice(factor, -factor))
    np.testing.assert_allclose(found[0][inside], plane[0][inside], atol=1e-4)


def test_nearest_keeps_the_means_and_cubic_is_nearer_a_wave() -> None:
    row, column = np.indices((24, 24)) / 24
    wave = np.sin(2 * np.pi * row) * np.cos(2 * np.pi * column)
    samples = Samples.of(coarsened(fine(wave[None].astype(np.float32)), factor=3))
    gaps = {}
    for order in ("nearest", "linear", "cubic"):
        found = Interpolate(order=order).solve(samples.inputs([0]), samples.wanted)  # type: ignore[arg-type]
        gaps[order] = float(np.sqrt(((found["t"].values[0] - wave) ** 2).mean()))
        if order == "nearest":
            again = found["t"].coarsen(latitude=3, x=3).mean()
            np.testing.assert_allclose(again, samples.inputs([0])["t_coarse"], atol=1e-6)
    assert gaps["cubic"] < gaps["linear"] < gaps["nearest"]


def test_they_keep_the_contract() -> None:
    data = series(dims=("y", "x"))
    check_transform(Coarsen(variable="field", factor=2), data)
    check_transform(RainRate(variable="field", by=60.0), data)
    split = Coarsen(variable="field", factor=2).apply(data, xr.Dataset())
    split = index_of(split).labelled(np.where(np.arange(48) < 36, 0, 2)).on(split)
    for order in ("nearest", "linear", "cubic"):
        check_method(Interpolate(order=order), split)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    data = fine(np.zeros((1, 4, 6), np.float32))
    with pytest.raises(HandshakeError, match="blocks of 4"):
        Coarsen(variable="t", factor=4).check(Signature.of(data))
    with pytest.raises(HandshakeError, match="_coarse"):
        Interpolate().check(Signature.of(data))


def test_rain_of_marshall_and_palmer() -> None:
    """Z = 200 R^1.6: 23 dBZ for 1 mm h-1; a decade in R is 16 dBZ."""
    dbz = np.float32(10 * np.log10(200) + np.array([0.0, 16.0, 32.0, -16.0]))
    data = xr.Dataset({"z": ("cell", dbz)})
    found = RainRate(variable="z").apply(data, xr.Dataset())["rain"]
    np.testing.assert_allclose(found, [1.0, 10.0, 100.0, 0.0], rtol=1e-5)
    assert found.dtype == np.float32
    assert found.attrs["units"] == "mm h-1"
